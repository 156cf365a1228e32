"""Types of command-line options, for argparse: what is wrong is said before any work."""

import argparse

from her2_models.metrics._cases import check_draws
from her2_models.metrics._results import SINGLE
from membrane_xai.errors import InvalidInputError

__all__ = ["draws_from_100", "draws_or_none", "single_quantity"]


def draws_or_none(text: str) -> int:
    """Read the draws of a bootstrap, or 0 for no intervals."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}; it takes an integer from 100, or 0")
    try:
        check_draws(int(text))
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return int(text)


def draws_from_100(text: str) -> int:
    """Read the draws of a bootstrap."""
    if not text.isdecimal() or int(text) < 100:
        raise argparse.ArgumentTypeError(f"{text!r}; it takes an integer of at least 100")
    return int(text)


def single_quantity(text: str) -> str:
    """Read the name of a quantity that is one number for all classes."""
    if text not in SINGLE:
        raise argparse.ArgumentTypeError(f"{text!r}; it takes one of {', '.join(SINGLE)}")
    return text
