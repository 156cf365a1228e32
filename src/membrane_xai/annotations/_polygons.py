"""The polygons that annotations cover: buffers of points and lines, unions, pieces."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.annotations._annotation import Annotation, Remarks, check_geometries, named
from membrane_xai.annotations._window import Window
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

__all__ = ["Polygons", "as_annotations", "in_window", "of_classes", "polygons_of", "united"]

Polygons = NDArray[np.object_]
"""shapely polygons and multipolygons."""

_COLLECTION = 7  # shapely's type id


def as_annotations(values: Any) -> list[Annotation]:
    """Return one or more annotations or shapely geometries as a list of annotations.

    Geometries that cover no point are left out, with a warning.
    """
    import shapely

    alone = isinstance(values, Annotation | shapely.Geometry)
    items: list[Any] = [values] if alone else list(_iterable(values))
    bare = [i for i, item in enumerate(items) if not isinstance(item, Annotation)]
    for i in bare:
        if not isinstance(items[i], shapely.Geometry):
            raise InvalidInputError(
                f"annotations[{i}] is {type(items[i]).__name__}; it takes annotations, as "
                f"read_annotations returns them, or shapely geometries"
            )
    names = [f"annotations[{i}]" for i in bare]
    remarks = Remarks(count=len(items) - len(bare))
    checked = check_geometries([shapely.force_2d(items[i]) for i in bare], names, remarks)
    for i, geometry in zip(bare, checked, strict=True):
        items[i] = None if geometry is None else Annotation(geometry)
    remarks.tell(stacklevel=3)
    return [item for item in items if item is not None]


def _iterable(values: Any) -> Iterable[Any]:
    if not isinstance(values, Iterable) or isinstance(values, str | bytes | dict):
        raise InvalidInputError(
            f"annotations is {type(values).__name__}; it takes annotations, as read_annotations "
            f"returns them, or shapely geometries"
        )
    return values


def of_classes(
    annotations: Sequence[Annotation], classes: str | Iterable[str] | None
) -> list[Annotation]:
    """Return the annotations whose classification is among `classes`; all of them for None."""
    if classes is None:
        return list(annotations)
    wanted = [classes] if isinstance(classes, str) else list(classes)
    present = {item.classification for item in annotations}
    for name in wanted:
        if name not in present:
            known = ", ".join(sorted(repr(x) for x in present if x is not None)) or "none"
            raise InvalidInputError(f"classes has {name!r}; the annotations have classes: {known}")
    return [item for item in annotations if item.classification in wanted]


def polygons_of(annotations: Sequence[Annotation], half_width: float | None) -> Polygons:
    """Return every polygon, and every line widened to `half_width` on either side (in pixels)."""
    import shapely

    parts = np.array([item.geometry for item in annotations], dtype=object)
    owner = np.arange(len(parts))
    while (shapely.get_type_id(parts) == _COLLECTION).any():
        parts, index = shapely.get_parts(parts, return_index=True)
        owner = owner[index]
    dimension = shapely.get_dimensions(parts)
    _warn_of_points(annotations, owner[dimension == 0])
    lines = dimension == 1
    if not lines.any():
        return np.asarray(parts[dimension == 2])
    if half_width is None:
        first = int(owner[lines.argmax()])
        name = named(f"annotations[{first}]", annotations[first].id)
        raise InvalidInputError(
            f"{name} is a line; line_width (micrometres) and mpp are needed to give it an area"
        )
    wide = shapely.buffer(parts[lines], half_width, cap_style="flat", quad_segs=16)
    return np.concatenate([parts[dimension == 2], wide])


def _warn_of_points(annotations: Sequence[Annotation], owner: NDArray[np.intp]) -> None:
    if len(owner):
        first = int(owner[0])
        name = named(f"annotations[{first}]", annotations[first].id)
        warnings.warn(
            f"{len(owner)} points, the first in {name}, have no area and were left out",
            MembraneXAIWarning,
            stacklevel=4,
        )


def in_window(polygons: Polygons, window: Window) -> Polygons:
    """Return the polygons whose bounding box meets the window."""
    import shapely

    (rows, columns), (x, y), downsample = window
    left, top, right, bottom = shapely.bounds(polygons).reshape(-1, 4).T
    meets = (left < x + columns * downsample) & (right > x)
    meets &= (top < y + rows * downsample) & (bottom > y)
    return np.asarray(polygons[meets])


def united(polygons: Polygons, window: Window) -> Polygons:
    """Return polygons without overlap, in pixels of the window and inside it."""
    import shapely

    def place(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return (points - window.offset) / window.downsample

    placed = shapely.transform(polygons, place)
    frame = shapely.box(0, 0, window.shape[1], window.shape[0])
    outside = ~shapely.covered_by(placed, frame)
    placed[outside] = shapely.intersection(placed[outside], frame)
    merged = [
        shapely.union_all(placed[group]) if len(group) > 1 else placed[group[0]]
        for group in _touching(placed)
    ]
    parts = shapely.get_parts(merged)
    return np.asarray(parts[shapely.get_dimensions(parts) == 2])


def _touching(polygons: Polygons) -> list[NDArray[np.intp]]:
    """Return the indices of polygons that hang together; a union of all at once is far slower."""
    import shapely
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(polygons)
    pairs = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), shape=(count, count))
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1) if count else []
