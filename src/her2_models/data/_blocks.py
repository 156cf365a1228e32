"""Runs of neighbouring counters, so that patches cut one after the other stay together."""

from collections.abc import Iterable, Sequence

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

    A run is at least one record, and never all.
    """
    series: dict[tuple[str, int], list[int]] = {}
    for i in among:
        series.setdefault((records[i].source, records[i].score), []).append(i)
    random = np.random.default_rng(seed)
    chosen: list[int] = []
    for _, members in sorted(series.items()):
        members.sort(key=lambda i: _place(records[i]))
        length = min(max(1, round(share * len(members))), len(members) - 1)
        start = int(random.integers(0, len(members) - length + 1))
        chosen += members[start : start + length]
    return frozenset(chosen)


def _place(record: Record) -> tuple[str, int, str]:
    name = read_file_name(record.path.stem)
    if name.counter is None:
        raise InvalidInputError(
            f"manifest has {record.path}, a name without a counter; blocks go by counters"
        )
    return name.prefix, name.counter, record.path.as_posix()
