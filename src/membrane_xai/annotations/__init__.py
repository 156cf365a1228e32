"""Annotations in, masks out, and back.

Coordinates are (x, y) in pixels of full resolution, y down, as in QuPath, and in OpenSlide but for
slides with bounds (:func:`membrane_xai.io.open_slide`); pixel (row r, column c) covers
[c, c + 1] x [r, r + 1].
"""

import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_choice
from membrane_xai._disk.names import named_files
from membrane_xai.annotations._annotation import Annotation
from membrane_xai.annotations._classes import is_core, is_region_class
from membrane_xai.annotations._consensus import Consensus, consensus
from membrane_xai.annotations._drawn import half_width, pixels_inside
from membrane_xai.annotations._files import files_of_images
from membrane_xai.annotations._outside import outside
from membrane_xai.annotations._polygons import (
    as_annotations,
    in_window,
    of_classes,
    polygons_of,
    united,
)
from membrane_xai.annotations._reading import MAX_BYTES, images_of_table, read
from membrane_xai.annotations._scanline import pixel_areas, polygon_edges
from membrane_xai.annotations._window import Window, check_window
from membrane_xai.annotations._writing import vectorize, write_geojson
from membrane_xai.errors import MembraneXAIWarning

__all__ = [
    "OUTLINE_SUFFIXES",
    "Annotation",
    "Consensus",
    "consensus",
    "find_outlines",
    "rasterize",
    "read_annotations",
    "vectorize",
    "write_geojson",
]


_FORMATS = ("auto", "geojson", "xml", "wkt", "csv")

OUTLINE_SUFFIXES = (
    ".geojson.gz", ".json.gz", ".geojson.zip", ".geojson", ".json", ".zip", ".xml", ".annotations",
    ".wkt", ".csv",
)  # fmt: skip
"""Suffixes of files of annotations."""


def find_outlines(
    folder: str | os.PathLike[str],
    names: Collection[str] | None = None,
    *,
    without: Iterable[Path] = (),
    pictures: Sequence[str] = (),
) -> dict[str, Path]:
    """Find the files of annotations of images, by name.

    Parameters
    ----------
    folder : path
        Where to look, folders below it included. A file is named like its image and ends in one of
        :data:`OUTLINE_SUFFIXES`. Or a CSV of all images, as Cytomine exports it, with a column for
        the name or id of the image.
    names : collection of str, optional
        Of the images: their paths below their own folder, with ``/``, without suffix. By default
        all files are returned.
    without : iterable of Path
        Folders, and files, to pass over.
    pictures : sequence of str
        Suffixes of masks that count, too, such as :data:`membrane_xai.io.MASK_SUFFIXES`.

    Returns
    -------
    dict of str to Path
        By name, only what is there. Outlines go before pictures, and both before what
        ``membrane-xai mask`` has written of an image, such as ``NAME.mask.png``. An image
        ``NAME [x=0,y=0,w=512,h=512]`` that has no file of its own, as QuPath names tiles, has the
        outlines of its slide, ``NAME``.

    Raises
    ------
    InvalidInputError
        No such folder, or two files of one name.

    Examples
    --------
    >>> from membrane_xai.annotations import find_outlines
    >>> folder = getfixture("tmp_path")
    >>> for name in ("one.geojson", "two.ome.json.gz", "three.txt"):
    ...     (folder / name).touch()
    >>> {name: path.name for name, path in find_outlines(folder).items()}
    {'one': 'one.geojson', 'two': 'two.ome.json.gz'}
    >>> sorted(find_outlines(folder, ["one", "three"]))
    ['one']
    """
    if names is None and Path(folder).is_file():
        return dict.fromkeys(images_of_table(Path(folder)), Path(folder))
    if names is None:
        suffixes = (*OUTLINE_SUFFIXES, *pictures)
        return named_files(Path(folder), suffixes, "annotations of the name", without=without)
    found = files_of_images(
        Path(folder), names, OUTLINE_SUFFIXES, pictures=pictures, without=without
    )
    return found.files


