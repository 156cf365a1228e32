"""Skill of EC has one bound: intervals stay below 1, and none is made up where all are at it."""

import math

from membrane_xai import summarize
from membrane_xai._backend.vocabulary import bounds_of

BOUNDS = bounds_of("ec_skill_geometric")


def test_the_upper_end_stays_below_one():
    scores = [0.7, 0.9, 0.8, 0.99, 0.5]
    within, without = (summarize(scores, list("abcde"), bounds=bounds) for bounds in (BOUNDS, None))
    assert (-math.inf, 1) == BOUNDS
    assert within.low < within.mean < within.high < 1
    assert summarize([0.99, 0.98, 0.2], list("abc"), bounds=None).high > 1
    assert within.high < without.high + 0.1


def test_all_at_the_bound_is_withheld_and_says_so():
    found = summarize([1.0] * 5, list("abcde"), bounds=BOUNDS)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert found.note == "at_bound"
