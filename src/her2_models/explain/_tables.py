"""Columns that are measured of each image, and means by class."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from her2_models.explain._work import ImageFile, Prediction
from membrane_xai.io import scale_text
from membrane_xai.study import StudyResult, class_consistency

__all__ = ["class_rows", "measured_columns"]

Rows = list[dict[str, Any]]
Column = dict[tuple[str, str, Any], float]

_BY = ("method", "class")


def measured_columns(
    rows: Rows,
    images: Sequence[ImageFile],
    predictions: Sequence[Prediction | None],
    magnified: Mapping[tuple[str, str], float],
) -> dict[str, Column]:
    """Return confidence, micrometres per pixel at the input, and EC between magnifications.

    EC is that of the explained score's CAM; other rows of every class have none.
    """
    by_path = {str(i.path): p for i, p in zip(images, predictions, strict=True)}
    confidence: Column = {}
    scale: Column = {}
    ec: Column = {}
    for row in rows:
        prediction = by_path[row["id"]]
        if prediction is not None:
            place = row["key"], row["method"], row["class"]
            confidence[place] = prediction.confidence
            scale[place] = prediction.input_um_per_pixel
            if row["class"] == prediction.explained:
                ec[place] = magnified.get((row["id"], row["method"]), math.nan)
    return {"confidence": confidence, "input_um_per_pixel": scale, "ec_magnification": ec}


def class_rows(study: StudyResult, out: Path, label_level: str) -> Rows:
    """Summarize the rows of each method and explained class.

    Beside the means stand EC among its CAMs and with others, the scale at the network's input, and
    whose scores the images bear.
    """
    alike = {_key(row): row for row in class_consistency(study.rows, out, _BY)}
    rows = sorted(study.summary(by=_BY), key=_key)
    sizes: dict[tuple[str, str], list[float]] = {}
    for one in study.rows:
        sizes.setdefault(_key(one), []).append(one["input_um_per_pixel"])
    return [
        {
            **row,
            **_among(alike.get(_key(row), {})),
            "input_scale": scale_text(sizes[_key(row)]),
            "label_level": label_level,
        }
        for row in rows
    ]


def _among(row: Mapping[str, Any]) -> dict[str, float]:
    return {"ec_class": row.get("ec", math.nan), "ec_between": row.get("ec_between", math.nan)}


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["method"], str(row["class"])
