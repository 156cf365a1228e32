"""Make a manifest from the images of a folder, an archive or a table."""

import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from her2_models.data._archives import extract
from her2_models.data._folders import record_of
from her2_models.data._left_out import AGAIN, NO_SCORE, OUTSIDE, left_out_lines, not_ihc
from her2_models.data._links import one_each, real_paths
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
    follow_links: bool = False,
) -> Manifest:
    """Find the images of a data set and what is known of them.

    Known are BCI (``IHC/{train,test}/00000_train_1+.png``), HER2-IHC-40x (patch and WSI), any
    folder of class folders ("class_2+", "HER2 2+", "score2", "2plus", "2", ... in any case) with
    or without a level of train, val and test, and CSV with the columns path and score.

    Left out are H&E (folders like ``HE``, ``H&E_stain``, ``HE_train``; of ``trainA`` and ``trainB``
    the former; names like ``x_HE`` beside ``x_IHC``), masks and other pictures made from an image
    that is there (``x.mask.png``, ``x_mask.png``, ``masks/x.png``), and what links show that is not
    in the data set, or twice. A warning and `left_out` of the manifest count them.

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
    follow_links : bool
        Take images to which links lead that are outside `root`. A `root` that is itself a link, and
        links within it, are always followed.

    Returns
    -------
    Manifest
        In the order of the paths.

    Raises
    ------
    InvalidInputError
        No images, none with a score, folders of different scores above one image, a folder and a
        name of BCI that say different scores, links by which one file has two scores or splits, a
        pattern that matches nothing, or zips without `unpack`.

    Warns
    -----
    MembraneXAIWarning
        Images are left out, with the reason and one of them; a zip is not unpacked beside images.

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
    found = _found(Path(root), unpack, follow_links)
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
    return Manifest(tuple(records), found.scheme, found.left_out)


def _found(root: Path, unpack: bool, follow_links: bool) -> Manifest:
    if not root.exists():
        raise InvalidInputError(f"root is {str(root)!r}; there is no such file or folder")
    if root.is_file() and root.suffix.lower() == ".zip":
        root = _unpacked(root, unpack, needed=True)
    if root.is_file():
        if root.suffix.lower() != ".csv":
            raise InvalidInputError(f"root is {str(root)!r}; it takes a folder, a CSV or a zip")
        return manifest_from_csv(root)
    for archive in _inside(files_below(root, (".zip",)), root, follow_links):
        _unpacked(archive, unpack, needed=not files_below(root, IMAGE_SUFFIXES))
    return _below(root, follow_links)


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


def _below(root: Path, follow_links: bool) -> Manifest:
    """Return the records of the images below a folder, and what is left out."""
    images = files_below(root, IMAGE_SUFFIXES)
    if not images:
        raise InvalidInputError(f"{root}: no images there; looked for {', '.join(IMAGE_SUFFIXES)}")
    inside = _inside(images, root, follow_links)
    reasons = dict.fromkeys(images, OUTSIDE) | dict.fromkeys(inside, NO_SCORE)
    reasons |= not_ihc(list(inside), root)
    here = root.resolve()
    found = [
        record
        for path, reason in reasons.items()
        if reason == NO_SCORE and (record := record_of(path, path.relative_to(root), here))
    ]
    records = sorted(one_each(found, inside, root), key=lambda record: record.path)
    kept = {inside[record.path]: record.path for record in records}
    left_out: dict[str, list[Path]] = {}
    for path, reason in reasons.items():
        own = kept.get(inside.get(path, path))
        if own != path:
            why = AGAIN if own and reason == NO_SCORE else reason
            left_out.setdefault(why, []).append(path)
    _tell(root, images, records, left_out)
    return Manifest(tuple(records), left_out={why: tuple(p) for why, p in left_out.items()})


def _tell(
    root: Path,
    images: Sequence[Path],
    records: Sequence[Record],
    left_out: Mapping[str, Sequence[Path]],
) -> None:
    """Warn of images that are left out, or raise if no other is there."""
    lines = left_out_lines(left_out, root)
    if not records:
        raise InvalidInputError(
            f"{root}: no image there has a score, like {images[0].relative_to(root)}; it takes IHC "
            f"in folders like class_2+, names of BCI or HER2-IHC-40x, or a CSV with path and "
            f"score; {'; '.join(lines)}"
        )
    for line in lines:
        warnings.warn(f"{root}: {line}", MembraneXAIWarning, stacklevel=5)


def _inside(paths: Sequence[Path], root: Path, follow_links: bool) -> dict[Path, Path]:
    """Return where files really are, those that are in the folder `root`."""
    here = os.path.realpath(root)
    return {
        path: real
        for path, real in real_paths(paths).items()
        if follow_links or real.is_relative_to(here)
    }


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
