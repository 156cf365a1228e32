"""Compare CAMs of one image at several magnifications on the field both show."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from membrane_xai._backend.arrays import Array
from membrane_xai._backend.checks import is_real
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._agreement import Measure, mean_of, similar
from membrane_xai.explanation_consistency._explainers import View
from membrane_xai.explanation_consistency._fields import Field, common_field, register
from membrane_xai.io._pixel_size import MPP_AT_1X, magnification_of
from membrane_xai.perturb._perturbation import everywhere

__all__ = ["ScalePair", "check_magnifications", "compare_scales", "scale_ec", "single_cam"]

_FINER_AT_MOST = 1.1  # scanners' 20x and 40x differ from 0.5 and 0.25 um by up to 12 %

T = TypeVar("T")


class ScalePair(NamedTuple):
    """Two magnifications of one image compared."""

    similarity: float
    reason: str
    overlap_um: tuple[float, float]
    overlap_share: float
    cells: tuple[int, int]


def compare_scales(
    cams: Sequence[Array], fields: Sequence[Field], measure: Measure
) -> list[ScalePair]:
    """Compare all pairs of the maps of one image."""
    views = list(zip(cams, fields, strict=True))
    return [_pair(a, b, measure) for a, b in itertools.combinations(views, 2)]


def scale_ec(pairs: Sequence[ScalePair]) -> float:
    """Return the mean similarity of the defined pairs."""
    return mean_of(np.array([pair.similarity for pair in pairs]))


def _pair(one: tuple[Array, Field], other: tuple[Array, Field], measure: Measure) -> ScalePair:
    fields = [
        field.of_grid((int(found.shape[0]), int(found.shape[1]))) for found, field in (one, other)
    ]
    target = common_field(*fields)
    cells = (target.rows.cells, target.columns.cells)
    first, second = (
        View(register(found, field, target), everywhere(cells))
        for (found, _), field in zip((one, other), fields, strict=True)
    )
    score, _, reason = similar(first, second, measure)
    extent = (target.rows.stop - target.rows.start, target.columns.stop - target.columns.start)
    larger = max(field.area for field in fields)
    return ScalePair(score, reason, extent, target.area / larger, cells)


def check_magnifications(magnifications: Any, mpp: float) -> tuple[float, ...]:
    """Return magnifications as floats, or raise if images of `mpp` cannot show them."""
    values = tuple(magnifications) if isinstance(magnifications, list | tuple) else ()
    known = all(is_real(value) and value > 0 for value in values)
    if not known or len(values) < 2 or len(set(values)) < len(values):
        raise InvalidInputError(
            f"magnifications is {magnifications!r}; it takes two or more different numbers above 0"
        )
    finest = magnification_of(mpp) * _FINER_AT_MOST
    for value in values:
        if value > finest:
            raise InvalidInputError(
                f"magnifications has {value:g}, which is {MPP_AT_1X / value:g} um per pixel, but "
                f"the images have mpp={mpp:g}; it takes numbers up to {finest:g}"
            )
    return tuple(float(value) for value in values)


def single_cam(labeled: Mapping[Any, T]) -> T:
    """Return what is without a label, or raise."""
    if list(labeled) != [None]:
        raise InvalidInputError(
            f"explain returned maps of classes {list(labeled)}; it takes one map an image: choose "
            f"a class, or use membrane_xai.evaluate"
        )
    return labeled[None]
