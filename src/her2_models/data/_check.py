"""Checks of a data set: counts, labels, copies, damaged files, groups across splits."""

import hashlib
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.PngImagePlugin import PngImageFile

from her2_models.data._alike import Look, alike, look_of
from her2_models.data._leaks import leak_safety
from her2_models.data._left_out import left_out_lines
from her2_models.data._manifest import Manifest, Record
from her2_models.data._names import read_file_name
from her2_models.data._nuclei import nuclear_sizes
from her2_models.data._pairs import is_wide, pairs_of_bci, stated_shape
from her2_models.data._published import PUBLISHED
from her2_models.data._report import DataReport
from membrane_xai.cells import PLAUSIBLE_DIAMETERS, NuclearSize
from membrane_xai.cli import progress
from membrane_xai.errors import InvalidInputError, MembraneXAIError, MembraneXAIWarning
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import MAX_PIXELS, read_image

__all__ = ["check"]

Copies = tuple[tuple[Path, ...], ...]

# Its patches are in folders of their own score, and have names with that of their slide.
_NAMED_BY_SLIDE = "her2-ihc-40x-patch"


def check(manifest: Manifest, *, decode: bool = True, max_pixels: int = MAX_PIXELS) -> DataReport:
    """Check counts, labels, copies, files, pixel sizes and groups of a data set.

    Parameters
    ----------
    manifest : Manifest
        The images.
    decode : bool
        Decode every image whole, which finds truncated ones and those that look alike, and measure
        the nuclei of up to 20 of each source and pixel size; takes most of the time.
    max_pixels : int
        Largest image to decode, in pixels.

    Returns
    -------
    DataReport
        With `problems` and `ok`.

    Examples
    --------
    >>> import PIL.Image
    >>> from her2_models.data import check, discover
    >>> root = getfixture("tmp_path")
    >>> for place in ("train/0", "train/1+", "train/2+", "train/3+", "test/0"):
    ...     (root / place).mkdir(parents=True)
    ...     PIL.Image.new("RGB", (4, 4), (9, 9, len(place))).save(root / place / "a.png")
    >>> report = check(discover(root))
    >>> len(report.duplicates), report.empty_classes
    (1, ('no image of score 1+, 2+, 3+ in test',))
    """
    records = manifest.records
    copies = _copies([record.path for record in records])
    seen = _see(records, decode, max_pixels)
    near = _near(seen.looks, copies)
    split_of = {record.path: record.split for record in records}
    across, near_across = _across(copies, split_of), _across(near, split_of)
    crossing = _groups_across(records)
    splits = manifest.by_split()
    safety = leak_safety(
        (*splits["train"], *splits["val"]),
        splits["test"],
        scheme=manifest.scheme,
        copies=(*copies, *near),
    )
    nuclei = nuclear_sizes(records, max_pixels) if decode else {}
    return DataReport(
        counts=manifest.counts(),
        sources=dict(Counter(record.source for record in records)),
        unlike_published=tuple(_unlike_published(manifest)),
        label_conflicts=tuple(
            record.path
            for record in records
            if _contradicts(record) and record.source != _NAMED_BY_SLIDE
        ),
        duplicates=copies,
        across_splits=across,
        near_duplicates=near,
        near_across_splits=near_across,
        unreadable=tuple(seen.unreadable),
        empty_classes=tuple(_empty_classes(manifest)),
        patient_safe=_patient_safe(records, crossing, (*across, *near_across)),
        pairs=pairs_of_bci(seen.shapes),
        leak_safe=safety.verdict,
        split=safety.reason,
        groups_across_splits=crossing,
        notes=(
            *left_out_lines(manifest.left_out),
            *_notes(records, seen.shapes, [same for same in near if same not in near_across]),
        ),
        nuclear_diameters={_scale(*key): size.median for key, size in nuclei.items() if size.count},
        pixel_sizes=tuple(_doubtful(*key, size) for key, size in nuclei.items() if size.flags),
    )


