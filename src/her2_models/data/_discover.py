"""Make a manifest from the images of a folder, an archive or a table."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from her2_models.data._archives import extract
from her2_models.data._folders import is_he_of_bci, record_of
from her2_models.data._manifest import Manifest, Record
from her2_models.data._manifest_csv import manifest_from_csv
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.io import IMAGE_SUFFIXES, files_below

__all__ = ["discover"]


def discover(
    root: str | Path,
    *,
    group_pattern: str | None = None,
    mpp: float | None = None,
    magnification: float | None = None,
    label_level: str | None = None,
    unpack: bool = False,
) -> Manifest:
    """Find the images of a data set and what is known of them.

    Known are BCI (``IHC/{train,test}/00000_train_1+.png``; of ``trainA`` and ``trainB`` the latter;
    H&E is left out), HER2-IHC-40x (patch and WSI), any folder of class folders ("class_2+",
    "HER2 2+", "score2", "2plus", "2", ... in any case) with or without a level of train, val and
    test, and CSV with the columns path and score.

    Parameters
    ----------
    root : path
        A folder, a CSV, or a zip with `unpack`.
    group_pattern : str, optional
        Regular expression that finds the slide or patient in a path below `root`, as its first
        named group or its first group; goes before what folders say. By default the group is the
        folders between class folder and file, if there are any.
    mpp, magnification : float, optional
        Of all images; go before what is known of the data set. BCI has 0.46 micrometres a pixel,
        about 20x; HER2-IHC-40x is 40x, nominally 0.25 micrometres.
    label_level : {"slide", "patch"}, optional
        Whose scores the images bear; goes before what is known of the data set. Those of BCI are
        of the slide, those of HER2-IHC-40x of the patch.
    unpack : bool
        Unpack zips beside themselves first, each into a folder of its name. What is there already
        is not unpacked again.

    Returns
    -------
    Manifest
        In the order of the paths.

    Raises
    ------
    InvalidInputError
        No images, none with a score, folders of different scores above one image, a pattern that
        matches nothing, or zips without `unpack`.

    Warns
    -----
    MembraneXAIWarning
        Images without a score, and zips that are not unpacked beside images, are left out.

    Examples
    --------
    >>> from her2_models.data import discover
    >>> root = getfixture("tmp_path")
    >>> for place in ("train/class_2+/slide7/a.png", "Test/HER2-3+/b.png"):
    ...     (root / place).parent.mkdir(parents=True)
    ...     _ = (root / place).write_bytes(b"")
    >>> for record in discover(root, mpp=0.5).records:
    ...     print(record.label, record.split, record.group, record.mpp)
    3+ test None 0.5
    2+ train slide7 0.5
    >>> discover(root / "nothing")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: root is ...nothing'; there is no such file or folder
    """
    found = _found(Path(root), unpack)
    records = [
        replace(
            record,
            mpp=record.mpp if mpp is None else mpp,
            magnification=record.magnification if magnification is None else magnification,
            label_level=record.label_level if label_level is None else label_level,
        )
        for record in found.records
    ]
    if group_pattern is not None:
        records = _grouped(records, Path(root), group_pattern)
    return Manifest(tuple(records), found.scheme)


def _found(root: Path, unpack: bool) -> Manifest:
    if not root.exists():
        raise InvalidInputError(f"root is {str(root)!r}; there is no such file or folder")
    if root.is_file() and root.suffix.lower() == ".zip":
        root = _unpacked(root, unpack, needed=True)
    if root.is_file():
        if root.suffix.lower() != ".csv":
            raise InvalidInputError(f"root is {str(root)!r}; it takes a folder, a CSV or a zip")
        return manifest_from_csv(root)
    for archive in files_below(root, (".zip",)):
        _unpacked(archive, unpack, needed=not files_below(root, IMAGE_SUFFIXES))
    return Manifest(tuple(_records(root)))


def _unpacked(archive: Path, unpack: bool, *, needed: bool) -> Path:
    """Return the folder of an archive, made if allowed."""
    folder = archive.with_suffix("")
    if unpack:
        return extract(archive, folder)
    if not folder.is_dir():
        text = f"{archive}: is not unpacked; unpack=True (--unpack) does that"
        if needed:
            raise InvalidInputError(text)
        warnings.warn(f"{text}, it is left out", MembraneXAIWarning, stacklevel=4)
    return folder


def _records(root: Path) -> Iterator[Record]:
    images = files_below(root, IMAGE_SUFFIXES)
    if not images:
        raise InvalidInputError(f"{root}: no images there; looked for {', '.join(IMAGE_SUFFIXES)}")
    here = root.resolve()
    left_out: list[Path] = []
    found = 0
    for path in images:
        place = path.relative_to(root)
        if is_he_of_bci(Path(*here.parts[-2:]) / place):
            continue
        if record := record_of(path, place, here):
            found += 1
            yield record
        else:
            left_out.append(place)
    if not found:
        raise InvalidInputError(
            f"{root}: no image there has a score, like {images[0].relative_to(root)}; it takes IHC "
            f"in folders like class_2+, names of BCI or HER2-IHC-40x, or a CSV with path and score"
        )
    if left_out:
        warnings.warn(
            f"{root}: {len(left_out)} images without a score are left out, like {left_out[0]}",
            MembraneXAIWarning,
            stacklevel=4,
        )


def _grouped(records: list[Record], root: Path, pattern: str) -> list[Record]:
    """Return the records with the groups that a pattern finds in their paths."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InvalidInputError(f"group_pattern is {pattern!r}; as a pattern, {error}") from None
    if not compiled.groups:
        raise InvalidInputError(
            f"group_pattern is {pattern!r}; it takes one with a group, like '(?P<slide>S[0-9]+)_'"
        )
    wanted = next(iter(compiled.groupindex), 1)
    base = root if root.is_dir() else root.parent
    places = [r.path.relative_to(base) if r.path.is_relative_to(base) else r.path for r in records]
    matches = [compiled.search(place.as_posix()) for place in places]
    groups = [match[wanted] or None if match else None for match in matches]
    if not any(groups):
        raise InvalidInputError(
            f"group_pattern is {pattern!r}; it finds nothing in paths like {places[0].as_posix()}"
        )
    return [replace(r, group=group) for r, group in zip(records, groups, strict=True)]
