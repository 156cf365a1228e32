"""Checks of numbers, choices and seeds; errors name the option, its value and what it takes."""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from membrane_xai.errors import InvalidInputError

__all__ = [
    "MPP_LIMITS",
    "check_choice",
    "check_distance",
    "check_fine_mpp",
    "check_fraction",
    "check_grid",
    "check_k",
    "check_mpp",
    "check_number",
    "check_seed",
    "check_thresholds",
    "is_count",
    "is_real",
]

MPP_LIMITS = (0.05, 5.0)
"""Micrometres per pixel that a microscope gives: 200x to 2x. Beyond, a unit was mistaken."""

_COARSEST = 1.5  # micrometres per pixel


def check_choice(value: Any, name: str, choices: Sequence[str]) -> None:
    """Raise unless `value` is one of `choices`."""
    if not isinstance(value, str) or value not in choices:
        allowed = ", ".join(repr(choice) for choice in choices)
        raise InvalidInputError(f"{name} is {value!r}; it takes one of {allowed}")


def check_fraction(value: Any, name: str) -> float:
    """Return `value` as float if it is a number in [0, 1], or raise."""
    number = _as_float(value)
    if number is None or not 0 <= number <= 1:
        raise InvalidInputError(f"{name} is {value!r}; it takes numbers in [0, 1]")
    return number


def check_distance(value: Any, name: str) -> float:
    """Return `value` as float if it is a finite number, not negative, or raise."""
    number = _as_float(value)
    if number is None or not 0 <= number < math.inf:
        raise InvalidInputError(f"{name} is {value!r}; it takes a non-negative number of pixels")
    return number


def check_grid(value: Any, name: str = "grid") -> tuple[int, int]:
    """Return `value` as two positive integers, or raise."""
    try:
        rows, columns = (operator.index(side) for side in value)
    except (TypeError, ValueError):
        rows = columns = 0
    if min(rows, columns) < 1:
        raise InvalidInputError(
            f"{name} is {value!r}; it takes two positive integers (rows, columns)"
        )
    return rows, columns


def check_k(value: Any) -> int | float:
    """Return `value` as a positive int or a float in (0, 1), or raise."""
    number = _as_float(value)
    if number is None or not (number >= 1 if is_count(value) else 0 < number < 1):
        raise InvalidInputError(
            f"k is {value!r}; it takes a positive number of pixels (int) or a fraction in (0, 1)"
        )
    return int(value) if is_count(value) else number


def is_count(value: Any) -> bool:
    """Tell an integer of any library from other numbers."""
    try:
        operator.index(value)
    except (TypeError, ValueError, RuntimeError):  # the latter two of arrays that are no scalar
        return False
    return not _is_bool(value)


def _is_bool(value: Any) -> bool:
    """Tell truth values of any library, which are no numbers."""
    return isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")


def _as_float(value: Any) -> float | None:
    """Return a number of any library as float; None for bool, text, arrays and the rest."""
    if _is_bool(value) or isinstance(value, str | bytes) or getattr(value, "ndim", 0) > 0:
        return None
    if getattr(getattr(value, "dtype", None), "kind", "f") in "USO":  # text in an array of one
        return None
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def check_number(value: Any, name: str, takes: str, accept: Callable[[float], bool]) -> float:
    """Return `value` as float if it is a finite number that `accept` accepts, or raise."""
    number = _as_float(value)
    if number is None or not (math.isfinite(number) and accept(number)):
        raise InvalidInputError(f"{name} is {value!r}; it takes {takes}")
    return number


def check_mpp(mpp: Any) -> float:
    """Return `mpp` as float if it is micrometres per pixel that a microscope gives, or raise."""
    low, high = MPP_LIMITS
    takes = f"a positive number, micrometres per pixel, {low:g} to {high:g}"
    return check_number(mpp, "mpp", takes, lambda x: low <= x <= high)


def check_fine_mpp(mpp: Any, seen: str) -> float:
    """Return `mpp` as float if cells can be looked into at that scale, or raise."""
    number = check_mpp(mpp)
    if number > _COARSEST:
        raise InvalidInputError(f"mpp is {mpp!r}; {seen} cannot be seen above 1.5 um per pixel")
    return number


def check_thresholds(thresholds: Any) -> tuple[float, float, float]:
    """Return the three densities from which staining is weak, moderate and strong, or raise."""
    values = tuple(thresholds) if isinstance(thresholds, list | tuple) else ()
    known = len(values) == 3 and all(is_real(x) for x in values)
    if not known or not 0 < values[0] < values[1] < values[2]:
        raise InvalidInputError(
            f"thresholds is {thresholds!r}; it takes three increasing optical densities above 0"
        )
    return float(values[0]), float(values[1]), float(values[2])


def is_real(value: Any) -> bool:
    """Tell a finite number from everything else."""
    number = _as_float(value)
    return number is not None and math.isfinite(number)


def check_seed(seed: Any) -> int:
    """Return `seed` as int, or raise: without one no result could be repeated."""
    if not is_count(seed) or seed < 0:
        raise InvalidInputError(f"seed is {seed!r}; it takes a non-negative integer")
    return int(seed)
