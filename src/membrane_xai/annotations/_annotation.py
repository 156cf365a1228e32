"""``Annotation``, and the check and repair of its geometry."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

__all__ = ["Annotation", "NothingThereError", "Remarks", "check_geometries", "named"]

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


class NothingThereError(InvalidInputError):
    """An object that covers no point: it can be left out and nothing is lost."""


@dataclass
class Remarks:
    """What is to be said about the objects that were read, once they all are."""

    count: int = 0
    """Objects there were, those left out included."""
    left_out: list[str] = field(default_factory=list)
    """Why, for each object that was."""
    parts: list[str] = field(default_factory=list)
    """Likewise of rings, parts and nuclei of objects that were kept."""
    repaired: list[str] = field(default_factory=list)

    def tell(self, source: str = "", *, stacklevel: int) -> None:
        """Warn of all that was left out or repaired; raise if not one object is left.

        `source` goes before the text: the file, and a colon. `stacklevel` is that of the caller.
        """
        if self.count and len(self.left_out) == self.count:
            reason = _listed(self.left_out)
            several = f"none of {self.count} objects can be used: " if self.count > 1 else ""
            raise InvalidInputError(f"{source}{several}{reason}")
        said = {
            f"left out {len(self.left_out)} of {self.count} objects": self.left_out,
            "left out parts": self.parts,
            "repaired": self.repaired,
        }
        for what, reasons in said.items():
            if reasons:
                colon = "" if what == "repaired" else ":"
                warnings.warn(
                    f"{source}{what}{colon} {_listed(reasons)}",
                    MembraneXAIWarning,
                    stacklevel=stacklevel + 1,
                )


def _listed(reasons: Sequence[str]) -> str:
    more = f" and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    return f"{'; '.join(reasons[:_SHOWN])}{more}"


def named(place: str, identifier: Any) -> str:
    """Return what an error calls an object: its place, and its id where it has one."""
    return place if identifier is None else f"{place} (id {identifier!r})"


def check_geometries(
    geometries: Sequence[Any], names: Sequence[str], remarks: Remarks
) -> list[Any | None]:
    """Return geometries that are finite, not empty and valid; repair what crosses itself.

    None stands for one that is empty or has no area (or length, for lines), which `remarks` names
    with those that were repaired. None may stand for one already.
    """
    import shapely

    found: list[Any | None] = list(geometries)
    at = [i for i, geometry in enumerate(found) if geometry is not None]
    array = np.array([found[i] for i in at], dtype=object)
    empty = shapely.is_empty(array)
    points, owner = shapely.get_coordinates(array, return_index=True)
    odd = np.zeros(len(array), bool)
    odd[owner[~np.isfinite(points).all(axis=1)]] = True
    if odd.any():
        name = names[at[int(odd.argmax())]]
        raise InvalidInputError(f"{name} has coordinates that are NaN or infinite")
    for k in np.flatnonzero(empty | ~shapely.is_valid(array)).tolist():
        i = at[k]
        try:
            found[i] = _repaired(array[k], names[i], remarks)
        except NothingThereError as error:
            found[i] = None
            remarks.left_out.append(str(error))
    remarks.count += len(at)
    return found


def _repaired(geometry: Any, name: str, remarks: Remarks) -> Any:
    """Return the valid geometry of the same dimension that covers the same points."""
    import shapely

    if shapely.is_empty(geometry):
        raise NothingThereError(f"{name} has no coordinates")
    reason = f"{name}: {shapely.is_valid_reason(geometry)}"
    dimension = int(shapely.get_dimensions(geometry))
    valid = shapely.make_valid(geometry, method="structure", keep_collapsed=False)
    if shapely.is_empty(valid) or shapely.get_dimensions(valid) != dimension:
        raise NothingThereError(f"{reason}; it has no {_NOUNS[dimension]}")
    remarks.repaired.append(reason)
    return valid
