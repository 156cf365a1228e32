"""Images of a report: which are shown, and the JSON of each."""

import json
import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import MembraneXAIError
from membrane_xai.html_report._encoding import encoded_cam, encoded_weights, jpeg
from membrane_xai.html_report._series import Patch
from membrane_xai.stain import separate_stains
from membrane_xai.study._finished import Rows
from membrane_xai.study._views import KeptView, read_view

__all__ = ["DAB_LIMIT", "chosen", "payload", "plain_row", "view_of"]

# Longest side in pixels, and JPEG quality; set by hand so that a page of many images stays small.
_SIDE, _QUALITY = 512, 85
_DAB_SIDE, _DAB_QUALITY = 256, 70
DAB_LIMIT = 1.0
"""Optical density that is shown black."""


def chosen(patches: Sequence[Patch], first: Sequence[str], most: int) -> list[Patch]:
    """Return at most `most` images, those with the keys `first` before others, in table order."""
    wanted = dict.fromkeys(first) | dict.fromkeys(patch.key for patch in patches)
    kept = set(list(wanted)[:most])
    return [patch for patch in patches if patch.key in kept]


def view_of(study: Path, key: str) -> KeptView:
    """Return what was kept of an image, or a blank one without maps if its files are damaged."""
    try:
        return read_view(study, key)
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile, zlib.error):
        return KeptView(np.full((1, 1, 3), 255, np.uint8), np.zeros((1, 1), bool), None, {})


def payload(patch: Patch, view: KeptView, rows: Rows, negative: str) -> dict[str, Any]:
    """Return an image in values that JSON has; equal images give equal text."""
    height, width = view.mask.shape
    return {
        "height": height,
        "width": width,
        "rgb": jpeg(view.rgb, _SIDE, _QUALITY),
        "dab": _dab(_scaled(view.rgb)),
        "mask": encoded_weights(view.mask),
        "region": None if view.region is None else encoded_weights(view.region),
        "maps": [
            _cam(view, number, rows[number], negative)
            for number in patch.rows
            if rows[number]["status"] != "error"  # such a map may be anything
            and rows[number]["class"] in view.maps.get(rows[number]["method"], {})
        ],
    }


def plain_row(row: Mapping[str, Any]) -> list[Any]:
    """Return the values of a row as JSON has them: undefined numbers are null."""
    return [
        None if isinstance(value, float) and not math.isfinite(value) else _json_cell(value)
        for value in row.values()
    ]


def _cam(view: KeptView, number: int, row: Mapping[str, Any], negative: str) -> dict[str, Any]:
    cam = view.maps[row["method"]][row["class"]]
    grid = view.grids[row["method"]]
    return {"row": number, "map": encoded_cam(cam, view.mask, view.region, negative, grid)}


def _scaled(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    picture = Image.fromarray(rgb)
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return np.array(picture)


def _dab(rgb: NDArray[np.uint8]) -> str | None:
    """Return DAB as grey, dense is dark; None for an image that cannot be separated."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of glass that is not there; the picture is for eyes
            dab = np.asarray(separate_stains(rgb).dab)
    except MembraneXAIError:
        return None
    gray = 255 * (1 - np.clip(dab / DAB_LIMIT, 0, 1))
    return jpeg(np.round(gray).astype(np.uint8), _DAB_SIDE, _DAB_QUALITY)


def _json_cell(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)
