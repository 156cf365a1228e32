"""The test of a set against chance: maps and masks on one grid, permuted among patients."""

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai.metrics import pool_mask
from membrane_xai.statistics._permutation_null import permutation_null

__all__ = ["OnGrid", "on_grid", "permuted"]

OnGrid = Mapping[tuple[str, str, Any], str]
"""By a row's key, method and class: its map, mask and region on the map's grid, as text."""

_PERMUTATIONS = 1999  # the least p is 0.0005; set by hand


def on_grid(cam: Any, mask: Any, region: Any, grid: CamGrid | None, *, negative: str) -> str:
    """Write what the test needs of a row: A+, the share and the weight of its cells."""
    values = to_numpy(cam).astype(np.float64)
    values = np.abs(values) if negative == "abs" else np.maximum(values, 0)
    cells = (values.shape[0], values.shape[1])
    pooled = pool_mask(mask, cells if grid is None else grid, region=region)
    top = values.max()
    planes = [values / top if top > 0 else values, pooled.mask, pooled.region]
    data = np.stack(planes).astype("<f4").tobytes()
    return f"{cells[0]}x{cells[1]}:{base64.b64encode(data).decode('ascii')}"


def permuted(
    rows: Sequence[Mapping[str, Any]], kept: OnGrid, groups: Sequence[Any] | None, *, seed: int
) -> dict[str, Any]:
    """Test the rows together; without groups each image counts as a patient."""
    texts = [kept.get((row["key"], row["method"], row["class"])) for row in rows]
    known = [i for i, text in enumerate(texts) if text and rows[i]["status"] == "ok"]
    found = {"p_value": math.nan, "p_value_n": 0, "p_value_null": "permutation"}
    grids = {texts[i].partition(":")[0] for i in known}  # type: ignore[union-attr]
    if len(grids) != 1:
        return found | {"p_value_note": "several_grids" if grids else "no_maps"}
    planes = np.stack([_planes(texts[i]) for i in known])
    labels = [rows[i]["key"] if groups is None else groups[i] for i in known]
    result = permutation_null(
        planes[:, 0], planes[:, 1], labels,
        region=planes[:, 2], permutations=_PERMUTATIONS, seed=seed,
    )  # fmt: skip
    note = "ungrouped" if result.status == "ok" and groups is None else result.status
    return found | {
        "p_value": result.p_value,
        "p_value_n": result.n,
        "p_value_note": "" if note == "ok" else note,
    }


def _planes(text: Any) -> NDArray[np.float64]:
    shape, _, data = text.partition(":")
    rows, columns = map(int, shape.split("x"))
    values = np.frombuffer(base64.b64decode(data), "<f4").astype(np.float64)
    planes: NDArray[np.float64] = values.reshape(3, rows, columns)
    return planes