def _scale(source: str, mpp: float) -> str:
    return f"{source}, {mpp:g} um/px"


def _doubtful(source: str, mpp: float, nuclei: NuclearSize) -> str:
    low, high = PLAUSIBLE_DIAMETERS
    return (
        f"pixel size of {_scale(source, mpp)}: its nuclei would measure {nuclei.median:.1f} um "
        f"across (median of {nuclei.count}), not {low:g} to {high:g}"
    )


def _across(copies: Copies, split_of: Mapping[Path, str | None]) -> Copies:
    return tuple(same for same in copies if len({split_of[path] for path in same}) > 1)


def _near(looks: Mapping[Path, Look], copies: Copies) -> Copies:
    """Return the sets of images that look alike and are not all one file's copies."""
    number = {path: i for i, same in enumerate(copies) for path in same}
    return tuple(
        same for same in alike(looks) if len({number.get(path, path) for path in same}) > 1
    )


def _unlike_published(manifest: Manifest) -> list[str]:
    """Compare with the published counts, unless the splits were made anew."""
    if manifest.scheme and not manifest.scheme.startswith("official"):
        return []
    found: dict[tuple[str, str], list[int]] = {}
    for record in manifest.records:
        # A validation split is carved out of the published training split
        split = "train" if record.split == "val" else record.split or ""
        found.setdefault((record.source, split), [0, 0, 0, 0])[record.score] += 1
    return [
        f"{source} {split} has {_row(found[source, split])}, published are {_row(published)}"
        for (source, split), published in PUBLISHED.items()
        if (source, split) in found and tuple(found[source, split]) != published
    ]


def _row(counts: Sequence[int]) -> str:
    return " / ".join(map(str, counts))


def _contradicts(record: Record) -> bool:
    named = read_file_name(record.path.stem).grade
    return named is not None and named != record.score


