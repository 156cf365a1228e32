"""Types of command-line options, for argparse."""

import argparse
import math
from collections.abc import Callable

from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import MPP_LIMITS
from membrane_xai.errors import InvalidInputError

__all__ = [
    "bits_type",
    "count_from",
    "grid_of_method",
    "grid_type",
    "length_type",
    "mpp_type",
    "numbers",
]


def mpp_type(text: str) -> float:
    """Read micrometres per pixel that a microscope gives."""
    return numbers(text, 1, "a positive number of micrometres per pixel", *MPP_LIMITS)[0]


def bits_type(text: str) -> int:
    """Read how many bits of a sample a camera fills."""
    if not text.isdecimal() or not 8 <= int(text) <= 16:
        raise argparse.ArgumentTypeError(f"{text!r}; it takes 8 to 16")
    return int(text)


def length_type(text: str) -> float:
    """Read a positive length in micrometres."""
    return numbers(text, 1, "a positive number of micrometres", 0, math.inf)[0]


def grid_type(text: str) -> CamGrid:
    """Read where the cells of a CAM lie."""
    try:
        return CamGrid.from_text(text)
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def grid_of_method(text: str) -> tuple[str | None, CamGrid]:
    """Read the same with the name of a method before it, None for all."""
    name, equals, grid = text.rpartition("=")
    return name if equals else None, grid_type(grid)


def count_from(least: int) -> Callable[[str], int]:
    """Return what reads an integer of at least `least`, before any work is done."""
    words = {0: "a non-negative integer", 1: "a positive integer"}
    takes = words.get(least, f"an integer of at least {least}")

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}; it takes {takes}")
        return int(text)

    return count


def numbers(text: str, count: int, takes: str, low: float, high: float) -> list[float]:
    """Read some numbers with commas between them, each above 0 if `low` is."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != count or not all(
        math.isfinite(x) and low <= x <= high and (x > 0 or low != 0) for x in found
    ):
        limits = f", {low:g} to {high:g}" if high < math.inf else ""
        raise argparse.ArgumentTypeError(f"{text!r}; it takes {takes}{limits}")
    return found
