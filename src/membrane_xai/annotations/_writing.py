"""From masks to outlines, and from annotations to files, for QuPath."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from membrane_xai._backend.checks import check_choice, check_distance, check_fraction, is_count
from membrane_xai._disk.atomic import atomic_path
from membrane_xai.annotations import _geojson
from membrane_xai.annotations._geojson_features import features_of, mask_objects
from membrane_xai.annotations._polygons import as_annotations
from membrane_xai.annotations._window import check_window
from membrane_xai.errors import InvalidInputError

__all__ = ["vectorize", "write_geojson"]


def vectorize(
    mask: Any,
    *,
    classification: str = "Membrane",
    color: tuple[int, int, int] = (200, 0, 0),
    object_type: str = "annotation",
    threshold: float = 0.5,
    offset: tuple[float, float] = (0, 0),
    downsample: float = 1.0,
    simplify: float | None = None,
    min_area: float = 0,
    measurements: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Turn a mask into outlines that QuPath opens.

    Outlines follow the edges of the pixels, so that :func:`rasterize` gives the same mask back.

    Parameters
    ----------
    mask : array of shape (H, W)
        bool or fractions: one object for all that hangs together by edges or corners (8-connected).
        Integers are labels: one object for each, 0 is background.
    classification, color : str, (int, int, int)
        QuPath's class and its red, green and blue.
    object_type : {"annotation", "detection"}
        QuPath handles many thousand detections better than annotations.
    threshold : float in [0, 1]
        From which fraction a pixel is in.
    offset, downsample
        Of the mask, as in :func:`rasterize`.
    simplify : float, optional
        Leave out corners that lie within this many pixels of full resolution of the outline
        without them. The mask that comes back is then no longer exact.
    min_area : float
        Leave out objects of fewer pixels of the mask.
    measurements : mapping of str to float or array of shape (H, W), optional
        What QuPath is to show for each object: a number, or the mean of a map over the object. What
        is not finite is left out, JSON has no word for it.

    Returns
    -------
    dict
        A GeoJSON FeatureCollection for :func:`write_geojson`. Pixels that touch at a corner only
        make parts of a MultiPolygon. Outer rings run counter-clockwise in (x, y), holes clockwise
        (RFC 7946). The same object gets the same id each time.

    Raises
    ------
    InvalidInputError
        A mask with NaN, outside [0, 1], or with negative labels; measurements of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.annotations import rasterize, read_annotations, vectorize
    >>> mask = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    >>> outlines = vectorize(mask)
    >>> outlines["features"][0]["geometry"]["coordinates"]
    [[[3, 0], [3, 3], [0, 3], [0, 0], [3, 0]], [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]]
    >>> bool((rasterize(read_annotations(outlines), mask.shape) == mask).all())
    True
    >>> vectorize(np.zeros((2, 2), bool))["features"]  # nothing to outline is no error
    []
    """
    check_choice(object_type, "object_type", ("annotation", "detection"))
    _check_color(color)
    if measurements is not None and not isinstance(measurements, Mapping):
        raise InvalidInputError(
            f"measurements is {type(measurements).__name__}; it takes a mapping of names to "
            f"numbers or maps"
        )
    check_fraction(threshold, "threshold")
    check_distance(min_area, "min_area")
    if simplify is not None:
        check_distance(simplify, "simplify")
    objects = mask_objects(mask, threshold)
    window = check_window(objects.labels.shape, offset, downsample)
    properties = {
        "objectType": object_type,
        "classification": {"name": classification, "color": [int(one) for one in color]},
    }
    features = features_of(objects, window, properties, simplify, measurements or {})
    large = np.bincount(objects.labels.ravel())[objects.values] >= min_area
    kept = [feature for feature, keep in zip(features, large, strict=True) if keep]
    return {"type": "FeatureCollection", "features": kept}


def _check_color(color: Any) -> None:
    """Raise unless QuPath takes it: it refuses a whole file for one class that it cannot read."""
    values = color if isinstance(color, tuple | list) else ()
    if len(values) != 3 or not all(is_count(one) and 0 <= one <= 255 for one in values):
        raise InvalidInputError(f"color is {color!r}; it takes red, green and blue, each 0 to 255")


def write_geojson(path: str | Path, annotations: Any) -> Path:
    """Write annotations for QuPath, whole or not at all.

    Parameters
    ----------
    path : str or path
        A name that ends in ``.gz`` is compressed.
    annotations : dict, Annotation, shapely geometry, or several
        What :func:`vectorize` or :func:`read_annotations` returned.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    InvalidInputError
        Something that JSON cannot hold, such as NaN outside the measurements, of which those that
        are no numbers are left out.

    Examples
    --------
    >>> import tempfile
    >>> from shapely import box
    >>> from membrane_xai.annotations import Annotation, read_annotations, write_geojson
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_geojson(f"{folder}/cells.geojson", Annotation(box(0, 0, 2, 1), "Tumor"))
    ...     [found] = read_annotations(path)
    >>> found.classification, found.geometry.area
    ('Tumor', 2.0)
    """
    if isinstance(annotations, Mapping):
        annotations = _geojson.cleaned(annotations)
    else:
        features = [_geojson.to_feature(item) for item in as_annotations(annotations)]
        annotations = {"type": "FeatureCollection", "features": features}
    try:
        data = json.dumps(annotations, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"annotations cannot be written as JSON: {error}") from None
    path = Path(path)
    with atomic_path(path) as temporary:
        # without the time of writing, the same annotations give the same bytes
        temporary.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)
    return path