def _copies(paths: Sequence[Path]) -> Copies:
    """Return the files that are identical; only those of equal size are read."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        if path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(path)
    suspects = [path for same in by_size.values() if len(same) > 1 for path in same]
    by_hash: dict[str, list[Path]] = {}
    with progress(len(suspects)) as show:
        for done, path in enumerate(suspects, 1):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            by_hash.setdefault(digest, []).append(path)
            show(done, "comparing")
    return tuple(tuple(same) for same in by_hash.values() if len(same) > 1)


class _Seen(NamedTuple):
    """What one read of every image gives."""

    unreadable: list[tuple[Path, str]]
    shapes: dict[Path, tuple[int, int]]
    """Height and width."""
    looks: dict[Path, Look]


def _see(records: Sequence[Record], decode: bool, max_pixels: int) -> _Seen:
    seen = _Seen([], {}, {})
    with progress(len(records)) as show:
        for done, record in enumerate(records, 1):
            path = record.path
            rgb, why = _pixels(record, decode, max_pixels)
            if why:
                seen.unreadable.append((path, why))
            elif rgb is None:
                seen.shapes[path] = stated_shape(path)
            else:
                seen.shapes[path] = rgb.shape[:2]
                if look := look_of(rgb):
                    seen.looks[path] = look
            show(done, "reading")
    return seen


def _pixels(record: Record, decode: bool, max_pixels: int) -> tuple[NDArray[np.uint8] | None, str]:
    """Return the pixels of an image, and why it cannot be read or an empty text."""
    path = record.path
    if not path.is_file():
        return None, "there is no such file"
    if not path.stat().st_size:
        return None, "is empty"
    if not decode:
        return None, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MembraneXAIWarning)  # of another pixel size
            rgb = read_image(path, mpp=record.mpp, max_pixels=max_pixels).rgb
        _verify_png(path)
    except (MembraneXAIError, OSError, MemoryError) as error:
        return None, str(error).removeprefix(f"{path}: ") or type(error).__name__
    return rgb, ""


def _verify_png(path: Path) -> None:
    """Raise if checksums or the end of a PNG are missing, though its pixels may be complete."""
    try:
        image = PngImageFile(path)  # not by Image.open, which has a limit of its own on pixels
    except SyntaxError:  # it is no PNG
        return
    with image:
        try:
            image.verify()
        except (OSError, SyntaxError) as error:
            raise InvalidInputError(f"{path}: is truncated or damaged: {error}") from error


def _empty_classes(manifest: Manifest) -> list[str]:
    return [
        f"no image of score {', '.join(missing)} in {split}"
        for split, counts in manifest.counts().items()
        if (missing := [name for name, n in zip(GRADES, counts, strict=True) if not n])
    ]


def _groups_across(records: Sequence[Record]) -> tuple[str, ...]:
    splits: dict[tuple[str, str], set[str | None]] = {}
    for record in records:
        if record.whole_group:
            splits.setdefault(record.whole_group, set()).add(record.split)
    return tuple(sorted(group for (_, group), found in splits.items() if len(found) > 1))


def _patient_safe(records: Sequence[Record], crossing: Sequence[str], copies: Copies) -> str:
    ungrouped = sum(record.group is None for record in records)
    if ungrouped == len(records):
        return "no: names carry no group"
    if crossing:
        return f"no: groups in several splits: {len(crossing)}, such as {crossing[0]}"
    if ungrouped:
        return f"no: {ungrouped} of {len(records)} images carry no group"
    if None in {record.split for record in records}:
        return "no: there are images without a split"
    if copies:
        names = " = ".join(path.name for path in copies[0])
        return f"no: images that show the same in several splits: {len(copies)}, such as {names}"
    return "yes"


def _notes(
    records: Sequence[Record],
    shapes: Mapping[Path, tuple[int, int]],
    alike_within: Sequence[Sequence[Path]],
) -> list[str]:
    """Say whose the scores are, what names and shapes tell, and which images look alike."""
    notes = []
    if wide := [path.name for path, shape in shapes.items() if is_wide(shape)]:
        notes.append(
            f"{len(wide)} images are twice as wide as high, like {wide[0]}: H&E and IHC side by "
            f"side, as in BCI for pix2pix, take cutting, and the IHC half alone"
        )
    if twice := _twice_in_bci(records):
        notes.append(
            f"{len(twice)} names of BCI are those of several images, like {twice[0]}; one of "
            f"them may be H&E"
        )
    if alike_within:
        paths = " = ".join(map(str, alike_within[0]))
        notes.append(f"{len(alike_within)} sets of images look alike within a split, like {paths}")
    patches = [record for record in records if record.source == _NAMED_BY_SLIDE]
    if renamed := [record.path.name for record in patches if _contradicts(record)]:
        notes.append(
            f"{len(renamed)} of {len(patches)} patches of HER2-IHC-40x have another score than "
            f"their names say, like {renamed[0]}; names carry the score of the slide, and the "
            f"patch's own counts"
        )
    strangers = [record.path.name for record in records if _is_stranger(record)]
    if strangers:
        notes.append(
            f"{len(strangers)} images lie in another split than their names say, like "
            f"{strangers[0]}; scheme 'origin' goes by the names"
        )
    if inherited := sum(record.label_level == "slide" for record in records):
        notes.append(
            f"{inherited} images bear the score of their slide; what one shows may be another score"
        )
    return notes


def _twice_in_bci(records: Sequence[Record]) -> list[str]:
    names = Counter(
        record.path.stem.lower()
        for record in records
        if read_file_name(record.path.stem).family == "bci"
    )
    return [name for name, count in names.items() if count > 1]


def _is_stranger(record: Record) -> bool:
    origin = read_file_name(record.path.stem).origin
    # A validation split is carved out of "train", so a name with _train_ is at home there
    homes = {record.split, "train"} if record.split == "val" else {record.split}
    return None not in (origin, record.split) and origin not in homes
