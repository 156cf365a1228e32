"""Group the rows of a study and summarise each group: counts, means, intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.labels import is_missing
from membrane_xai._backend.vocabulary import SUMMARY_SCORES
from membrane_xai.accumulate._columns import COUNTS, columns_of_rows
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics._combination import combine_nulls
from membrane_xai.statistics._nulls import NullResult
from membrane_xai.study._finished import Rows
from membrane_xai.study._grids import shared_by
from membrane_xai.study._permuted import OnGrid, permuted
from membrane_xai.study._zero import EC_STATUS, is_skill_column, weights_of_skill

__all__ = [
    "MOST_VALUES",
    "Part",
    "columns_to_part_by",
    "ec_columns",
    "groups_of",
    "intervals_of",
    "parts_by",
    "parts_of_columns",
    "specificity_columns",
    "summary_of",
]

MOST_VALUES = 50
"""Rows are parted by columns of up to that many different values, and by any number of groups."""


_DRAWS, _SEED = 10_000, 0
"""Of a bootstrap, where a study does not say."""


class Part(NamedTuple):
    """Rows that are averaged together."""

    key: Mapping[str, Any]
    """Columns that say which."""
    rows: Rows


def parts_by(rows: Rows, by: Sequence[str]) -> list[Part]:
    """Put rows together that share the values of some columns, in order of appearance."""
    columns = [by] if isinstance(by, str) else list(by)
    for name in columns:
        if rows and name not in rows[0]:
            raise InvalidInputError(f"by is {by!r}; it takes names among {list(rows[0])}")
    found: dict[tuple[Any, ...], Rows] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in columns), []).append(row)
    return [Part(dict(zip(columns, key, strict=True)), part) for key, part in found.items()]


def parts_of_columns(rows: Rows, columns: Sequence[str]) -> list[Part]:
    """Put the rows of each method together: all, and those of each value of each column.

    A column at a time, each with the key `method`, `by` and `value`.
    """
    found: list[Part] = []
    for key, members in parts_by(rows, ["method"]):
        found.append(Part({**key, "by": "all", "value": ""}, members))
        found += [
            Part({**key, "by": name, "value": part.key[name]}, part.rows)
            for name in columns
            for part in parts_by([row for row in members if not is_missing(row[name])], [name])
        ]
    return found


def columns_to_part_by(rows: Rows, labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the columns that part rows, and those that have too many values for it."""
    counts = {
        name: len({row[name] for row in rows if not is_missing(row[name])})
        for name in ("class", *labels)
    }
    few = [name for name, count in counts.items() if 0 < count <= MOST_VALUES]
    grouped = ["group"] if any(not is_missing(row["group"]) for row in rows) else []
    return [*few, *grouped], [name for name, count in counts.items() if count > MOST_VALUES]


def summary_of(
    parts: Sequence[Part],
    scores: Sequence[str] | None = None,
    *,
    ci: float = 0.95,
    draws: int,
    seed: int,
    on_grid: OnGrid | None = None,
) -> Rows:
    """Return a row for each part: its key, counts, and each score with its interval over groups.

    Every table of means that is printed, written or drawn of a study is made here. With `on_grid`
    the rows of a part are tested together against chance.
    """
    names = _scores(parts[0].rows, scores) if parts else []
    taken = [name for part in parts for name in part.key if name in (*COUNTS, *names)]
    if taken:
        raise InvalidInputError(f"by has {taken[0]!r}, which the summary has already; rename it")
    return [
        _summary(part, names, ci, draws, seed) | _tested(part.rows, on_grid, seed) for part in parts
    ]


def intervals_of(settings: Mapping[str, Any]) -> dict[str, int]:
    """Return how a study makes its intervals."""
    return {"draws": settings.get("draws", _DRAWS), "seed": settings.get("seed", _SEED)}


def ec_columns(rows: Rows) -> list[str]:
    """Return the names of the columns of EC along single axes, such as one perturbation."""
    return [
        name
        for name, value in rows[0].items()
        if name.startswith("ec_") and isinstance(value, float) and not is_skill_column(name)
    ]


def specificity_columns(rows: Rows) -> list[str]:
    """Return the names of the columns of specificity, one for each control."""
    return [name for name in rows[0] if name.startswith("specificity_")]


def groups_of(rows: Rows) -> list[Any] | None:
    """Return the group of each row, or None unless all are known."""
    groups = [row["group"] for row in rows]
    return None if any(is_missing(group) for group in groups) else groups


def _scores(rows: Rows, scores: Sequence[str] | None) -> list[str]:
    if scores is None:
        skills = [name for name in rows[0] if is_skill_column(name)]
        known = (*SUMMARY_SCORES, *specificity_columns(rows), *skills, *ec_columns(rows))
        return [name for name in known if name in rows[0]]
    names = [scores] if isinstance(scores, str) else list(scores)
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    if not set(names) <= set(numbers):
        raise InvalidInputError(f"scores is {scores!r}; it takes names among {numbers}")
    return names


def _summary(part: Part, scores: Sequence[str], ci: float, draws: int, seed: int) -> dict[str, Any]:
    groups = groups_of(part.rows)
    columns = {name: [row[name] for row in part.rows] for name in scores}
    status = [row["status"] for row in part.rows]
    weights = {name: weights_of_skill(part.rows, name) for name in scores}
    means = columns_of_rows(columns, status, groups, weights=weights, ci=ci, draws=draws, seed=seed)
    cells = shared_by(part.rows) if "grid" in part.rows[0] else {}
    return {**part.key, **means, **_without_skill(part.rows), **_untold(part.rows), **cells}


def _untold(rows: Rows) -> dict[str, int]:
    """Count the rows whose grid is too coarse for specificity, for each control."""
    return {
        f"{name}_cannot_tell": sum(
            row[name.replace("specificity", "told", 1)] == "cannot_tell" for row in rows
        )
        for name in specificity_columns(rows)
    }


def _without_skill(rows: Rows) -> dict[str, int]:
    """Count the rows whose skill is undefined though they have an EC, by reason."""
    if EC_STATUS not in rows[0]:
        return {}
    return {
        f"ec_{reason}": sum(row[EC_STATUS] == reason for row in rows)
        for reason in ("ignores_image", "too_few_images")
    }


def _tested(rows: Rows, on_grid: OnGrid | None, seed: int) -> dict[str, Any]:
    """Test rows together against chance, as the study asked for."""
    groups = groups_of(rows)
    if on_grid is not None:
        return permuted(rows, on_grid, groups, seed=seed)
    return _combined(rows, groups) if "p_mid" in rows[0] else {}


def _combined(rows: Rows, groups: list[Any] | None) -> dict[str, Any]:
    """Combine the chance tests of rows."""
    columns: dict[str, Any] = {
        name: np.array([row[name] for row in rows]) for name in ("p_value", "p_mid", "z", "status")
    }
    others = dict.fromkeys(("score", "null_mean", "null_sd", "n_null"))
    found = combine_nulls(NullResult(**columns, **others), groups)
    return {
        "p_value": found.p_value,
        "p_value_n": found.n,
        "p_value_null": "shift",
        "p_value_note": "",
    }
