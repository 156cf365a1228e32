"""Coverage of intervals, and how often a test of no difference rejects."""

from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness.rows import Goal, Row
from benchmarks.statistics.cohorts import EFFECTS, MEAN, cams_of_patients, cohort
from membrane_xai import compare_paired, summarize
from membrane_xai.statistics import summarize_consistency

PATIENTS = (20, 30, 50, 100)
REPEATS = 2000
_REPEATS_OF_PAIRS = 600
_DRAWS = 1000
_NAIVE_DRAWS = 300
_HALF_WIDTH = 2  # per cent to either side of 95

Options = dict[str, Any]

METHODS: dict[str, Options] = {
    "bca": {"method": "bca"},
    "percentile": {"method": "percentile"},
    "studentized": {"method": "studentized"},
    "bca, small_sample=False": {"method": "bca", "small_sample": False},
    "percentile, small_sample=False": {"method": "percentile", "small_sample": False},
}
NAIVE = "patches taken for independent"


def coverage() -> list[Row]:
    """Measure coverage by distribution, number of patients and method."""
    return [
        row for effect in EFFECTS for patients in PATIENTS for row in _of_patients(effect, patients)
    ]


def _of_patients(effect: str, patients: int) -> list[Row]:
    rng = np.random.default_rng(patients)
    hits = dict.fromkeys((*METHODS, NAIVE), 0)
    for seed in range(REPEATS):
        scores, codes = cohort(rng, patients, effect)
        for name, options in METHODS.items():
            result = summarize(scores, codes, draws=_DRAWS, seed=seed, **options)
            hits[name] += result.low <= MEAN <= result.high
        naive = summarize(scores, draws=_NAIVE_DRAWS, seed=seed, method="percentile")
        hits[NAIVE] += naive.low <= MEAN <= naive.high
    where = f"{patients} patients, {effect} effects"
    rows = []
    for name, count in hits.items():
        share = 100 * count / REPEATS
        rows.append(Row(f"coverage, {name}, {where}", "%", [share]))
        if name == "bca":
            rows.append(_distance(share))
    return rows


def _distance(share: float) -> Row:
    return Row("  distance from 95", "%", [abs(share - 95)], Goal("<=", _HALF_WIDTH))


def coverage_of_pairs() -> list[Row]:
    """Measure coverage of EC between patients; the truth is that of 4000 patients."""
    measure = partial(summarize_consistency, pairs="between", draws=_DRAWS)
    cams, codes = cams_of_patients(np.random.default_rng(1), 4000)
    truth = measure(cams, codes, draws=100).mean
    rows = []
    for patients in (20, 50):
        rng = np.random.default_rng(patients)
        results = [
            measure(*cams_of_patients(rng, patients), seed=seed)
            for seed in range(_REPEATS_OF_PAIRS)
        ]
        share = 100 * np.mean([r.low <= truth <= r.high for r in results]).item()
        where = f"EC between patients (true {truth:.3f}), {patients} patients"
        rows += [Row(f"coverage, bca, {where}", "%", [share]), _distance(share)]
    return rows


def false_positives() -> list[Row]:
    """Compare a method with itself plus noise that differs by patient."""
    rows = []
    for patients in (10, 20, 50):
        rng = np.random.default_rng(patients)
        rejected = 0
        for seed in range(REPEATS):
            scores, codes = cohort(rng, patients, "Gaussian")
            test = compare_paired(
                scores, np.full(codes.size, MEAN), codes, draws=100, permutations=2000, seed=seed
            )
            rejected += test.p_value <= 0.05
        share = 100 * rejected / REPEATS
        rows += [
            Row(f"compare_paired, no difference, p <= 0.05, {patients} patients", "%", [share]),
            Row("  distance from 5", "%", [abs(share - 5)], Goal("<=", 1)),
        ]
    return rows