def read_annotations(
    source: Any,
    *,
    format: str = "auto",  # noqa: A002
    height: float | None = None,
    image: str | int | None = None,
    max_bytes: int = MAX_BYTES,
) -> list[Annotation]:
    r"""Read annotations that QuPath, ImageScope, HALO, ASAP or Cytomine exported.

    Parameters
    ----------
    source : path, str, dict, list or shapely geometries
        A file, compressed by gzip or not, or a zip with one GeoJSON, as QuPath writes it; its text;
        parsed GeoJSON; or shapely geometries. A str that starts like GeoJSON, XML or WKT, or has
        several lines, is text; pass a file of such a name as pathlib.Path. GeoJSON is read as
        QuPath writes it, from version 0.2 on: a FeatureCollection, a list of features or a single
        one, children included (listed after their parent).
    format : {"auto", "geojson", "xml", "wkt", "csv"}
        By default, how the text begins. XML is that of ImageScope and HALO, where layers are
        classes and regions with ``NegativeROA`` holes, or that of ASAP, where groups are. WKT,
        PostGIS' with ``SRID=`` included, has one geometry on each line, CSV a header with a column
        ``WKT``, ``location`` or ``geometry``, and optionally ``term``, ``id`` and ``image``,
        separated by ``;``, tab or ``,``.
    height : float, optional
        Of the image in pixels: needed for WKT and CSV, where Cytomine counts y from the lower edge.
        WKT with y down is read with ``shapely.from_wkt``, whose geometries this module takes.
    image : str or int, optional
        Of a CSV of several images, the one whose rows to take: its name, with or without suffix, or
        id, as in the columns ``Image``, ``Image Filename`` or ``Image ID``.
    max_bytes : int
        Longest text to take, after decompression.

    Returns
    -------
    list of Annotation
        In the order of the file.

    Raises
    ------
    InvalidInputError
        Text of no known format or too long, no `height`, a CSV of several images without `image`,
        an object that has NaN in its coordinates or an open ring, or not one object that can be
        used; the message names it.

    Warns
    -----
    MembraneXAIWarning
        Objects that have no geometry, no coordinates, too few points or no area: they are left out,
        counted, and the first ones named. Outlines that cross themselves, which were repaired to
        cover all that they enclose.

    Examples
    --------
    >>> from membrane_xai.annotations import read_annotations
    >>> square = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
    >>> membrane = {"classification": {"name": "Membrane", "color": [200, 0, 0]}}
    >>> [found] = read_annotations({"type": "Feature", "geometry": square, "properties": membrane})
    >>> found.classification, found.geometry.area
    ('Membrane', 4.0)

    Cytomine counts y from the lower edge: the highest point comes out with the smallest y.

    >>> [found] = read_annotations("POINT (3 90)", height=100)
    >>> found.geometry
    <POINT (3 10)>

    A table of several images:

    >>> table = "Image;Term;WKT\n7;Tumor;POINT (3 90)\n8;Tumor;POINT (1 2)\n"
    >>> [found] = read_annotations(table, height=100, image=8)
    >>> found.geometry
    <POINT (1 98)>
    """
    check_choice(format, "format", _FORMATS)
    if not (isinstance(source, str | os.PathLike | Mapping) or _is_features(source)):
        return as_annotations(source)
    return read(
        source,
        format=format,
        height=height,
        max_bytes=max_bytes,
        image=image,
        strict=True,
        stacklevel=2,
    )


