"""Find the images a command line names, and name their results."""

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from membrane_xai._disk.mask_results import ENDINGS, MARK
from membrane_xai._disk.names import files_below, stem
from membrane_xai._disk.suffixes import IMAGE_SUFFIXES, SLIDE_SUFFIXES
from membrane_xai.errors import InvalidInputError
from membrane_xai.io._slides import slide_key

__all__ = ["Job", "find_jobs", "results_among"]

_SUFFIXES = (*IMAGE_SUFFIXES, *SLIDE_SUFFIXES)


class Job(NamedTuple):
    """An image to work on."""

    source: Path
    name: Path
    """Of the results, relative to the folder for them, without ending."""

    def result(self, out: Path, ending: str) -> Path:
        """Return the path of a result."""
        return out / self.name.with_name(self.name.name + ending)


def find_jobs(arguments: Sequence[str]) -> list[Job]:
    """Return a job for each image that files, folders and patterns name.

    What is in a folder keeps its place below it, so that equal names in different sub-folders do
    not meet. The files of a DICOM series are one slide, and its job is that of the first. Of images
    in one folder whose names differ in the suffix alone, the results keep it. Images whose results
    would still have the same path raise.
    """
    jobs: dict[tuple[str, ...], Job] = {}
    passed_over = []
    for argument in arguments:
        for job in _jobs_of(argument):
            if _is_result(job.source):
                passed_over.append(job.source)
            else:
                jobs.setdefault(slide_key(job.source), job)
    if not jobs:
        raise InvalidInputError(f"{' '.join(arguments)}: {_nothing(passed_over)}")
    found = _told_apart(list(jobs.values()))
    _check_distinct(found)
    return found


def results_among(arguments: Sequence[str]) -> list[Path]:
    """Return the files that are named, one by one, and are called like results."""
    return [path for path in map(Path, arguments) if _is_result(path) and path.is_file()]


def _is_result(path: Path) -> bool:
    return path.name.lower().endswith(tuple(ENDINGS.values()))


def _nothing(passed_over: Sequence[Path]) -> str:
    """Say why there is nothing to do."""
    if not passed_over:
        return f"no images there; looked for {', '.join(_SUFFIXES)}"
    return (
        f"no images there, but results of this command: {passed_over[0].name} ends like one "
        f"({', '.join(ENDINGS.values())}); name the images themselves, or rename it if it is one"
    )


def _jobs_of(argument: str) -> Iterator[Job]:
    path = Path(argument)
    if path.is_dir():
        for file in files_below(path, _SUFFIXES):
            yield Job(file, file.relative_to(path).with_name(stem(file.name)))
    elif path.is_file():
        yield Job(path, Path(stem(path.name)))
    elif glob.has_magic(argument):
        for match in sorted(glob.glob(argument, recursive=True)):  # noqa: PTH207  # absolute ones too
            yield from _jobs_of(match)
    else:
        raise InvalidInputError(f"{argument}: there is no such file or folder")


def _told_apart(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs, where several in a folder share a name with the suffix in it."""
    counts = Counter((job.source.parent, _key(job)) for job in jobs)
    return [
        job._replace(name=job.name.with_name(job.source.name))
        if counts[job.source.parent, _key(job)] > 1
        else job
        for job in jobs
    ]


def _key(job: Job) -> str:
    return str(job.name).casefold()  # some file systems do not tell cases apart


def _check_distinct(jobs: Sequence[Job]) -> None:
    taken: dict[str, Job] = {}
    for job in jobs:
        key = _key(job)
        if key in taken:
            remedy = "name the folder above them instead, or run them with different --out"
            if taken[key].source.parent == job.source.parent:
                remedy = "rename one of them"
            raise InvalidInputError(
                f"{taken[key].source} and {job.source} would both write {job.name}{MARK}.*; "
                f"{remedy}"
            )
        taken[key] = job
