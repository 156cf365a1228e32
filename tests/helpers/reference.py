"""The definitions written out pixel by pixel: slow, independent of the library, easy to read."""

import itertools
from fractions import Fraction

import numpy as np
import pytest


def upsample(cam, size, grid=None):
    """Bilinear interpolation, one output pixel at a time; half-pixel centres without a grid."""
    out = np.empty(size)
    h, w = cam.shape
    for i, j in itertools.product(range(size[0]), range(size[1])):
        y = _cell(i, size[0], h, grid, 0)
        x = _cell(j, size[1], w, grid, 1)
        y0, x0 = int(y), int(x)
        y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
        top = cam[y0, x0] * (1 - (x - x0)) + cam[y0, x1] * (x - x0)
        bottom = cam[y1, x0] * (1 - (x - x0)) + cam[y1, x1] * (x - x0)
        out[i, j] = top * (1 - (y - y0)) + bottom * (y - y0)
    return out


def _cell(pixel, pixels, cells, grid, axis):
    """Return the place of a pixel among the cells, as a number of cells."""
    if grid is None:
        place = (pixel + 0.5) * cells / pixels - 0.5
    else:
        seen = (pixel + 0.5) * grid.size[axis] / pixels - 0.5
        place = (seen - grid.offset[axis]) / grid.spacing[axis]
    return min(max(place, 0.0), cells - 1.0)


def map_score(cam, mask, region=None, threshold=None, grid=None):
    """MAP of the upsampled CAM."""
    region = np.ones(mask.shape) if region is None else region
    up = upsample(np.maximum(cam, 0), mask.shape, grid)
    if threshold is not None:
        up = up >= threshold * up.max()
    return (up * region * mask).sum() / (up * region).sum()


def ceiling(mask, grid, region=None):
    """Best MAP over all CAMs that light a single pixel."""
    scores = []
    for j in range(grid[0] * grid[1]):
        cam = np.zeros(grid)
        cam.flat[j] = 1
        up = upsample(cam, mask.shape)
        if (up if region is None else up * region).sum() > 0:
            scores.append(map_score(cam, mask, region))
    return max(scores)


def top_share(values, weights, k):
    """Expected sum of weights over the top k, by trying every order of the tied pixels' places."""
    order = np.argsort(-values, kind="stable")
    level = values[order[k - 1]]
    above = np.flatnonzero(values > level)
    tied = np.flatnonzero(values == level)
    choices = list(itertools.combinations(tied, k - above.size))
    return weights[above].sum() + np.mean([weights[list(choice)].sum() for choice in choices])


def mean_over_pairs(similarity, maps, weights=None):
    """Weighted mean similarity over all pairs."""
    weights = np.ones(len(maps)) if weights is None else weights
    total = norm = 0.0
    for i, j in itertools.combinations(range(len(maps)), 2):
        total += weights[i] * weights[j] * similarity(maps[i], maps[j])
        norm += weights[i] * weights[j]
    return total / norm


def sign_flip(sums):
    """Share of all patterns of signs whose absolute sum is as large as the observed one."""
    exact = [Fraction(x) for x in sums]
    patterns = itertools.product((1, -1), repeat=len(sums))
    sizes = [abs(sum(s * x for s, x in zip(signs, exact, strict=True))) for signs in patterns]
    observed = abs(sum(exact))
    rounding = Fraction(1, 10**12) * sum(map(abs, exact))
    return sum(size >= observed - rounding for size in sizes) / len(sizes)


def quantus_scores(metric, cam, mask, **options):
    """Score a batch with one of Quantus's localisation metrics, as its users do."""
    quantus = pytest.importorskip("quantus")
    scored = getattr(quantus, metric)(disable_warnings=True, normalise=False, **options)
    return scored(
        model=None,
        x_batch=np.zeros((len(cam), 1, *mask.shape[1:]), np.float32),
        y_batch=np.zeros(len(cam), int),
        a_batch=cam[:, None],
        s_batch=mask[:, None],
        device="cpu",
    )
