"""Tables of a study of explanations: one row an image, and one a class."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from her2_models.explain._consistency import class_ec
from her2_models.explain._work import Image, Prediction
from membrane_xai import summarize
from membrane_xai.statistics import Summary

__all__ = ["class_rows", "image_rows"]

Rows = list[dict[str, Any]]

_MEANS = ("map", "chance", "relative", "ec", "ec magnification")


def image_rows(
    rows: Sequence[Mapping[str, Any]],
    images: Sequence[Image],
    predictions: Sequence[Prediction | None],
    magnified: Mapping[tuple[str, str], float],
) -> Rows:
    """Add what was predicted, and EC between magnifications, to the rows of a study."""
    by_path = {
        str(image.path): prediction for image, prediction in zip(images, predictions, strict=True)
    }
    return [
        {
            **row,
            "predicted": "" if (said := by_path[row["id"]]) is None else said.score,
            "confidence": math.nan if said is None else said.confidence,
            "ec magnification": _of_prediction(row, said, magnified),
        }
        for row in rows
    ]


def _of_prediction(
    row: Mapping[str, Any],
    said: Prediction | None,
    magnified: Mapping[tuple[str, str], float],
) -> float:
    """Return EC between magnifications, which only the predicted score has."""
    if said is None or row["class"] != said.score:
        return math.nan
    return magnified.get((row["id"], row["method"]), math.nan)


def class_rows(rows: Rows, out: Path, *, draws: int, seed: int) -> Rows:
    """Summarise the images of each method and explained class; those with errors are counted."""
    parts: dict[tuple[str, str], Rows] = {}
    for row in rows:
        parts.setdefault((row["method"], str(row["class"])), []).append(row)
    return [
        {"method": method, "class": score, **_summary(members, out, draws, seed)}
        for (method, score), members in sorted(parts.items())
    ]


def _summary(rows: Rows, out: Path, draws: int, seed: int) -> dict[str, Any]:
    explained = [row for row in rows if row["status"] != "error"]
    scored = [row for row in rows if row["status"] == "ok"]
    groups = [row["group"] for row in rows]
    known = None if None in groups else groups
    found: dict[str, Any] = {
        "images": len(rows),
        "groups": "" if known is None else len(set(known)),
        "with MAP": len(scored),
        "errors": len(rows) - len(explained),
    }
    for name in _MEANS:
        values = [row[name] for row in rows]
        mean = _mean(values, known, draws, seed)
        found |= {name: mean.mean, f"{name} low": mean.low, f"{name} high": mean.high}
    return found | {"ec class": class_ec(explained, out) if explained else math.nan}


def _mean(values: list[float], groups: list[str] | None, draws: int, seed: int) -> Summary:
    return summarize(values, groups, draws=draws, seed=seed)
