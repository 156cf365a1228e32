"""What an audit comes to: means with intervals, and EC among images that should be explained alike.

Images are put together in the same ways for both: all of them, and by each value of the columns.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from membrane_xai._backend.vocabulary import SUMMARY_SCORES
from membrane_xai.accumulate import EcAccumulator
from membrane_xai.io import read_cam
from membrane_xai.statistics import summarize

__all__ = ["MOST_VALUES", "Rows", "columns_to_part_by", "ec_rows", "summary_rows"]

Rows = list[dict[str, Any]]

MOST_VALUES = 50
"""Images are parted by columns of up to that many different values, and by any number of groups."""

_ALL = ("all", "")


class _Part(NamedTuple):
    """Rows of one method with one value of a column."""

    method: str
    by: str
    value: Any
    rows: Sequence[Mapping[str, Any]]


def columns_to_part_by(rows: Rows, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that part images, and those that have too many values for it."""
    counts = {name: len({row[name] for row in rows} - {None}) for name in ("class", *labels)}
    few = [name for name, count in counts.items() if 0 < count <= MOST_VALUES]
    grouped = ["group"] if any(row["group"] is not None for row in rows) else []
    return [*few, *grouped], [name for name, count in counts.items() if count > MOST_VALUES]


def summary_rows(rows: Rows, columns: Sequence[str], *, draws: int, seed: int) -> Rows:
    """Return the mean scores of each part with cluster-bootstrap intervals over groups.

    Within one group there are no others to draw, so its intervals are NaN.
    """
    return [_summary(part, draws, seed) for part in _parts(rows, columns)]


def ec_rows(
    rows: Rows,
    columns: Sequence[str],
    cams: Mapping[tuple[str, str], Path],
    *,
    similarity: str,
    show: Callable[[int], None] = lambda _done: None,
) -> Rows:
    """Return EC of each part, over the pairs of its CAMs of one grid; `cams` by id and method.

    Maps are read one by one and none is kept.
    """
    found: Rows = []
    scored = [row for row in rows if row["status"] != "error"]
    for done, part in enumerate(_parts(scored, columns)):
        show(done)
        by_grid: dict[tuple[int, ...], EcAccumulator] = {}
        count: Counter[tuple[int, ...]] = Counter()
        for row in part.rows:
            cam = read_cam(cams[row["id"], row["method"]])
            grid = by_grid.setdefault(cam.shape, EcAccumulator(similarity=similarity))
            grid.update(cam)
            count[cam.shape] += 1
        found += [_ec(part, grid, total, count[grid]) for grid, total in by_grid.items()]
    return found


def _parts(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> Iterator[_Part]:
    for method in dict.fromkeys(row["method"] for row in rows):
        members = [row for row in rows if row["method"] == method]
        yield _Part(method, *_ALL, members)
        for column in columns:
            values = dict.fromkeys(row[column] for row in members if row[column] is not None)
            for value in values:
                yield _Part(method, column, value, [r for r in members if r[column] == value])


def _summary(part: _Part, draws: int, seed: int) -> dict[str, Any]:
    groups = [row["group"] for row in part.rows]
    known = None if None in groups else groups
    found: dict[str, Any] = {
        "method": part.method,
        "by": part.by,
        "value": part.value,
        "images": len(part.rows),
        "groups": math.nan if known is None else len(set(known)),
        "scored": sum(row["status"] == "ok" for row in part.rows),
        "errors": sum(row["status"] == "error" for row in part.rows),
    }
    for name in SUMMARY_SCORES:
        mean = summarize([row[name] for row in part.rows], known, draws=draws, seed=seed)
        found |= {name: mean.mean, f"{name} low": mean.low, f"{name} high": mean.high}
    return found


def _ec(part: _Part, grid: tuple[int, ...], total: EcAccumulator, count: int) -> dict[str, Any]:
    result = total.compute()
    return {
        "method": part.method,
        "by": part.by,
        "value": part.value,
        "grid": "x".join(map(str, grid)),
        "cams": count,
        "ec": result.ec,
        "pairs": result.n_pairs,
        "undefined pairs": result.n_undefined,
        "status": result.status,
    }
