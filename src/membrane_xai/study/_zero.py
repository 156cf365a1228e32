"""EC0 and skill of the rows of a study, once the maps of all their images are there."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from membrane_xai._backend.labels import is_missing
from membrane_xai._disk.atomic import write_text
from membrane_xai.explanation_consistency._agreement import Measure, kinds_of, places_of
from membrane_xai.explanation_consistency._zero import Member, Skill, skill_of, zeros_of
from membrane_xai.perturb._perturbation import KINDS, Perturbation
from membrane_xai.study._finished import Rows
from membrane_xai.study._views import PerturbedMaps
from membrane_xai.tables import json_text

__all__ = [
    "EC_STATUS",
    "SKILLS",
    "ec_of",
    "is_skill_column",
    "skill_columns",
    "weights_of_skill",
    "with_kept_skill",
    "with_skill",
]

_KINDS = ("", *(f"_{kind}" for kind in KINDS))
_COLUMNS = tuple(name for kind in _KINDS for name in (f"ec_skill{kind}", f"ec{kind}", f"ec0{kind}"))
SKILLS = tuple(f"ec_skill{kind}" for kind in (*_KINDS[1:], _KINDS[0]))
"""Columns of skill, those that are read first before the rest."""
EC_STATUS = "ec_status"
_NAMES = (*(name for name in _COLUMNS if name.startswith(("ec_skill", "ec0"))), EC_STATUS)
"""What is known once all images are there."""
_FILE = "ec_zero.json"
_UNKNOWN = "unknown"
"""Status of EC until all images are there."""

Place = tuple[str, str, Any]


def skill_columns(steps: Sequence[Perturbation]) -> list[str]:
    """Return the names of the columns of EC, EC0 and skill; of EC alone without views."""
    return list(_COLUMNS) if steps else ["ec"]


def is_skill_column(name: str) -> bool:
    """Tell the columns of EC, EC0 and skill from those of single perturbations."""
    return name in _COLUMNS


def weights_of_skill(rows: Rows, name: str) -> list[float] | None:
    """Return what each row's skill counts in a mean: 1 - EC0, so that it is a ratio of sums."""
    if not name.startswith("ec_skill"):
        return None
    zeros = [row[f"ec0{name.removeprefix('ec_skill')}"] for row in rows]
    return [1 - zero if math.isfinite(zero) else 1.0 for zero in zeros]


def ec_of(scores: Any, steps: Sequence[Perturbation]) -> dict[str, Any]:
    """Return what one image knows of its columns: EC, not yet what it takes others for."""
    if not steps:
        return {"ec": math.nan}
    found: dict[str, Any] = dict.fromkeys(_COLUMNS, math.nan)
    for kind, one in _by_kind(scores, scores * math.nan, steps).items():
        found[f"ec{kind}"] = one.ec
    return found | {EC_STATUS: _UNKNOWN}


def with_skill(
    rows: Rows,
    maps: PerturbedMaps,
    steps: Mapping[str, Perturbation],
    measure: Measure,
    out: Path | None,
) -> Rows:
    """Return rows with EC0 and skill, and keep these in the folder of the study.

    `steps` are by the name of their column. EC0 is among the rows of one method and class, of
    images of different groups; an image whose group is not known is one of its own.
    """
    if not steps:
        return rows
    places = {_place(row): row for row in rows if row["status"] != "error" and maps.has(row)}
    found = {} if out is None else _kept(out)
    if found.keys() != places.keys():  # a key has all that scores depend on, so that these do not
        found = _skills(list(places.values()), maps, steps, measure)
        if out is not None:
            _write(out, found)
    return _filled(rows, found)


def _skills(
    rows: Rows, maps: PerturbedMaps, steps: Mapping[str, Perturbation], measure: Measure
) -> dict[Place, dict[str, Any]]:
    members = [
        Member(
            (row["method"], str(row["class"])),
            ("image", row["key"]) if is_missing(row["group"]) else ("group", row["group"]),
        )
        for row in rows
    ]
    pairs = places_of(len(steps) + 1, "original")
    zeros = zeros_of(members, lambda i: maps.read(rows[i]), measure, pairs, seed=0)
    found: dict[Place, dict[str, Any]] = {}
    for row, zero in zip(rows, zeros, strict=True):
        scores = np.array([row[name] for name in steps])
        by_kind = _by_kind(scores, zero, list(steps.values()))
        found[_place(row)] = {EC_STATUS: by_kind[""].status} | {
            name: value
            for kind, one in by_kind.items()
            for name, value in ((f"ec_skill{kind}", one.skill), (f"ec0{kind}", one.ec0))
        }
    return found


def with_kept_skill(rows: Rows, out: Path) -> Rows:
    """Return rows with the EC0 and skill that a folder keeps."""
    return _filled(rows, _kept(out))


def _kept(out: Path) -> dict[Place, dict[str, Any]]:
    path = out / _FILE
    if not path.exists():
        return {}
    return {
        (key, method, label): {
            name: math.nan if value is None else value
            for name, value in zip(_NAMES, values, strict=True)
        }
        for key, method, label, *values in json.loads(path.read_text(encoding="utf-8"))["rows"]
    }


def _by_kind(scores: Any, zero: Any, steps: Sequence[Perturbation]) -> dict[str, Skill]:
    """Return skill over all views, and over those of each kind, by the end of its columns."""
    masks = kinds_of([one.kind for one in steps], places_of(len(steps) + 1, "original"))
    apart = {f"_{kind}": skill_of(scores, zero, mask) for kind, mask in masks.items()}
    return {"": skill_of(scores, zero)} | apart


def _filled(rows: Rows, found: Mapping[Place, Mapping[str, Any]]) -> Rows:
    return [{**row, **found.get(_place(row), {})} for row in rows]


def _write(out: Path, found: Mapping[Place, Mapping[str, Any]]) -> None:
    rows = [[*place, *(values[name] for name in _NAMES)] for place, values in found.items()]
    write_text(out / _FILE, json_text({"names": list(_NAMES), "rows": rows}, indent=None) + "\n")


def _place(row: Mapping[str, Any]) -> Place:
    return row["key"], row["method"], row["class"]
