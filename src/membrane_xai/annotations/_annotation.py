"""``Annotation``, and the check and repair of its geometry."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

__all__ = ["Annotation", "check_geometries", "named"]

_SHOWN = 5
_NOUNS = ("point", "length", "area")


@dataclass(frozen=True, slots=True)
class Annotation:
    """A drawn object: where it is and what it is said to be.

    Attributes
    ----------
    geometry : shapely geometry
        In pixels of full resolution, (x, y) with y down; pixel (row r, column c) covers
        [c, c + 1] x [r, r + 1].
    classification : str or None
        As QuPath shows it; the names of a derived class are joined by ``": "``.
    name : str or None
        Of this object.
    properties : mapping
        Whatever else the file says about it, such as ``objectType`` and ``measurements``.
    id : str or None
        As in the file.
    nucleus : shapely geometry or None
        Of a cell.
    color : tuple of int or None
        (red, green, blue) of the classification, 0 to 255.
    """

    geometry: Any
    classification: str | None = None
    name: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    nucleus: Any = None
    color: tuple[int, int, int] | None = None


def named(place: str, identifier: Any) -> str:
    """Return what an error calls an object: its place, and its id where it has one."""
    return place if identifier is None else f"{place} (id {identifier!r})"


def check_geometries(geometries: Sequence[Any], names: Sequence[str]) -> list[Any]:
    """Return geometries that are finite, not empty and valid; repair what crosses itself.

    Raises for those that cannot be used, and warns once about all that were repaired.
    """
    import shapely

    array = np.array(geometries, dtype=object)
    _raise_for_first(shapely.is_empty(array), names, "has no coordinates")
    points, owner = shapely.get_coordinates(array, return_index=True)
    odd = np.zeros(len(array), bool)
    odd[owner[~np.isfinite(points).all(axis=1)]] = True
    _raise_for_first(odd, names, "has coordinates that are NaN or infinite")
    invalid = np.flatnonzero(~shapely.is_valid(array)).tolist()
    reasons = [f"{names[i]}: {shapely.is_valid_reason(array[i])}" for i in invalid]
    for i, reason in zip(invalid, reasons, strict=True):
        array[i] = _repaired(array[i], reason)
    if reasons:
        more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
        warnings.warn(
            f"repaired {'; '.join(reasons[:_SHOWN])}{more}", MembraneXAIWarning, stacklevel=4
        )
    return list(array)


def _raise_for_first(bad: NDArray[np.bool_], names: Sequence[str], what: str) -> None:
    if bad.any():
        raise InvalidInputError(f"{names[int(bad.argmax())]} {what}")


def _repaired(geometry: Any, reason: str) -> Any:
    """Return the valid geometry of the same dimension that covers the same points."""
    import shapely

    dimension = int(shapely.get_dimensions(geometry))
    valid = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    if shapely.is_empty(valid) or shapely.get_dimensions(valid) != dimension:
        raise InvalidInputError(f"{reason}; it has no {_NOUNS[dimension]}")
    return valid
