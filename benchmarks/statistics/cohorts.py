"""Simulated cohorts whose truth is known: patients who differ, with unequal numbers of patches."""

from collections.abc import Callable

import numpy as np

MEAN = 0.4
"""Mean score of the population: every patient counts alike in it."""
_BETWEEN, _WITHIN = 0.08, 0.10

Cohort = tuple[np.ndarray, np.ndarray]
"""Scores and patients of N patches."""


def _gaussian(rng: np.random.Generator, patients: int) -> np.ndarray:
    return rng.normal(0, _BETWEEN, patients)


def _skewed(rng: np.random.Generator, patients: int) -> np.ndarray:
    """Exponential, of the same mean and spread: most patients low, a few very high."""
    return rng.exponential(_BETWEEN, patients) - _BETWEEN


EFFECTS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "Gaussian": _gaussian,
    "exponential": _skewed,
}


def cohort(rng: np.random.Generator, patients: int, effect: str) -> Cohort:
    """Draw a cohort: 5 to 39 patches a patient, 39 % of the variance between patients."""
    sizes = rng.integers(5, 40, patients)
    codes = np.repeat(np.arange(patients), sizes)
    differences = EFFECTS[effect](rng, patients)
    return MEAN + differences[codes] + rng.normal(0, _WITHIN, codes.size), codes


def cams_of_patients(rng: np.random.Generator, patients: int, side: int = 7) -> Cohort:
    """Draw CAMs that share a pattern with all others and another with those of their patient."""
    sizes = rng.integers(2, 8, patients)
    codes = np.repeat(np.arange(patients), sizes)
    ramp = np.linspace(-1, 1, side)
    shared = np.exp(-2 * (ramp[:, None] ** 2 + ramp[None, :] ** 2))
    own = rng.normal(0, 0.3, (patients, side, side)) * rng.gamma(2, 0.5, (patients, 1, 1))
    return shared + own[codes] + rng.normal(0, 0.3, (codes.size, side, side)), codes
