"""Score images explained by every method, a row each; errors are rows, too."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from membrane_xai._backend.cam_grid import CELL_COLUMNS, CamGrid, cell_columns
from membrane_xai._backend.vocabulary import SCORES
from membrane_xai.explanation_consistency._agreement import Agreement, Measure, agree
from membrane_xai.explanation_consistency._explainers import Explain, View, explain_views, view_of
from membrane_xai.metrics import alignment
from membrane_xai.perturb._perturbation import Perturbation
from membrane_xai.statistics._nulls import shift_null
from membrane_xai.study._entries import Entry, Loaded
from membrane_xai.study._finished import ON_GRID, Rows
from membrane_xai.study._permuted import on_grid
from membrane_xai.study._views import Views

__all__ = [
    "CHANCE_TEST",
    "COLUMNS",
    "CONTROL_COLUMNS",
    "LARGEST_TESTED",
    "Plan",
    "ec_name",
    "numbers_of",
    "rows_of_errors",
    "score_batch",
    "score_given",
]

_LAST = ("enrichment", "skill", "coverage")  # MAP stands beside its limits
_SCORES = (*(name for name in SCORES if name not in _LAST), *_LAST)
_LABELS = ("id", "group", "method", "class")
COLUMNS = (*_LABELS, *_SCORES, "status", "ec", "mask_share", *CELL_COLUMNS, "flags", "error", "key")
"""Those of every table; each perturbation adds one."""
CHANCE_TEST = ("p_value", "p_mid", "z")
"""Of a row, where its map is compared with its own moves."""
CONTROL_COLUMNS = ("specificity_", "told_")
"""Of each control: the number, and whether there is one, before the control's name."""
LARGEST_TESTED = 64 * 64
"""Pixels of a map up to which all its moves take milliseconds; larger ones are not tested."""
_FAILED = "error"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is computed of every image."""

    perturbations: tuple[Perturbation, ...]
    measure: Measure
    negative: str
    chance_test: str | None
    views: Views
    grids: Mapping[str, CamGrid | None]
    """Of each method; None is half-pixel centres."""
    controls: tuple[str, ...] = ()


def numbers_of(plan: Plan) -> list[str]:
    """Return the names of the columns of numbers."""
    tested = CHANCE_TEST if plan.chance_test == "shift" else ()
    specificity = [f"specificity_{name}" for name in plan.controls]
    return [*_SCORES, *specificity, *tested, *_ec_names(plan), "mask_share", "cell_um"]


def ec_name(perturbation: Perturbation) -> str:
    """Return the name of the column of a perturbation: "rotation (-5 degrees)" has a minus sign."""
    signed = re.sub(r"-(?=[\d.])", " minus ", perturbation.name)
    return "ec_" + re.sub(r"\W+", "_", signed).strip("_").lower()


def _ec_names(plan: Plan) -> list[str]:
    return ["ec", *(ec_name(one) for one in plan.perturbations)]


def score_batch(explain: Explain, method: str, images: Sequence[Loaded], plan: Plan) -> list[Rows]:
    """Return the rows of each image; if a batch fails, its images are tried one by one."""
    if not images:
        return []
    try:
        explained = _explain(explain, method, images, plan)
    except Exception as error:  # noqa: BLE001 - explainers are others' code, and may raise anything
        if len(images) == 1:
            return [rows_of_errors(images[0].entry, method, error, plan, images[0])]
        return [score_batch(explain, method, [one], plan)[0] for one in images]
    by_image = zip(images, explained, strict=True)
    return [_score(image, views, method, plan) for image, views in by_image]


def score_given(method: str, images: Sequence[Loaded], plan: Plan) -> list[Rows]:
    """Return the rows of images whose maps were there before."""
    found: list[Rows] = []
    for image in images:
        try:
            views = {None: [view_of(image.entry.load_cam(method))]}
        except (OSError, ValueError, ImportError) as error:
            found.append(rows_of_errors(image.entry, method, error, plan, image))
        else:
            found.append(_score(image, views, method, plan))
    return found


def rows_of_errors(
    entry: Entry, method: str, error: Exception, plan: Plan, image: Loaded | None = None
) -> Rows:
    """Return the row of an image that could not be explained or scored."""
    unknown: dict[str, Any] = dict.fromkeys(numbers_of(plan), math.nan)
    unknown |= {f"told_{name}": _FAILED for name in plan.controls}
    message = " ".join(f"{type(error).__name__}: {error}".split())
    known = {} if image is None else _about(image)
    known |= cell_columns(None, plan.grids[method], (), None)
    return [_row(entry, method, entry.target, unknown | known | {"status": _FAILED}, plan, message)]


def _explain(
    explain: Explain, method: str, images: Sequence[Loaded], plan: Plan
) -> list[dict[Any, list[View]]]:
    targets = [one.entry.target for one in images]
    known = None if all(target is None for target in targets) else targets
    rgb = [one.rgb for one in images]
    return explain_views(explain, rgb, plan.perturbations, known, plan.grids[method])


def _score(image: Loaded, views: Mapping[Any, list[View]], method: str, plan: Plan) -> Rows:
    entry = image.entry
    grid = plan.grids[method]
    plan.views.add_cams(entry.key, method, views, entry.target, grid)
    try:
        return [
            _row(
                entry,
                method,
                entry.target if label is None else label,
                _about(image)
                | cell_columns(shown[0].cam.shape, grid, image.mask.shape, image.mpp)
                | _aligned(shown[0], image, grid, plan)
                | _consistent(shown, plan),
                plan,
                "",
            )
            for label, shown in views.items()
        ]
    except ValueError as error:
        return rows_of_errors(entry, method, error, plan, image)


def _about(image: Loaded) -> dict[str, Any]:
    return {"mask_share": float(image.mask.mean()), "flags": ";".join(image.flags)}


def _aligned(view: View, image: Loaded, grid: CamGrid | None, plan: Plan) -> dict[str, Any]:
    found = alignment(view.cam, image.mask, region=image.region, grid=grid, negative=plan.negative)
    values = found.to_dict()
    scores = {name: values[name] for name in (*_SCORES, "status")}
    scores |= _specific(view, image, grid, plan)
    return scores | _tested(view, image, grid, plan)


def _specific(view: View, image: Loaded, grid: CamGrid | None, plan: Plan) -> dict[str, Any]:
    """Hold the map against each control mask."""
    scores: dict[str, Any] = {}
    for name, control in image.controls.items():
        found = alignment(
            view.cam,
            image.mask,
            region=image.region,
            against=control,
            grid=grid,
            negative=plan.negative,
        )
        scores[f"specificity_{name}"] = found.specificity
        scores[f"told_{name}"] = found.specificity_status
    return scores


def _control_columns(plan: Plan) -> list[str]:
    return [f"{what}{name}" for name in plan.controls for what in CONTROL_COLUMNS]


def _tested(view: View, image: Loaded, grid: CamGrid | None, plan: Plan) -> dict[str, Any]:
    """Compare the map with its moves, or keep what a comparison with other patients needs."""
    if plan.chance_test is None:
        return {}
    if plan.chance_test == "permutation":
        small = math.prod(view.cam.shape) <= LARGEST_TESTED
        given = (view.cam, image.mask, image.region, grid)
        return {ON_GRID: on_grid(*given, negative=plan.negative)} if small else {}
    if math.prod(view.cam.shape) > LARGEST_TESTED:
        return dict.fromkeys(CHANCE_TEST, math.nan)
    found = shift_null(view.cam, image.mask, region=image.region, grid=grid, negative=plan.negative)
    return {name: getattr(found, name) for name in CHANCE_TEST}


def _consistent(views: Sequence[View], plan: Plan) -> dict[str, float]:
    found: Agreement = agree(views, plan.measure, "original")
    by_name = zip(plan.perturbations, found.with_original, strict=True)
    return {"ec": found.ec} | {ec_name(one): pair.similarity for one, pair in by_name}


def _row(
    entry: Entry, method: str, label: Any, values: Mapping[str, Any], plan: Plan, error: str
) -> dict[str, Any]:
    tested = CHANCE_TEST if plan.chance_test == "shift" else ()
    names = (*_SCORES, "status", *_control_columns(plan), *tested, *_ec_names(plan), "mask_share")
    names += CELL_COLUMNS
    plain = label if label is None or isinstance(label, str | int | float) else str(label)
    return {
        "id": entry.id,
        "group": entry.group,
        "method": method,
        "class": plain,
        **entry.labels,
        **{name: values[name] for name in names},
        "flags": values.get("flags", ""),
        "error": error,
        "key": entry.key,
        **{name: values[name] for name in (ON_GRID,) if name in values},
    }
