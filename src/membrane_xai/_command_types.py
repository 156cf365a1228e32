"""What options on a command line are read as; errors say what they take."""

import argparse
import math

__all__ = ["count_type", "mpp_type", "numbers"]


def mpp_type(text: str) -> float:
    """Read micrometres per pixel, or another positive length in micrometres."""
    return numbers(text, 1, "a positive number of micrometres", 0, math.inf)[0]


def count_type(text: str) -> int:
    """Read an integer from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; it takes a positive integer")
    return int(text)


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
