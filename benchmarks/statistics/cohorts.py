"""Simulated cohorts whose truth is known: patients who differ, of one size or of many."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

PATCHES_WHERE_EQUAL = 10
_BETWEEN, _WITHIN = 0.05, 0.05
_CONCENTRATION = 20  # of the Beta law of the patches of one patient

Rng = np.random.Generator
Cohort = tuple[np.ndarray, np.ndarray]
"""Scores and patients of N patches."""


def _equal(_rng: Rng, patients: int) -> np.ndarray:
    return np.full(patients, PATCHES_WHERE_EQUAL)


def _lognormal(rng: Rng, patients: int) -> np.ndarray:
    """Median 7 patches, 1 to 400: of ten patients as much as of four of one size."""
    return np.clip(np.exp(rng.normal(2, 1.2, patients)).astype(int), 1, 400)


def _one(_rng: Rng, patients: int) -> np.ndarray:
    return np.ones(patients, int)


SIZES: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "equal": _equal,
    "log-normal": _lognormal,
    "one patch": _one,
}


class Law(NamedTuple):
    """How patients differ, and their patches."""

    truth: float
    """Mean of the patients."""
    patients: Callable[[Rng, int], np.ndarray]
    patches: Callable[[Rng, np.ndarray], np.ndarray]
    """Scores of patches, from the mean of the patient of each."""
    bounds: tuple[float, float] | None = None


def _noise(rng: Rng, means: np.ndarray) -> np.ndarray:
    return means + rng.normal(0, _WITHIN, means.size)


def _share(rng: Rng, means: np.ndarray) -> np.ndarray:
    return rng.beta(*(np.maximum(_CONCENTRATION * x, 1e-3) for x in (means, 1 - means)))


LAWS: dict[str, Law] = {
    "Gaussian": Law(0.3, lambda rng, n: rng.normal(0.3, _BETWEEN, n), _noise),
    "exponential": Law(0.25, lambda rng, n: 0.2 + rng.exponential(_BETWEEN, n), _noise),
    "Beta, mean 0.03": Law(0.03, lambda rng, n: rng.beta(0.3, 9.7, n), _share, (0, 1)),
    "Beta, mean 0.97": Law(0.97, lambda rng, n: rng.beta(9.7, 0.3, n), _share, (0, 1)),
    "log-normal": Law(
        float(np.exp(-1.5)),
        lambda rng, n: np.exp(rng.normal(-2, 1, n)),
        lambda rng, means: means * np.exp(rng.normal(-0.045, 0.3, means.size)),
    ),
}
BEYOND = ("log-normal",)
"""Laws with no goal: no interval of few patients can know of the very few that are far above."""


def cohort(rng: Rng, patients: int, law: str, sizes: str) -> Cohort:
    """Draw a cohort."""
    codes = np.repeat(np.arange(patients), SIZES[sizes](rng, patients))
    found = LAWS[law]
    return found.patches(rng, found.patients(rng, patients)[codes]), codes


DIFFERENCES: dict[str, Callable[[Rng, int], np.ndarray]] = {
    "Gaussian": lambda rng, n: rng.normal(size=n),
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "log-normal": lambda rng, n: (np.exp(rng.normal(size=n)) - np.exp(0.5)) / 2.16,
    "Student's t, 3 df": lambda rng, n: rng.standard_t(3, n) / np.sqrt(3),
}
"""Laws of mean 0 and spread 1: how much better a method is in each patient."""


def differences(rng: Rng, patients: int, law: str, sizes: str) -> Cohort:
    """Draw differences of two methods that are as good as each other."""
    codes = np.repeat(np.arange(patients), SIZES[sizes](rng, patients))
    effects = _BETWEEN * DIFFERENCES[law](rng, patients)
    return effects[codes] + rng.normal(0, 0.03, codes.size), codes


def _patterns(rng: Rng, count: int, side: int = 7) -> np.ndarray:
    """Draw smooth random maps of mean 0 and length 1."""
    maps = gaussian_filter(rng.normal(size=(count, side, side)), (0, 1, 1)).reshape(count, -1)
    maps -= maps.mean(axis=1, keepdims=True)
    return maps / np.linalg.norm(maps, axis=1, keepdims=True)


SHARED = _patterns(np.random.default_rng(123), 1)[0]


def cams_of_patients(
    rng: Rng, patients: int, shared: float, own: float, sizes: str, side: int = 7
) -> Cohort:
    """Draw CAMs that share a pattern with all others and another with those of their patient."""
    heavy = np.clip(np.exp(rng.normal(1.3, 0.9, patients)).astype(int), 1, 60)
    counts = heavy if sizes == "log-normal" else np.full(patients, 4)
    codes = np.repeat(np.arange(patients), counts)
    maps = shared * SHARED + own * _patterns(rng, patients)[codes] + _patterns(rng, codes.size)
    return maps.reshape(-1, side, side), codes
