"""Explain and score the tiles of a whole slide, and say where each lies."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.checks import check_fraction, is_count
from membrane_xai._backend.vocabulary import SUMMARY_SCORES
from membrane_xai.annotations import Annotation, write_geojson
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide
from membrane_xai.masks._windows import masked_windows
from membrane_xai.study import StudyResult
from membrane_xai.study._entries import Entry
from membrane_xai.study._run import Options, check_explainers, run

__all__ = ["SlideMap", "slide_map"]

_MEASURED = (*SUMMARY_SCORES, "mask_share")


@dataclass(frozen=True, slots=True, eq=False)
class SlideMap:
    """Scores of the tiles of a slide.

    Attributes
    ----------
    result : StudyResult
        One row for each tile with tissue and each method; `x`, `y`, `width` and `height` say where
        the tile is, in pixels of the slide.
    dimensions : tuple of int
        Width and height of the slide in pixels.
    tile : int
        Side of a tile in pixels.
    """

    result: StudyResult
    dimensions: tuple[int, int]
    tile: int

    def grid(
        self, score: str = "toward_ideal", *, method: str | None = None
    ) -> NDArray[np.float64]:
        """Return a score as a picture with one pixel for each tile.

        Parameters
        ----------
        score : str
            A column of numbers, such as "map", "toward_ideal" or "mask_share".
        method : str, optional
            Name of the explainer; needed if there are several.

        Returns
        -------
        ndarray of shape (rows, columns)
            NaN where there is no tissue or no score.

        Raises
        ------
        InvalidInputError
            No such column or method.
        """
        wide, tall = (-(-side // self.tile) for side in self.dimensions)
        found = np.full((tall, wide), np.nan)
        for row in self._of(method):
            if score not in row:
                raise InvalidInputError(f"score is {score!r}; it takes one of {list(row)}")
            found[row["y"] // self.tile, row["x"] // self.tile] = row[score]
        return found

    def write_geojson(self, path: str | Path, *, method: str | None = None) -> Path:
        """Write the tiles for QuPath: squares with their scores as measurements.

        Parameters
        ----------
        path : path
            Ends in ``.geojson``, or ``.geojson.gz``.
        method : str, optional
            As in :meth:`grid`.

        Returns
        -------
        Path
            `path`.

        Raises
        ------
        InvalidInputError
            No such method.
        """
        import shapely

        tiles = [
            Annotation(
                shapely.box(row["x"], row["y"], row["x"] + row["width"], row["y"] + row["height"]),
                classification=f"CAM {row['status']}",
                name=f"{row['method']} {row['x']},{row['y']}",
                properties={
                    "objectType": "tile",
                    "measurements": {
                        name: row[name] for name in _MEASURED if not np.isnan(row[name])
                    },
                },
            )
            for row in self._of(method)
        ]
        return write_geojson(path, tiles)

    def _of(self, method: str | None) -> list[dict[str, Any]]:
        methods = list(dict.fromkeys(row["method"] for row in self.result.rows))
        if len(methods) > 1 if method is None else method not in methods:
            raise InvalidInputError(f"method is {method!r}; it takes one of {methods}")
        return [row for row in self.result.rows if method in (None, row["method"])]


def slide_map(
    slide: Any,
    explainers: Mapping[str, Callable[..., Any]],
    *,
    tile: int = 512,
    mpp: float | None = None,
    bits: int | None = None,
    grid: Any = None,
    min_tissue: float = 0.1,
    stain_matrix: Any = "hdab",
    background: Any = "auto",
    batch_size: int = 8,
    out: str | Path | None = None,
    progress: bool = False,
) -> SlideMap:
    """Cut a slide into tiles, explain those with tissue, and score each against its membrane.

    Masks are found with what surrounds a tile in view, and with one estimate of the glass for the
    whole slide, so that they do not depend on the tiles.

    Parameters
    ----------
    slide : path, or SlideReader
        As :func:`membrane_xai.io.open_slide` takes or gives it.
    explainers : mapping of str to callable
        As in :func:`membrane_xai.evaluate`. Tiles at the ends of the slide may be smaller.
    tile : int
        Side in pixels of the slide.
    mpp : float, optional
        Micrometres per pixel of the slide; by default what it says.
    bits : int, optional
        As in :func:`membrane_xai.io.read_image`, for a slide that is a path.
    grid : CamGrid, or mapping of str to CamGrid or None, optional
        As in :func:`membrane_xai.evaluate`; `size` is a whole tile, and smaller tiles at the ends
        of the slide take its positions as shares of their own sides.
    min_tissue : float in [0, 1]
        Share of a tile that must be tissue; others are left out.
    stain_matrix, background
        As in :func:`membrane_xai.extract_membrane_mask`.
    batch_size, out, progress
        As in :func:`membrane_xai.evaluate`. A run that goes on finds all masks again, and explains
        only what is missing.

    Returns
    -------
    SlideMap
        In memory that grows with the number of tiles, not of pixels.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.io.open_slide` and :func:`membrane_xai.evaluate`; an unknown pixel
        size, a tile that is not a positive integer, a slide without tissue.

    Examples
    --------
    >>> import numpy as np
    >>> import tifffile
    >>> from membrane_xai.datasets import synthetic_her2
    >>> from membrane_xai.slide_map import slide_map
    >>> pixels = np.full((256, 512, 3), 240, np.uint8)
    >>> pixels[:, :256] = synthetic_her2("3+", size=256, mpp=0.5, seed=3).rgb
    >>> path = getfixture("tmp_path") / "slide.tif"
    >>> tifffile.imwrite(path, pixels, tile=(128, 128), photometric="rgb")
    >>> def darkness(rgb):
    ...     return 255.0 - rgb.mean(axis=-1)
    >>> found = slide_map(path, {"darkness": darkness}, tile=128, mpp=0.5)
    >>> found.grid().shape, np.isfinite(found.grid()).sum(axis=0).tolist()
    ((2, 4), [2, 2, 0, 0])
    >>> found.write_geojson(path.with_suffix(".geojson")).name
    'slide.geojson'
    """
    if not is_count(tile) or tile < 1:
        raise InvalidInputError(f"tile is {tile!r}; it takes a positive integer, pixels")
    check_fraction(min_tissue, "min_tissue")
    check_explainers(explainers)
    opened = open_slide(slide, mpp=mpp, bits=bits) if isinstance(slide, str | Path) else slide
    with nullcontext() if opened is slide else closing(opened):
        size = opened.mpp if mpp is None else mpp
        if size is None:
            raise InvalidInputError("mpp is None, and the slide does not say its pixel size")
        stain = {"stain_matrix": stain_matrix, "background": background}
        windows = masked_windows(opened, size, side=int(tile), **stain)
        tiles = _entries(windows, min_tissue, size)
        first = next(tiles, None)
        if first is None:
            raise InvalidInputError("the slide has no tile with enough tissue; see min_tissue")
        options = Options(
            regions="tissue", grid=grid, batch_size=batch_size, out=out, progress=progress
        )
        result = run(explainers, itertools.chain([first], tiles), options)
        return SlideMap(result, opened.dimensions, int(tile))


def _entries(windows: Iterator[Any], min_tissue: float, mpp: float) -> Iterator[Entry]:
    """Yield the tiles with enough tissue, without what surrounds them."""
    place = 0
    for window in windows:
        found, core = window.found, window.core
        planes = {one: getattr(found, one)[core] for one in ("mask", "dab", "intensity", "tissue")}
        mask, rgb = replace(found, **planes), window.rgb[core]
        if mask.tissue.mean() >= min_tissue:
            (x, y), (height, width) = window.corner, rgb.shape[:2]
            labels = {"x": x, "y": y, "width": width, "height": height}
            yield Entry(id=place, image=rgb, mask=mask, region="tissue", mpp=mpp, labels=labels)
            place += 1
