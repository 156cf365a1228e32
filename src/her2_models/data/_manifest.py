"""`Manifest` and `Record`: images with their score, split, group and pixel size."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import MPP_LIMITS
from membrane_xai.tables import write_csv

__all__ = [
    "LABEL_LEVELS",
    "SPLITS",
    "WHOSE_LABELS",
    "Labelled",
    "Manifest",
    "Record",
    "label_level",
]

SPLITS = ("train", "val", "test")
LABEL_LEVELS = ("slide", "patch")
"""What a pathologist scored: the whole slide, whose patches inherit it, or each patch."""
WHOSE_LABELS = {
    "slide": "of the slide, which a patch need not show",
    "patch": "of the patch",
    "mixed": "of the slide for some images, of the patch for others",
    "unknown": "not said whether of the slide or of the patch",
}
"""What :func:`label_level` says, in words."""


class Labelled(Protocol):
    """An image of which it may be known whose score it bears."""

    @property
    def label_level(self) -> str | None:
        """One of `LABEL_LEVELS`, or None."""


@dataclass(frozen=True, slots=True)
class Record:
    """An image and what is known of it.

    Attributes
    ----------
    path : Path
        The image file.
    score : int
        0, 1, 2 or 3.
    split : str or None
        "train", "val" or "test"; None if nothing says.
    group : str or None
        The slide or patient; None if nothing says. Equal names of different sources are different
        groups.
    magnification : float or None
        Of the objective, such as 40.
    mpp : float or None
        Micrometres per pixel, 0.05 to 5.
    source : str
        "bci", "her2-ihc-40x-patch", "her2-ihc-40x-wsi", "folder", "csv", or a name of your own.
    label_level : str or None
        Whose score it is: "slide", of which the patch may show nothing, or "patch"; None if
        nothing says.

    Raises
    ------
    InvalidInputError
        Another score, split or level, an empty group, or a pixel size or magnification that is
        not positive.

    Examples
    --------
    >>> from her2_models.data import Record
    >>> Record("a.png", 2).label
    '2+'
    >>> Record("a.png", 4)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: score of a.png is 4; it takes 0, 1, 2 or 3
    """

    path: Path
    score: int
    split: str | None = None
    group: str | None = None
    magnification: float | None = None
    mpp: float | None = None
    source: str = "folder"
    label_level: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        if type(self.score) is not int or not 0 <= self.score < len(GRADES):
            self._refuse("score", "0, 1, 2 or 3")
        if self.split is not None and self.split not in SPLITS:
            self._refuse("split", "'train', 'val', 'test' or None")
        if self.group is not None and not self.group:
            self._refuse("group", "a name or None")
        if self.label_level is not None and self.label_level not in LABEL_LEVELS:
            self._refuse("label_level", "'slide', 'patch' or None")
        if self.magnification is not None and not 0 < self.magnification < float("inf"):
            self._refuse("magnification", "a positive number or None")
        low, high = MPP_LIMITS
        if self.mpp is not None and not low <= self.mpp <= high:
            takes = f"a positive number of micrometres per pixel, {low:g} to {high:g}, or None"
            self._refuse("mpp", takes)

    def _refuse(self, name: str, takes: str) -> None:
        raise InvalidInputError(
            f"{name} of {self.path} is {getattr(self, name)!r}; it takes {takes}"
        )

    @property
    def label(self) -> str:
        """The score as it is written: "0", "1+", "2+" or "3+"."""
        return GRADES[self.score]

    @property
    def whole_group(self) -> tuple[str, str] | None:
        """Source and group, or None."""
        return None if self.group is None else (self.source, self.group)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The images of a data set.

    Attributes
    ----------
    records : tuple of Record
        No path twice.
    scheme : str or None
        How the splits were made, if by :func:`split_manifest`.
    left_out : dict of str to tuple of Path
        By reason, the images that :func:`discover` found and left out. No part of what makes two
        manifests equal, nor of tables.

    Raises
    ------
    InvalidInputError
        A path occurs twice.

    Examples
    --------
    >>> from her2_models.data import Manifest, Record
    >>> manifest = Manifest([Record("a.png", 0, "train"), Record("b.png", 2, "test")])
    >>> manifest.counts()
    {'train': (1, 0, 0, 0), 'test': (0, 0, 1, 0)}
    >>> Manifest([Record("a.png", 0, "train"), Record("a.png", 0, "test")])
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: records holds a.png twice; it takes each path once
    """

    records: tuple[Record, ...]
    scheme: str | None = None
    left_out: Mapping[str, tuple[Path, ...]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", tuple(self.records))
        seen: set[Path] = set()
        for record in self.records:
            if record.path in seen:
                raise InvalidInputError(
                    f"records holds {record.path} twice; it takes each path once"
                )
            seen.add(record.path)

    def __len__(self) -> int:
        return len(self.records)

    def counts(self) -> dict[str, tuple[int, int, int, int]]:
        """Count the images of each score.

        Returns
        -------
        dict
            By split, those that occur alone; "none" for images without one.
        """
        found: dict[str, list[int]] = {}
        for record in self.records:
            found.setdefault(record.split or "none", [0, 0, 0, 0])[record.score] += 1
        return {
            name: (row[0], row[1], row[2], row[3])
            for name in (*SPLITS, "none")
            if (row := found.get(name))
        }

    def by_split(self) -> dict[str, tuple[Record, ...]]:
        """Return the records of "train", "val" and "test"; any of them may be empty.

        Returns
        -------
        dict
            All three splits, records in the order of the manifest.
        """
        return {
            name: tuple(record for record in self.records if record.split == name)
            for name in SPLITS
        }

    def with_splits(self, splits: Iterable[str | None], scheme: str) -> "Manifest":
        """Return the same records in other splits.

        Parameters
        ----------
        splits : iterable of str or None
            One for each record.
        scheme : str
            How they were made.

        Returns
        -------
        Manifest
            A new one.
        """
        pairs = zip(self.records, splits, strict=True)
        records = tuple(replace(record, split=split) for record, split in pairs)
        return Manifest(records, scheme, self.left_out)

    def to_csv(self, path: str | Path) -> Path:
        """Write a table that :func:`discover` reads.

        Parameters
        ----------
        path : path
            Where to; its folder is made, and a file there is replaced whole or not at all. Images
            below that folder are written relative to it, so that it can be moved with them.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        InvalidInputError
            No records.
        """
        base = _absolute(Path(path)).parent
        return write_csv(path, [_row(record, base, self.scheme) for record in self.records])


def label_level(records: Iterable[Labelled]) -> str:
    """Say whose scores images bear.

    Parameters
    ----------
    records : iterable of Record
        The images, or others with a `label_level`.

    Returns
    -------
    str
        "slide" or "patch" if that is so of every image, "mixed" if it differs, and "unknown" if
        nothing says, of some image at least.

    Examples
    --------
    >>> from her2_models.data import Record, label_level
    >>> label_level([Record("a.png", 2, label_level="slide")])
    'slide'
    >>> label_level([Record("a.png", 2, label_level="slide"), Record("b.png", 2)])
    'unknown'
    """
    found = {record.label_level for record in records}
    if not found or None in found:
        return "unknown"
    return "mixed" if len(found) > 1 else str(found.pop())


def _row(record: Record, base: Path, scheme: str | None) -> Mapping[str, Any]:
    row = {one.name: getattr(record, one.name) for one in fields(record)}
    absolute = _absolute(record.path)
    inside = absolute.is_relative_to(base)
    row["path"] = (absolute.relative_to(base) if inside else absolute).as_posix()
    row["score"] = record.label
    return {name: "" if value is None else value for name, value in row.items()} | {
        "scheme": scheme or ""
    }


def _absolute(path: Path) -> Path:
    # Path.resolve would follow links, and lead from a linked data set to where it really is
    return Path(os.path.abspath(path))  # noqa: PTH100