def rasterize(
    annotations: Any,
    shape: tuple[int, int],
    *,
    mpp: float | None = None,
    line_width: float | None = None,
    offset: tuple[float, float] | None = None,
    downsample: float = 1.0,
    classes: str | Iterable[str] | None = None,
    coverage: bool = False,
) -> NDArray[Any]:
    """Draw annotations as a mask: what lies in at least one of them.

    Parameters
    ----------
    annotations : Annotation, shapely geometry, or several of them
        Points have no area: they are left out, with a warning.
    shape : (int, int)
        Rows and columns of the mask.
    mpp : float, optional
        Micrometres per pixel at full resolution; needed for lines only.
    line_width : float, optional
        Micrometres: lines are widened by half of it on either side, and not lengthened.
    offset : (float, float), optional
        x, y of the mask's upper left corner in pixels of full resolution. Without it the mask is
        of the whole image, and outlines that lie outside are warned of.
    downsample : float
        Pixels of full resolution along the side of one of the mask's; 4 for a level of a quarter.
    classes : str or sequence of str, optional
        Take the annotations with these classifications; all of them by default.
    coverage : bool
        Give the share of each pixel's area instead. ``rasterize(..., coverage=True) > 0`` is every
        pixel that an annotation touches.

    Returns
    -------
    ndarray of shape (H, W)
        bool: whether the pixel's centre is inside. A centre on an outline belongs to what is to the
        right of it or below it, so that polygons that share a side share no pixel. With `coverage`,
        float64 in [0, 1], exact to rounding, which :func:`map_score` takes as it is.

    Raises
    ------
    InvalidInputError
        Lines without `line_width` and `mpp`, classes that no annotation has, or a `shape`,
        `offset` or `downsample` that is none.

    Warns
    -----
    MembraneXAIWarning
        Without `offset`, outlines that lie wholly outside the mask, or reach over its edge by more
        than 5 pixels and more than 0.5 % of its longer side: how many, and the share of the area.
        Without `classes`, classes of regions (Tissue, Region*, Ignore* and the like) or cores of a
        tissue microarray among others.

    Examples
    --------
    >>> from shapely import LineString, Polygon
    >>> from membrane_xai.annotations import rasterize
    >>> triangle = Polygon([(0, 0), (2, 0), (0, 2)])
    >>> rasterize(triangle, (2, 2), coverage=True)
    array([[1. , 0.5],
           [0.5, 0. ]])

    The centres of two pixels lie on the long side, to the left of what is outside.

    >>> rasterize(triangle, (2, 2)).astype(int)
    array([[1, 0],
           [0, 0]])

    A membrane drawn as a line, one micrometre wide at 0.5 micrometres per pixel:

    >>> rasterize(LineString([(0, 2), (3, 2)]), (4, 4), mpp=0.5, line_width=1).astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 1, 0],
           [1, 1, 1, 0],
           [0, 0, 0, 0]])
    """
    window = check_window(shape, (0, 0) if offset is None else offset, downsample)
    width = half_width(line_width, mpp)
    chosen = of_classes(as_annotations(annotations), classes)
    if classes is None:
        _warn_of_regions(chosen)
    polygons = polygons_of(chosen, width)
    if offset is None:
        _warn_of_outside(polygons, window)
    if not coverage:
        return pixels_inside(polygons, window)
    polygons = in_window(polygons, window)
    areas = pixel_areas(polygon_edges(united(polygons, window)), window.shape)
    return np.clip(areas, 0, 1)  # sums of pieces miss 0 and 1 by rounding


def _warn_of_regions(annotations: Sequence[Annotation]) -> None:
    present = {"TMA core" if is_core(one) else one.classification for one in annotations}
    regions = sorted(str(one) for one in present if is_region_class(one))
    if regions and len(regions) < len(present):
        warnings.warn(
            f"outlines of {', '.join(map(repr, regions))}, which are regions, are drawn with the "
            f"others; classes names those to draw",
            MembraneXAIWarning,
            stacklevel=3,
        )


def _warn_of_outside(polygons: NDArray[np.object_], window: Window) -> None:
    found = outside(polygons, window)
    if found:
        rows, columns = window.shape
        warnings.warn(
            f"outlines lie outside the mask of {columns} x {rows} pixels: {found}; offset is the "
            f"place of its corner on the slide",
            MembraneXAIWarning,
            stacklevel=3,
        )


def _is_features(source: Any) -> bool:
    return isinstance(source, list) and bool(source) and isinstance(source[0], Mapping)
