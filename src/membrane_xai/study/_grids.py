"""Where the cells of each method's maps lie: found, and told in rows."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from membrane_xai._backend.cam_grid import CELL_COLUMNS, CamGrid
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._explainers import grid_of

__all__ = ["grids_of", "shared_by"]

_SEVERAL = "several"


def grids_of(explainers: Mapping[str, Any], grid: Any) -> dict[str, CamGrid | None]:
    """Return the grid of each method: as given, else what its explainer says; None: half-pixel."""
    if isinstance(grid, Mapping):
        unknown = [name for name in grid if name not in explainers]
        if unknown:
            raise InvalidInputError(
                f"grid has {unknown[0]!r}; it takes methods among {list(explainers)}"
            )
        given = dict(grid)
    else:
        given = {} if grid is None else dict.fromkeys(explainers, grid)
    for name, value in given.items():
        if value is not None and not isinstance(value, CamGrid):
            raise InvalidInputError(
                f"grid is {value!r} for {name!r}; it takes a membrane_xai.CamGrid, None, or a "
                f"mapping from methods to them"
            )
    return {name: given[name] if name in given else grid_of(x) for name, x in explainers.items()}


def shared_by(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what rows tell of their cells together: what all have, and the mean size."""
    known = [row for row in rows if row["grid"]] or rows
    found: dict[str, Any] = {}
    for name in CELL_COLUMNS[:2]:
        values = {row[name] for row in known}
        found[name] = values.pop() if len(values) == 1 else _SEVERAL
    sizes = [row["cell_um"] for row in known if not math.isnan(row["cell_um"])]
    return {**found, "cell_um": float(np.mean(sizes)) if sizes else math.nan}
