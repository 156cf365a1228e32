"""Whether what a network learned from shares slides with what it is tested on."""

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from her2_models.data._manifest import Record
from her2_models.data._names import FileName, read_file_name

__all__ = ["LeakSafety", "leak_safety"]

_HER2_40X = "her2-ihc-40x"
_CUT_THEN_SPLIT = "her2-ihc-40x-patch"
"""The variant whose folders were filled patch by patch, as its makers say."""

_DEALT = "official folders: patches of one slide lie on both sides"
_STATED = (
    "by origin: the makers of HER2-IHC-40x say that slides were split before patches were cut, and "
    "names seem to tell the side; they carry no slide to check it by"
)


class LeakSafety(NamedTuple):
    """Whether a test is free of slides that the network has learned from."""

    verdict: str
    """"yes" as far as slides or patients are named, "stated" by the makers of the data set and not
    to be checked, "no", or "unknown"."""
    reason: str
    """The same in words, as it is printed behind "split: "."""


def leak_safety(
    learned: Sequence[Record],
    tested: Sequence[Record],
    *,
    scheme: str | None = None,
    copies: Iterable[Collection[Path]] = (),
) -> LeakSafety:
    """Say whether slides lie on both sides of a split.

    Parameters
    ----------
    learned : sequence of Record
        What the network learned from or was selected on.
    tested : sequence of Record
        What it is tested on.
    scheme : str, optional
        How the two were split, of :class:`Manifest`; folders by default.
    copies : iterable of collections of Path
        Images known to show the same, such as `duplicates` and `near_duplicates` of
        :class:`DataReport`. Nothing is read here.

    Returns
    -------
    LeakSafety
        "no" if an image, a copy of one by its name or `copies`, or a group is on both sides, and
        for the folders of HER2-IHC-40x-Patch, which were filled patch by patch. "yes" if all images
        have a group and none is on both sides, or if the two are of different data sets. "stated"
        for HER2-IHC-40x split as its names say. Else "unknown".

    Examples
    --------
    >>> from her2_models.data import Record, leak_safety
    >>> learned = [Record("a.png", 2, group="S1"), Record("b.png", 2, group="S2")]
    >>> leak_safety(learned, [Record("c.png", 2, group="S3")])
    LeakSafety(verdict='yes', reason='by slide')
    >>> leak_safety(learned, [Record("c.png", 2, group="S1")])
    LeakSafety(verdict='no', reason='1 slide or patient lies on both sides: S1')
    >>> leak_safety(learned, [Record("c.png", 2)]).reason
    'unknown: 1 of 3 images carry no slide'
    """
    if not learned or not tested:
        return LeakSafety("unknown", "unknown: one side has no images")
    both = [*learned, *tested]
    names = [read_file_name(record.path.stem) for record in both]
    of_her2_40x = all(name.family == _HER2_40X for name in names)
    sides = [_tokens(names[: len(learned)]), _tokens(names[len(learned) :])]
    ungrouped = sum(record.group is None for record in both)
    dealt = bool(sides[0] & sides[1]) or _are_cut_then_split(both)
    if of_her2_40x and ungrouped and _is_official(scheme) and dealt:
        return LeakSafety("no", _DEALT)
    for what, keys_of in (("image", _image_keys), ("slide or patient", _group_keys)):
        if shared := sorted(keys_of(learned) & keys_of(tested)):
            return LeakSafety("no", _shared_text(what, [str(key[-1]) for key in shared]))
    if seen := _copies_on_both(learned, tested, copies):
        return LeakSafety("no", _shared_text("set of images that show the same", seen))
    if apart := _other_data_set(learned, tested):
        return LeakSafety("yes", apart)
    if not ungrouped:
        return LeakSafety("yes", "by slide")
    if of_her2_40x and not sides[0] & sides[1]:
        return LeakSafety("stated", _STATED)
    nameless = "names" if ungrouped == len(both) else f"{ungrouped} of {len(both)} images"
    return LeakSafety("unknown", f"unknown: {nameless} carry no slide")


def _image_keys(records: Sequence[Record]) -> set[tuple[str, ...]]:
    """Return what is equal for copies of an image: its name where that tells, else its path."""
    keys: set[tuple[str, ...]] = set()
    for record in records:
        name = read_file_name(record.path.stem)
        if name.family is None:
            keys.add(("", str(record.path.absolute())))
        else:
            keys.add((name.family, f"{name.grade} {name.prefix} {name.counter}"))
    return keys


def _group_keys(records: Sequence[Record]) -> set[tuple[str, ...]]:
    return {record.whole_group for record in records if record.whole_group}


def _copies_on_both(
    learned: Sequence[Record], tested: Sequence[Record], copies: Iterable[Collection[Path]]
) -> list[str]:
    sides = [{record.path for record in records} for records in (learned, tested)]
    sets = [[Path(path) for path in same] for same in copies]
    return [
        " = ".join(path.name for path in same)
        for same in sets
        if all(not side.isdisjoint(same) for side in sides)
    ]


def _shared_text(what: str, names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"1 {what} lies on both sides: {names[0]}"
    plural = " or ".join(re.sub(r"^\w+", r"\g<0>s", word) for word in what.split(" or "))
    return f"{len(names)} {plural} lie on both sides, such as {names[0]}"


def _tokens(names: Iterable[FileName]) -> set[str]:
    """Return the sides that names tell; those that make up the validation split are "train"."""
    return {name.origin for name in names if name.origin}


def _is_official(scheme: str | None) -> bool:
    return scheme is None or scheme.startswith("official")


def _are_cut_then_split(records: Iterable[Record]) -> bool:
    return all(record.source == _CUT_THEN_SPLIT for record in records)


def _other_data_set(learned: Sequence[Record], tested: Sequence[Record]) -> str:
    """Return how two data sets are told apart, nothing if they may be one."""
    sets = [{_data_set(record) for record in records} for records in (learned, tested)]
    if None in sets[0] | sets[1] or sets[0] & sets[1]:
        return ""
    of, on = (", ".join(sorted(map(str, names))) for names in sets)
    return f"by data set: learned from {of}, tested on {on}"


def _data_set(record: Record) -> str | None:
    family = read_file_name(record.path.stem).family
    # "folder" and "csv" say how images were found, not which they are
    return family or (None if record.source in ("folder", "csv") else record.source)
