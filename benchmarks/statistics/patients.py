"""Tests over a set of patients: CAMs permuted among them; pilots that tell how many it takes."""

import numpy as np
from scipy.stats import t

from benchmarks.harness.rows import Goal, Row
from benchmarks.statistics.cohorts import Rng
from benchmarks.statistics.nulls import smooth
from membrane_xai import pool_mask, shift_null
from membrane_xai.statistics import combine_nulls, patients_needed, permutation_null

SETS = 1000
_OF_POWER, _SHIFTED = 200, 200
_PATIENTS = {"equal": (4, 6, 24), "unequal": (6, 24)}
_FOUR = 4
_GRID, _SIDE = 7, 224
_KINDS = {"no habit": (False, 0.0), "centre habit": (True, 0.0), "knows a little": (True, 0.4)}
"""Whether all maps favour the centre, and the share of the map that follows the mask."""
_PERMUTATIONS = 999
_PILOTS = 1000


def _cells_about_the_centre(rng: Rng, count: int) -> np.ndarray:
    """Draw masks of rings that crowd in the middle of the patch, pooled to the CAM's grid."""
    y, x = np.mgrid[:_SIDE, :_SIDE]
    masks = np.zeros((count, _SIDE, _SIDE), bool)
    for mask in masks:
        for centre in rng.normal(_SIDE / 2, _SIDE / 5, (rng.integers(6, 20), 2)):
            distance = np.hypot(y - centre[0], x - centre[1])
            mask |= (distance < 18) & (distance > 14)
    return np.asarray(pool_mask(masks, (_GRID, _GRID)).mask)


def _maps(rng: Rng, masks: np.ndarray, kind: str) -> np.ndarray:
    habit, known = _KINDS[kind]
    maps = smooth(rng, len(masks), _GRID, edges=True)
    y, x = (np.mgrid[:_GRID, :_GRID] + 0.5) / _GRID - 0.5
    if habit:
        maps = np.exp(-(x**2 + y**2) / (2 * 0.35**2)) * (0.2 + maps)
    return maps * (1 - known + known * masks / masks.mean(axis=(1, 2), keepdims=True))


def permutations() -> list[Row]:
    """Test sets of maps that know nothing, with and without a habit, and of some that know."""
    pool = _cells_about_the_centre(np.random.default_rng(0), 200)
    return [
        row
        for sizes, numbers in _PATIENTS.items()
        for kind in _KINDS
        for patients in numbers
        for row in _of_sets(pool, kind, patients, sizes)
    ]


def _of_sets(pool: np.ndarray, kind: str, patients: int, sizes: str) -> list[Row]:
    rng, found, shifted = np.random.default_rng(patients), [], []
    informed = _KINDS[kind][1] > 0
    for done in range(_OF_POWER if informed else SETS):
        counts = np.full(patients, 6) if sizes == "equal" else rng.integers(2, 12, patients)
        codes = np.repeat(np.arange(patients), counts)
        masks = pool[rng.integers(0, len(pool), codes.size)]
        cams = _maps(rng, masks, kind)
        options = {"permutations": _PERMUTATIONS, "seed": done}
        found.append(permutation_null(cams, masks, codes, **options).p_value <= 0.05)
        if done < _SHIFTED and sizes == "equal" and not informed:
            shifted.append(combine_nulls(shift_null(cams, masks), codes).p_value <= 0.05)
    share = 100 * float(np.mean(found))
    where = f"{kind}, {patients} patients, {sizes}"
    rows = [Row(f"permutation_null, p <= 0.05, {where}", "%", [share])]
    if not informed and patients > _FOUR:  # who have 24 orders: p <= 0.05 in 4.2 %
        rows.append(Row("  distance from 5", "%", [abs(share - 5)], Goal("<=", 1)))
    if shifted:
        by_shifts = 100 * float(np.mean(shifted))
        rows.append(Row(f"shift_null of the set, p <= 0.05, {where}", "%", [by_shifts]))
    return rows


def pilots() -> list[Row]:
    """Measure how often the range of `patients_needed` holds what the true variances ask for."""
    between, within, each, width = 0.1, 0.1, 5, 0.06
    of_one, needed = between**2 + within**2 / each, 2
    while 2 * t.ppf(0.975, needed - 1) * np.sqrt(of_one / needed) > width:
        needed += 1
    rows = []
    for patients in (5, 10, 30):
        rng, held, ratios = np.random.default_rng(patients), 0, []
        for _ in range(_PILOTS):
            codes = np.repeat(np.arange(patients), rng.integers(3, 9, patients))
            scores = rng.normal(0, between, patients)[codes] + rng.normal(0, within, codes.size)
            found = patients_needed(scores, codes, width=width, per_patient=each)
            held += found.patients_low <= needed <= found.patients_high
            ratios.append(found.patients_high / found.patients_low)
        where = f"pilot of {patients} patients"
        rows += [
            Row(
                f"patients_needed, range holds the true number, {where}",
                "%",
                [100 * held / _PILOTS],
            ),
            Row("  largest over least of the range", "ratio", [float(np.median(ratios))]),
        ]
    return rows
