"""Annotations of other viewers in XML: ImageScope, HALO and ASAP.

ImageScope and HALO have regions in layers, ``Annotation/Regions/Region/Vertices``; a region with
``NegativeROA="1"`` is cut out of the others in its layer. ASAP has annotations in groups,
``Annotations/Annotation/Coordinates``. All count pixels of full resolution from the upper left.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from membrane_xai.annotations._annotation import (
    Annotation,
    NothingThereError,
    Remarks,
    check_geometries,
    named,
)
from membrane_xai.annotations._xml import Element, parse_xml
from membrane_xai.errors import InvalidInputError

__all__ = ["read_drawings"]

_SHAPES = {
    "0": "polygon",  # drawn freehand; ImageScope has numbers, HALO and ASAP words
    "1": "rectangle",
    "2": "ellipse",
    "4": "line",
    "5": "point",
    "polygon": "polygon",
    "spline": "polygon",
    "rectangle": "rectangle",
    "ellipse": "ellipse",
    "ruler": "line",
    "measurement": "line",
    "pin": "point",
    "dot": "point",
    "pointset": "points",
}
_CORNERS = 128  # of an ellipse: its area is then right to 0.04 %
_OTHERS = {
    "annotations": "Hamamatsu's NDPA (nanometres from the slide's centre) or CVAT's",
    "annotation": "of PASCAL VOC",
    "OME": "OME-XML",
    "kml": "KML",
    "svg": "SVG",
}

Points = list[tuple[float, float]]


class _Drawn(NamedTuple):
    name: str
    geometry: Any
    """Or a text, why it covers no point."""
    negative: bool
    about: Annotation
    """All but the geometry."""


def read_drawings(data: bytes, remarks: Remarks) -> list[Annotation]:
    """Return the annotations of an XML document, in its order."""
    root = parse_xml(data)
    if root.tag == "ASAP_Annotations":
        found = [_asap(i, one) for i, one in enumerate(root.each("Annotations", "Annotation"))]
        return _checked(found, remarks)
    if root.tag == "Annotations" and (any(root.each("Annotation")) or not root.children):
        layers = [_regions(i, layer) for i, layer in enumerate(root.each("Annotation"))]
        return [one for drawn in layers for one in _checked(drawn, remarks)]
    other = f" ({_OTHERS[root.tag]})" if root.tag in _OTHERS else ""
    raise InvalidInputError(
        f"the annotations are XML of <{root.tag}>{other}; of XML those of ImageScope, HALO and "
        f"ASAP are read: export GeoJSON, from QuPath for example"
    )


def _regions(index: int, layer: Element) -> list[_Drawn]:
    """Return the regions of a layer of ImageScope or HALO."""
    if any(layer.each("Coordinates")):  # ASAP's, without ASAP's root
        return [_asap(index, layer)]
    label, color = _label(layer), _from_bgr(layer.get("LineColor"))
    return [
        _region(f"Annotation {index + 1}, Region {i + 1}", one, label, color)
        for i, one in enumerate(layer.each("Regions", "Region"))
    ]


def _region(place: str, region: Element, label: str, color: Any) -> _Drawn:
    name = named(place, region.get("Id") or None)
    said = [one.get("Value") for one in region.each("Attributes", "Attribute")]
    own = next(filter(None, [region.get("Text"), *said]), "")
    corners = [*region.each("Vertices", "Vertex"), *region.each("Vertices", "V")]
    about = Annotation(
        None,
        classification=label or own or None,
        name=own or None,
        id=region.get("Id") or None,
        color=color,
    )
    negative = region.get("NegativeROA", "0").lower() in ("1", "true")
    points = [_point(corner, name) for corner in corners]
    return _drawn(name, region.get("Type"), points, about, negative=negative)


def _asap(index: int, annotation: Element) -> _Drawn:
    group, title = annotation.get("PartOfGroup"), annotation.get("Name") or None
    name = named(f"Annotation {index + 1}", title)
    about = Annotation(
        None,
        classification=None if group in ("", "None") else group,
        name=title,
        color=_from_hex(annotation.get("Color")),
    )
    corners = _in_order(list(annotation.each("Coordinates", "Coordinate")))
    points = [_point(corner, name) for corner in corners]
    return _drawn(name, annotation.get("Type"), points, about)


def _label(layer: Element) -> str:
    """Return the name of a layer, or what its attribute says where it has none."""
    name = layer.get("Name")
    for one in layer.each("Attributes", "Attribute"):
        title = one.get("Name")
        name = name or one.get("Value") or (title if title != "Description" else "")
    return name


def _from_bgr(text: str) -> tuple[int, int, int] | None:
    """Return red, green and blue of a number of Windows, in which red is lowest."""
    value = int(text) if text.isdecimal() else None
    return None if value is None else (value & 255, value >> 8 & 255, value >> 16 & 255)


def _from_hex(text: str) -> tuple[int, int, int] | None:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        return None
    red, green, blue = bytes.fromhex(text[1:])
    return red, green, blue


def _in_order(corners: list[Element]) -> list[Element]:
    orders = [one.get("Order") for one in corners]
    if not all(order.isdecimal() for order in orders):
        return corners
    return sorted(corners, key=lambda corner: int(corner.get("Order")))


def _point(corner: Element, name: str) -> tuple[float, float]:
    x, y = (_number(corner.get(axis), axis, name) for axis in "XY")
    if not (math.isfinite(x) and math.isfinite(y)):
        raise InvalidInputError(f"{name} has coordinates that are NaN or infinite")
    return x, y


def _number(text: str, axis: str, name: str) -> float:
    try:  # some write the comma of their language
        return float(text.replace(",", ".") if "." not in text else text)
    except ValueError:
        raise InvalidInputError(f"{name} has {axis} {text!r}; it takes a number") from None


def _drawn(
    name: str, kind: str, points: Points, about: Annotation, *, negative: bool = False
) -> _Drawn:
    try:
        return _Drawn(name, _geometry(name, kind, points), negative, about)
    except NothingThereError as error:
        return _Drawn(name, str(error), negative, about)


def _geometry(name: str, kind: str, points: Points) -> Any:
    import shapely

    if kind == "3":
        raise NothingThereError(f"{name} is an arrow, which has no area")
    shape = "polygon" if kind in ("", "None") else _SHAPES.get(kind.lower())
    if shape is None:
        raise InvalidInputError(
            f"{name} has Type {kind!r}; it takes 0 to 5, or {', '.join(list(_SHAPES)[5:])}"
        )
    if not points:
        raise NothingThereError(f"{name} has no coordinates")
    if shape == "point":
        return shapely.Point(points[0])
    if shape == "points":
        return shapely.MultiPoint(points)
    if shape == "line":
        if len(points) < 2:
            raise NothingThereError(f"{name} has a line of 1 points; it takes 2 or more")
        return shapely.LineString(points)
    if shape == "ellipse" or (shape == "rectangle" and len(points) == 2):
        return _in_box(np.asarray(points), round_=shape == "ellipse")
    ring = points[:-1] if points[0] == points[-1] else points
    if len(ring) < 3:
        raise NothingThereError(f"{name} has a ring of {len(ring)} points; it takes 3 or more")
    return shapely.Polygon(ring)


def _in_box(points: Any, *, round_: bool) -> Any:
    """Return the rectangle that has the points as corners, or the ellipse in it."""
    import shapely

    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    if not round_:
        return shapely.box(left, top, right, bottom)
    angle = np.linspace(0, 2 * math.pi, _CORNERS, endpoint=False)
    return shapely.Polygon(
        np.column_stack(
            [
                (left + right) / 2 + (right - left) / 2 * np.cos(angle),
                (top + bottom) / 2 + (bottom - top) / 2 * np.sin(angle),
            ]
        )
    )


def _checked(drawn: Sequence[_Drawn], remarks: Remarks) -> list[Annotation]:
    """Return valid annotations, without what negative regions cut out of those with an area."""
    reasons = [one.geometry for one in drawn if isinstance(one.geometry, str)]
    remarks.left_out += reasons
    remarks.count += len(reasons)
    shapes = [None if isinstance(one.geometry, str) else one.geometry for one in drawn]
    names = [one.name for one in drawn]
    found = check_geometries(shapes, names, remarks)
    there = [i for i, geometry in enumerate(found) if geometry is not None]
    holes = [i for i in there if drawn[i].negative]
    kept = [i for i in there if not drawn[i].negative]
    for i in holes:
        if not _cut_out(found, found[i], kept):
            remarks.left_out.append(f"{names[i]} is negative, and cuts nothing out")
    annotations = [(names[i], replace(drawn[i].about, geometry=found[i])) for i in kept]
    remarks.left_out += [
        f"{name} lies wholly in a negative region"
        for name, one in annotations
        if one.geometry.is_empty
    ]
    return [one for _, one in annotations if not one.geometry.is_empty]


def _cut_out(geometries: list[Any], hole: Any, indices: Sequence[int]) -> bool:
    """Cut a hole out of the areas that it meets, and tell whether it met one.

    What lies in a hole of another area is an island, and stays.
    """
    import shapely

    areas = [i for i in indices if shapely.get_dimensions(geometries[i]) == 2]
    array = np.array([geometries[i] for i in areas], dtype=object)
    meets = np.flatnonzero(shapely.intersects(array, hole))
    around = meets[~shapely.covered_by(array[meets], hole)]
    for k in around if len(around) else meets:
        geometries[areas[k]] = shapely.difference(array[k], hole)
    return len(meets) > 0
