"""Runs of neighbouring counters, so that patches cut one after the other stay together."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from her2_models.data._manifest import Record
from her2_models.data._names import read_file_name
from membrane_xai.errors import InvalidInputError

__all__ = ["blocks", "split_blocks"]


def split_blocks(records: Sequence[Record], share: float, seed: int) -> list[str]:
    """Return "test" for one run of each source and score, "train" for the rest."""
    if any(record.group is not None for record in records):
        raise InvalidInputError(
            "manifest has records with a group; a run of counters would cut through groups: "
            "it takes scheme 'kfold'"
        )
    held_out = blocks(records, range(len(records)), share, seed)
    return ["test" if i in held_out else "train" for i in range(len(records))]


def blocks(
    records: Sequence[Record], among: Iterable[int], share: float, seed: int
) -> frozenset[int]:
    """Return the positions, of those in `among`, of one run of each source and score.

    A run is at least one source image, and never all; copies of one stay together.
    """
    images: dict[_Origin, list[int]] = {}
    for i in among:
        images.setdefault(_origin(records[i]), []).append(i)
    series: dict[tuple[str, int], list[_Origin]] = {}
    for origin in sorted(images):
        series.setdefault((origin.source, origin.score), []).append(origin)
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for _, origins in sorted(series.items()):
        length = min(max(1, round(share * len(origins))), len(origins) - 1)
        start = int(random.integers(0, len(origins) - length + 1))
        for origin in origins[start : start + length]:
            chosen += images[origin]
    return frozenset(chosen)


class _Origin(NamedTuple):
    """The image that a file was made from, as far as names tell; sorts by counter."""

    source: str
    score: int
    prefix: str
    counter: int
    path: str
    """Empty where the name alone tells, whatever folder a copy lies in."""


def _origin(record: Record) -> _Origin:
    name = read_file_name(record.path.stem)
    if name.counter is None:
        raise InvalidInputError(
            f"manifest has {record.path}, a name without a counter; blocks go by counters"
        )
    known = name.score is not None
    return _Origin(
        record.source,
        record.score if name.score is None else name.score,
        name.prefix,
        name.counter,
        "" if known else record.path.as_posix(),
    )
