"""Rows of a study: images explained by every method and scored, an error being a row, too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from membrane_xai._backend.vocabulary import SCORES
from membrane_xai.explanation_consistency._agreement import Agreement, Measure, agree
from membrane_xai.explanation_consistency._explainers import Explain, View, explain_views, view_of
from membrane_xai.metrics import alignment
from membrane_xai.perturb._perturbation import Perturbation
from membrane_xai.study._parts import Rows
from membrane_xai.study._subjects import Entry, Subject
from membrane_xai.study._views import Views

__all__ = [
    "COLUMNS",
    "Plan",
    "numbers_of",
    "rows_of_errors",
    "score_batch",
    "score_given",
]

_LAST = ("enrichment", "skill", "coverage")  # MAP stands beside its limits
_SCORES = (*(name for name in SCORES if name not in _LAST), *_LAST)
_LABELS = ("id", "group", "method", "class")
COLUMNS = (*_LABELS, *_SCORES, "status", "ec", "mask_share", "flags", "error", "key")
"""Those of every table; each perturbation adds one."""
_FAILED = "error"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is computed of every image."""

    perturbations: tuple[Perturbation, ...]
    measure: Measure
    negative: str
    views: Views


def numbers_of(plan: Plan) -> list[str]:
    """Return the names of the columns of numbers."""
    return [*_SCORES, "ec", *(_ec_name(one) for one in plan.perturbations), "mask_share"]


def score_batch(
    explain: Explain, method: str, entries: Sequence[Entry], subjects: Sequence[Subject], plan: Plan
) -> list[Rows]:
    """Return the rows of each image; if a batch fails, its images are tried one by one."""
    if not entries:
        return []
    try:
        explained = _explain(explain, entries, subjects, plan)
    except Exception as error:  # noqa: BLE001 - explainers are others' code, and may raise anything
        if len(entries) == 1:
            return [rows_of_errors(entries[0], method, error, plan, subjects[0])]
        alone = zip(entries, subjects, strict=True)
        return [score_batch(explain, method, [e], [s], plan)[0] for e, s in alone]
    by_image = zip(entries, subjects, explained, strict=True)
    return [_score(entry, subject, views, method, plan) for entry, subject, views in by_image]


def score_given(
    method: str, entries: Sequence[Entry], subjects: Sequence[Subject], plan: Plan
) -> list[Rows]:
    """Return the rows of images whose maps were there before."""
    found: list[Rows] = []
    for entry, subject in zip(entries, subjects, strict=True):
        try:
            views = {None: [view_of(entry.load_map(method))]}
        except (OSError, ValueError, ImportError) as error:
            found.append(rows_of_errors(entry, method, error, plan, subject))
        else:
            found.append(_score(entry, subject, views, method, plan))
    return found


def rows_of_errors(
    entry: Entry, method: str, error: Exception, plan: Plan, subject: Subject | None = None
) -> Rows:
    """Return the row of an image that could not be explained or scored."""
    unknown = dict.fromkeys(numbers_of(plan), math.nan)
    message = " ".join(f"{type(error).__name__}: {error}".split())
    known = {} if subject is None else _about(subject)
    return [_row(entry, method, entry.target, unknown | known | {"status": _FAILED}, plan, message)]


def _explain(
    explain: Explain, entries: Sequence[Entry], subjects: Sequence[Subject], plan: Plan
) -> list[dict[Any, list[View]]]:
    targets = [entry.target for entry in entries]
    known = None if all(target is None for target in targets) else targets
    return explain_views(explain, [s.rgb for s in subjects], plan.perturbations, known)


def _score(
    entry: Entry, subject: Subject, views: Mapping[Any, list[View]], method: str, plan: Plan
) -> Rows:
    plan.views.add_maps(entry.key, method, views, entry.target)
    try:
        return [
            _row(
                entry,
                method,
                entry.target if label is None else label,
                _about(subject) | _aligned(shown[0], subject, plan) | _consistent(shown, plan),
                plan,
                "",
            )
            for label, shown in views.items()
        ]
    except ValueError as error:
        return rows_of_errors(entry, method, error, plan, subject)


def _about(subject: Subject) -> dict[str, Any]:
    return {"mask_share": float(subject.mask.mean()), "flags": ";".join(subject.flags)}


def _aligned(view: View, subject: Subject, plan: Plan) -> dict[str, Any]:
    found = alignment(view.map, subject.mask, region=subject.region, negative=plan.negative)
    values = found.to_dict()
    return {name: values[name] for name in (*_SCORES, "status")}


def _consistent(views: Sequence[View], plan: Plan) -> dict[str, float]:
    found: Agreement = agree(views, plan.measure, "original")
    by_name = zip(plan.perturbations, found.with_original, strict=True)
    return {"ec": found.ec} | {_ec_name(one): pair.similarity for one, pair in by_name}


def _ec_name(perturbation: Perturbation) -> str:
    return f"ec {perturbation.name}"


def _row(
    entry: Entry, method: str, label: Any, values: Mapping[str, Any], plan: Plan, error: str
) -> dict[str, Any]:
    numbers = numbers_of(plan)
    ec = [name for name in numbers if name == "ec" or name.startswith("ec ")]
    plain = label if label is None or isinstance(label, str | int | float) else str(label)
    return {
        "id": entry.id,
        "group": entry.group,
        "method": method,
        "class": plain,
        **entry.labels,
        **{name: values[name] for name in (*_SCORES, "status", *ec, "mask_share")},
        "flags": values.get("flags", ""),
        "error": error,
        "key": entry.key,
    }
