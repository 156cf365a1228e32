"""Coverage of intervals, and how often a test of no difference rejects."""

from functools import lru_cache
from typing import Any

import numpy as np

from benchmarks.harness.rows import Goal, Row
from benchmarks.statistics.cohorts import (
    BEYOND,
    DIFFERENCES,
    LAWS,
    SIZES,
    cams_of_patients,
    cohort,
    differences,
)
from membrane_xai import compare_paired, consistency, ec_score, summarize
from membrane_xai.statistics import summarize_consistency

PATIENTS = (5, 7, 10, 20, 40)
REPEATS = 1000
_DRAWS = 400
_HALF_WIDTH = 2  # per cent to either side of 95
_COMPARED_AT = (5, 10, 40)

Options = dict[str, Any]

BY_NAME: dict[str, Options] = {
    "bca": {"method": "bca", "draws": _DRAWS},
    "studentized": {"method": "studentized", "draws": _DRAWS},
    "patches taken for independent": {"groups": None},
}
_COMPARED = ("Gaussian", "exponential", "Beta, mean 0.03")
PAIRS = {"weak": (0.7, 0.5), "strong": (1.5, 0.3)}
"""How much CAMs share with all others, and with those of their patient."""
PAIRS_AT = (5, 10, 40)
TESTED_AT = (6, 10, 20, 40)
_FLIPPED_AT = (10, 40)


def coverage() -> list[Row]:
    """Measure coverage by law, sizes, number of patients and method."""
    return [
        row
        for law in LAWS
        for sizes in SIZES
        for patients in PATIENTS
        for row in _of_cohorts(law, sizes, patients)
    ]


def _of_cohorts(law: str, sizes: str, patients: int) -> list[Row]:
    rng = np.random.default_rng(patients)
    compared = law in _COMPARED and sizes != "one patch" and patients in _COMPARED_AT
    methods: dict[str, Options] = {"jackknife": {}, **(BY_NAME if compared else {})}
    hits, marked = dict.fromkeys(methods, 0), 0
    truth, bounds = LAWS[law].truth, LAWS[law].bounds
    for seed in range(REPEATS):
        scores, codes = cohort(rng, patients, law, sizes)
        for name, options in methods.items():
            chosen = {"groups": codes, "bounds": bounds, "seed": seed, **options}
            result = summarize(scores, **chosen)
            hits[name] += result.low <= truth <= result.high
            marked += name == "jackknife" and result.note == "skewed"
    where = f"{patients} patients, {law}, {sizes}"
    rows = [_share(f"coverage, {name}, {where}", hits[name]) for name in methods]
    goal = [] if law in BEYOND else [_distance(100 * hits["jackknife"] / REPEATS)]
    return [rows[0], *goal, _share("  marked as skewed", marked), *rows[1:]]


def _share(name: str, count: int) -> Row:
    return Row(name, "%", [100 * count / REPEATS])


def _distance(share: float) -> Row:
    return Row("  distance from 95", "%", [abs(share - 95)], Goal("<=", _HALF_WIDTH))


def coverage_of_pairs() -> list[Row]:
    """Measure coverage of EC between and within patients; the truth is that of 6000 patients."""
    return [
        row
        for strength in PAIRS
        for pairs in ("between", "within")
        for sizes in ("equal", "log-normal")
        for patients in PAIRS_AT
        for row in _of_cams(strength, pairs, sizes, patients)
    ]


@lru_cache
def _true_ec(strength: str, pairs: str) -> float:
    cams, codes = cams_of_patients(np.random.default_rng(5), 6000, *PAIRS[strength], "equal")
    if pairs == "within":
        return float(np.mean(consistency(cams, groups=codes).ec))
    return ec_score(cams[:: cams.shape[0] // 6000])


def _of_cams(strength: str, pairs: str, sizes: str, patients: int) -> list[Row]:
    rng, truth = np.random.default_rng(patients), _true_ec(strength, pairs)
    hits = counted = 0
    for _ in range(REPEATS):
        cams, codes = cams_of_patients(rng, patients, *PAIRS[strength], sizes)
        result = summarize_consistency(cams, codes, pairs=pairs)
        counted += result.note != "few_groups"
        hits += result.low <= truth <= result.high
    share = 100 * hits / counted
    where = f"EC {pairs} patients (true {truth:.2f}), {patients} patients, {sizes}"
    return [Row(f"coverage, jackknife, {where}", "%", [share]), _distance(share)]


def false_positives() -> list[Row]:
    """Compare methods that are as good as each other, on differences of awkward laws."""
    return [
        row
        for law in DIFFERENCES
        for sizes in ("equal", "log-normal")
        for patients in TESTED_AT
        for row in _of_differences(law, sizes, patients)
    ]


def _of_differences(law: str, sizes: str, patients: int) -> list[Row]:
    rng = np.random.default_rng(patients)
    rejected = disagree = flipped = 0
    flips = patients in _FLIPPED_AT and law != "Student's t, 3 df"
    for seed in range(REPEATS):
        scores, codes = differences(rng, patients, law, sizes)
        nothing = np.zeros(codes.size)
        test = compare_paired(scores, nothing, codes)
        rejected += test.p_value <= 0.05
        disagree += (test.p_value <= 0.05) != (not test.low <= 0 <= test.high)
        if flips:
            options = {"method": "percentile", "draws": 100, "permutations": 1000, "seed": seed}
            flipped += compare_paired(scores, nothing, codes, **options).p_value <= 0.05
    where = f"{patients} patients, {law}, {sizes}"
    goal = Goal("<=", 6.5) if law in ("Gaussian", "exponential") and patients >= 10 else None
    share = [100 * rejected / REPEATS]
    rows = [
        Row(f"compare_paired, no difference, p <= 0.05, {where}", "%", share, goal),
        Row("  p and interval disagree", "%", [100 * disagree / REPEATS], Goal("<=", 0)),
    ]
    return [*rows, _share(f"sign flips, no difference, p <= 0.05, {where}", flipped)][: 2 + flips]
