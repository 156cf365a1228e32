"""Check that a wheel and a source archive hold what they should, and nothing else.

Run ``python tools/check_distributions.py dist`` after ``python -m build``, in a git checkout.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".ci/", ".github/", "benchmarks/results/")
"""Folders of the checkout that a source archive does not need."""
ADDED = {"PKG-INFO"}
"""What the build writes into a source archive."""
MEGABYTES = {"wheel": 2.0, "source archive": 5.0}


def main(folder: str) -> int:
    """Print each problem and the sizes; return how many problems there are."""
    wheel, archive = _only(folder, "*.whl"), _only(folder, "*.tar.gz")
    kept = set(_kept())
    problems = [
        *_differences("wheel", _of_wheel(wheel), _packaged(kept)),
        *_differences("source archive", _of_archive(archive) - ADDED, _shipped(kept)),
        *_too_large("wheel", wheel),
        *_too_large("source archive", archive),
    ]
    for path in (wheel, archive):
        print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")
    for problem in problems:
        print(problem, file=sys.stderr)
    return len(problems)


def _only(folder: str, pattern: str) -> Path:
    """Return the one file of a kind; an older one beside it would be checked instead."""
    found = sorted(Path(folder).glob(pattern))
    if len(found) != 1:
        raise SystemExit(f"{folder}: one {pattern} expected, found {len(found)}")
    return found[0]


def _kept() -> Iterator[str]:
    """Yield the files of the checkout that git keeps or would keep."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return (name for name in done.stdout.splitlines() if (ROOT / name).exists())


def _packaged(kept: set[str]) -> set[str]:
    """Return what a wheel has to hold: every file of the packages, data as well as code."""
    return {name.removeprefix("src/") for name in kept if name.startswith("src/")}


def _shipped(kept: set[str]) -> set[str]:
    """Return what a source archive has to hold: all it takes to build, test and document."""
    return {name for name in kept if not name.startswith(LEFT_OUT)}


def _of_wheel(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as opened:
        return {name for name in opened.namelist() if ".dist-info/" not in name}


def _of_archive(path: Path) -> set[str]:
    with tarfile.open(path) as opened:
        names = (member.name for member in opened.getmembers() if member.isfile())
        return {name.partition("/")[2] for name in names}


def _differences(what: str, found: set[str], expected: set[str]) -> Iterator[str]:
    yield from (f"{what} lacks {name}" for name in sorted(expected - found))
    yield from (f"{what} should not hold {name}" for name in sorted(found - expected))


def _too_large(what: str, path: Path) -> Iterator[str]:
    size = path.stat().st_size / 1e6
    if size > MEGABYTES[what]:
        yield f"{what} has {size:.1f} MB, at most {MEGABYTES[what]:g} are meant to be"


if __name__ == "__main__":
    sys.exit(min(main(*sys.argv[1:]), 1))
