"""Names of scores, statuses and HER2 grades, as in tables and options."""

__all__ = [
    "CONTROLS",
    "EC_STATUSES",
    "GRADES",
    "NULLS",
    "OF_SUMS",
    "ROW_STATUSES",
    "SCORES",
    "SPECIFICITY_STATUSES",
    "STATUSES",
    "SUMMARY_SCORES",
    "bounds_of",
]

SCORES = (
    "map",
    "chance",
    "enrichment",
    "skill",
    "ideal",
    "toward_ideal",
    "ceiling",
    "relative",
    "coverage",
)
"""Scores of :func:`membrane_xai.alignment`, as its result and all tables call them."""

SUMMARY_SCORES = ("map", "chance", "ideal", "toward_ideal", "ceiling", "relative", "coverage")
"""Scores whose means summaries show; enrichment and skill say MAP and chance another way."""

OF_SUMS = "toward_ideal_of_sums"
"""``sum(map - chance) / sum(ideal - chance)`` in summaries, beside the mean of ratios: an image in
which little was to be had weighs little in it."""

STATUSES = ("ok", "no_activation", "empty_mask", "empty_region", "non_finite")
"""Whether a sample has scores, and if not, why."""

SPECIFICITY_STATUSES = (*STATUSES, "empty_control", "cannot_tell")
"""Whether a sample has a specificity, and if not, why."""

ROW_STATUSES = (*STATUSES, "error")
"""Statuses of a study's rows: an image that could not be read or explained has one, too."""

EC_STATUSES = ("ok", "too_few_maps", "no_defined_pair")
"""Whether a set of maps has an EC, and if not, why."""

CONTROLS = ("inside", "nuclei", "stained")
"""Names of the control masks that the library makes."""

NULLS = ("permutation", "shift")
"""Tests of maps against chance: of sets, permuted among patients; of each, moved in its region."""

GRADES = ("0", "1+", "2+", "3+")
"""HER2 scores as the ASCO/CAP guideline writes them, from the lowest; their index is the class."""

_BOUNDS = {
    **dict.fromkeys(("map", "chance", "ceiling", "ideal", "coverage"), (0.0, 1.0)),
    "enrichment": (0.0, float("inf")),
    "ec": (-1.0, 1.0),
}


def bounds_of(score: str) -> tuple[float, float] | None:
    """Return the range of a score by its column, for the scale of its interval; None is any."""
    if score.startswith("ec_skill"):
        return -float("inf"), 1.0  # as far below 0 as EC0 is near 1
    return _BOUNDS["ec"] if score.startswith(("ec_", "ec0")) else _BOUNDS.get(score)
