"""Tests against chance: p-values of CAMs that know nothing of the mask, and of some that do."""

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest

from benchmarks.harness.rows import Goal, Row
from membrane_xai import pool_mask, shift_null
from membrane_xai.statistics import NullResult, random_cam_null

COUNT = 2000
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Of the planted membrane, in standard deviations of the noise."""
SIDES = (7, 14)
_SIDE = 224
_SMOOTH = 1.2
_RANDOM_CAMS = 199


def rings(rng: np.random.Generator) -> np.ndarray:
    """Draw a mask of 6 to 19 cells, each a ring 36 px across and 4 px wide."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    mask = np.zeros((_SIDE, _SIDE), bool)
    for centre in rng.uniform(0, _SIDE, (rng.integers(6, 20), 2)):
        distance = np.hypot(y - centre[0], x - centre[1])
        mask |= (distance < 18) & (distance > 14)
    return mask


def smooth(rng: np.random.Generator, count: int, side: int, edges: bool) -> np.ndarray:
    """Draw smooth random CAMs from 0: without edges, or cut from a larger field."""
    margin = 6 if edges else 0
    noise = rng.standard_normal((count, side + 2 * margin, side + 2 * margin))
    maps = gaussian_filter(noise, (0, _SMOOTH, _SMOOTH), mode="wrap")
    maps = maps[:, margin : margin + side, margin : margin + side]
    maps = maps / maps.std(axis=(1, 2), keepdims=True)
    return maps - maps.min(axis=(1, 2), keepdims=True)


def calibration(masks: np.ndarray) -> list[Row]:
    """Measure p-values of CAMs drawn without regard to the mask."""
    rows = []
    for side in SIDES:
        for edges in (False, True):
            cams = smooth(np.random.default_rng(side), len(masks), side, edges)
            kind = f"{side}x{side} CAMs {'cut from a field' if edges else 'without edges'}"
            rows += _uniform(shift_null(cams, masks), f"shift_null, {kind}")
            random = random_cam_null(cams, masks, draws=_RANDOM_CAMS)
            rows += _uniform(random, f"random_cam_null, {kind}")
    return rows


def _uniform(result: NullResult, name: str) -> list[Row]:
    share = 100 * float(np.mean(result.p_value <= 0.05))
    uniform = float(kstest(result.p_mid, "uniform").pvalue)
    return [
        Row(f"{name}: p <= 0.05 by chance", "%", [share]),
        Row("  distance from 5", "%", [abs(share - 5)], Goal("<=", 1)),
        Row("  p of Kolmogorov and Smirnov that p is uniform", "", [uniform], Goal(">=", 0.01)),
    ]


def power(masks: np.ndarray) -> list[Row]:
    """Plant the pooled membrane into smooth CAMs, weakly to strongly."""
    rows = []
    for side in SIDES:
        share = pool_mask(masks, (side, side)).mask
        planted = share - share.mean(axis=(1, 2), keepdims=True)
        planted /= planted.std(axis=(1, 2), keepdims=True)
        cams = smooth(np.random.default_rng(side), len(masks), side, edges=False)
        for strength in STRENGTHS:
            maps = cams + strength * planted
            result = shift_null(maps - maps.min(axis=(1, 2), keepdims=True), masks)
            found = 100 * float(np.mean(result.p_value <= 0.05))
            rows.append(
                Row(f"power of shift_null, {side}x{side}, strength {strength}", "%", [found])
            )
    return rows
