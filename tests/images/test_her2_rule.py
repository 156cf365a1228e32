"""The breast rule on cells counted by hand."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from membrane_xai import CellTable, her2_rule_score, membrane_completeness, segment_nuclei
from membrane_xai.datasets import synthetic_her2
from membrane_xai.datasets._staining import breast_grade
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import (
    CATEGORIES,
    CRITERIA,
    FALSE_POSITIVE_RATES,
    GAPS,
    STATUSES,
    UNUSUAL_PATTERNS,
)

# (completeness, intensity) of one cell
NONE, FAINT, FAINT_COMPLETE = (0.0, 0), (0.4, 1), (1.0, 1)
PARTLY, COMPLETE = (0.5, 2), (1.0, 2)
INTENSE_PARTLY, INTENSE = (0.6, 3), (1.0, 3)


def table(*groups, border=0):
    """Make a table from (number of cells, (completeness, intensity)) and cells at the border."""
    kinds = [kind for count, kind in groups for _ in range(count)]
    completeness, intensity = (np.array(x) for x in zip(*kinds, strict=True))
    n = len(kinds)
    return CellTable(
        id=np.arange(1, n + 1),
        row=np.arange(n, dtype=float),
        col=np.zeros(n),
        completeness=completeness.astype(float),
        dab=np.array([np.nan, 0.3, 0.6, 1.0])[intensity],
        intensity=intensity,
        width_um=np.where(completeness > 0, 1.0, np.nan),
        touches_border=np.arange(n) < border,
        mpp=0.5,
    )


@pytest.mark.parametrize(
    ("groups", "score"),
    [
        ([(100, NONE)], "0"),
        ([(90, NONE), (10, FAINT)], "0"),  # exactly 10 %
        ([(89, NONE), (11, FAINT)], "1+"),
        ([(900, NONE), (100, FAINT)], "0"),
        ([(899, NONE), (101, FAINT)], "1+"),
        ([(90, FAINT), (10, FAINT_COMPLETE)], "1+"),
        ([(89, FAINT), (11, FAINT_COMPLETE)], "2+"),
        ([(910, NONE), (90, FAINT_COMPLETE)], "0"),
        ([(89, NONE), (11, COMPLETE)], "2+"),
        ([(90, NONE), (10, INTENSE)], "2+"),
        ([(89, NONE), (11, INTENSE)], "3+"),
        ([(11, INTENSE), (89, COMPLETE)], "3+"),
        ([(270, NONE), (30, FAINT)], "0"),
        ([(269, NONE), (31, FAINT)], "1+"),
        ([(63, NONE), (7, FAINT)], "0"),
    ],
)
def test_the_definitions_with_every_more_than_strict(groups, score):
    assert her2_rule_score(table(*groups)).score == score


@pytest.mark.parametrize(
    ("groups", "by_note", "by_definition"),
    [
        ([(600, INTENSE_PARTLY), (400, NONE)], "2+", "2+"),  # micropapillary
        ([(600, PARTLY), (400, NONE)], "2+", "1+"),
        ([(101, PARTLY), (899, NONE)], "2+", "1+"),
        ([(100, PARTLY), (900, NONE)], "0", "0"),  # exactly 10 %
        ([(100, PARTLY), (900, FAINT)], "1+", "1+"),
        ([(101, INTENSE_PARTLY), (899, FAINT)], "2+", "2+"),
        # Neither alone exceeds 10 %; together they are more than faint and incomplete.
        ([(60, PARTLY), (60, FAINT_COMPLETE), (880, NONE)], "2+", "1+"),
        ([(60, INTENSE_PARTLY), (60, COMPLETE), (880, NONE)], "2+", "2+"),
    ],
)
def test_incomplete_staining_that_is_not_faint_is_2_by_the_guidelines_note(
    groups, by_note, by_definition
):
    """Wolff et al. 2018, figure 1, note: moderate to intense but incomplete is 2+ equivocal.

    Taylor et al. 2021 keep to the definition of 2+ where it is moderate.
    """
    cells = table(*groups)
    assert her2_rule_score(cells).score == by_note
    assert her2_rule_score(cells, moderate_incomplete="1+").score == by_definition


@pytest.mark.parametrize(("n", "score", "status"), [(19, None, "too_few_cells"), (20, "3+", "ok")])
def test_below_twenty_cells_there_is_no_score(n, score, status):
    result = her2_rule_score(table((n, INTENSE)))
    assert (result.score, result.status, result.n_cells) == (score, status, n)
    assert (result.category is None) == np.isnan(result.h_score) == (score is None)
    assert result.too_few_cells
    assert result.shares["stained"].count == n
    assert set(result.borderline) == (set(CRITERIA) & set() if score is None else set())
    assert ("no score: 19 cells" in str(result)) == (n == 19)


def test_four_and_five_cells_with_one_stained_have_no_score():
    for cells in (table((1, INTENSE), (3, NONE)), table((1, FAINT_COMPLETE), (4, NONE))):
        assert her2_rule_score(cells).status == "too_few_cells"


@pytest.mark.parametrize(
    ("groups", "score"),
    [
        ([(1, INTENSE), (1124, NONE)], "0"),
        ([(1, INTENSE), (450, FAINT), (674, NONE)], "1+"),
        ([(1, INTENSE), (99, NONE)], "0"),
        ([(40, INTENSE), (960, NONE)], "2+"),
    ],
)
def test_some_intense_cells_are_more_than_mistakes_make(groups, score):
    result = her2_rule_score(table(*groups))
    assert result.score == score
    few = result.shares["complete_intense"].count < 10
    assert ("complete_intense" in result.borderline) == few


def test_the_lower_end_of_the_interval_decides_and_not_the_share():
    """Wilson's lower end of 5 of 100 is 0.0215: Newcombe, Stat. Med. 17 (1998), 857-872, method 3.

    Written out in the test of the intervals.
    """
    cells = table((5, INTENSE), (95, NONE))
    assert her2_rule_score(cells, false_positive_rate=0.0215).score == "2+"
    assert her2_rule_score(cells, false_positive_rate=0.0216).score == "0"
    of_one = {"complete_intense": 0.0216}
    assert her2_rule_score(cells, false_positive_rate=of_one).score == "0"
    assert her2_rule_score(cells, false_positive_rate=of_one).false_positive_rates == {
        **FALSE_POSITIVE_RATES,
        **of_one,
    }
    # 12 % of the cells, and no more than this measurement makes of unstained ones
    stained = table((12, FAINT), (88, NONE))
    assert her2_rule_score(stained).score == "1+"
    assert her2_rule_score(stained, false_positive_rate={"stained": 0.08}).score == "0"
    assert "may be false positives (8.0%)" in str(
        her2_rule_score(stained, false_positive_rate={"stained": 0.08})
    )


@pytest.mark.parametrize(
    ("groups", "borderline"),
    [
        ([(30, FAINT), (20, NONE)], ()),
        ([(9, FAINT), (11, NONE)], ("stained",)),  # interval from 26 %
        ([(10, FAINT), (10, NONE)], ()),
        ([(9, INTENSE), (191, NONE)], ("complete_intense",)),  # 2.4 to 8.3 %
        ([(10, INTENSE), (190, NONE)], ()),
    ],
)
def test_a_score_that_fewer_than_ten_cells_carry_is_borderline(groups, borderline):
    result = her2_rule_score(table(*groups))
    near = [
        s for s in result.borderline if not result.shares[s].low <= 0.1 <= result.shares[s].high
    ]
    assert tuple(near) == borderline
    assert ("rests on 9 cells" in str(result)) == bool(borderline)


@pytest.mark.parametrize(("tenth", "rest"), [(2, 18), (4, 18), (70, 630), (71, 630)])
def test_the_truth_of_synthetic_images_is_written_independently_and_agrees(tenth, rest):
    kinds = (NONE, FAINT, FAINT_COMPLETE, PARTLY, COMPLETE, INTENSE_PARTLY, INTENSE)
    for one, other in itertools.permutations(kinds, 2):
        cells = table((tenth, one), (rest, other))
        found = her2_rule_score(cells, false_positive_rate=0)
        assert found.score == breast_grade(cells.completeness, cells.intensity)


NEGATIVE = "HER2-negative: HER2-null or HER2-ultralow"


@pytest.mark.parametrize(
    ("groups", "category", "split"),
    [
        ([(1000, NONE)], NEGATIVE, "HER2-null"),
        ([(999, NONE), (1, FAINT)], NEGATIVE, NEGATIVE),  # by mistake, as likely as not
        ([(999, NONE), (1, (0.1, 1))], NEGATIVE, NEGATIVE),
        ([(950, NONE), (50, FAINT)], NEGATIVE, "HER2-ultralow"),
        ([(90, NONE), (10, FAINT)], NEGATIVE, "HER2-ultralow"),
        ([(80, NONE), (20, FAINT)], "HER2-low", "HER2-low"),
        ([(80, NONE), (20, COMPLETE)], CATEGORIES["2+"], CATEGORIES["2+"]),
        ([(80, NONE), (20, INTENSE)], "HER2-positive", "HER2-positive"),
    ],
)
def test_categories(groups, category, split):
    assert her2_rule_score(table(*groups)).category == category
    assert her2_rule_score(table(*groups), split_zero=True).category == split


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_are_wilsons(level):
    """The formula of Wilson, JASA 22 (1927), 209-212, written out."""
    result = her2_rule_score(table((88, NONE), (12, FAINT)), level=level)
    share = result.shares["stained"]
    p, n, z = 0.12, 100, norm.ppf((1 + level) / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (share.count, share.total, share.value) == (12, 100, 0.12)
    assert (share.low, share.high) == pytest.approx((centre - half, centre + half))
    assert result.level == level


def test_few_cells_near_the_limit_say_so():
    near = her2_rule_score(table((26, NONE), (4, FAINT)))
    assert near.borderline == ("complete_intense", "complete", "complete_or_moderate", "stained")
    assert near.too_few_cells
    assert "10 % is within the interval" in str(near)
    assert "too few cells" in str(near)
    enough = her2_rule_score(table((26, NONE), (4, FAINT)), min_cells=30)
    assert not enough.too_few_cells
    far = her2_rule_score(table((500, NONE), (500, FAINT)))
    assert far.borderline == ()
    assert not far.too_few_cells


@pytest.mark.parametrize(
    ("groups", "unusual", "gaps"),
    [
        ([(100, NONE)], (), ()),
        ([(50, FAINT), (50, NONE)], (), ()),
        ([(950, NONE), (50, INTENSE)], ("intense_complete_at_most_10",), ()),
        ([(80, NONE), (20, INTENSE)], (), ()),
        ([(80, NONE), (20, PARTLY)], ("incomplete_moderate_or_intense",), ()),
        ([(80, NONE), (20, INTENSE_PARTLY)], ("incomplete_moderate_or_intense",), ()),
        ([(900, NONE), (100, PARTLY)], (), ("incomplete_moderate_or_intense_at_most_10",)),
        ([(60, NONE), (20, PARTLY), (20, COMPLETE)], (), ()),
        ([(910, NONE), (90, COMPLETE)], (), ("complete_at_most_10",)),
        ([(910, NONE), (90, FAINT_COMPLETE)], (), ("complete_at_most_10",)),
        ([(1, FAINT_COMPLETE), (999, NONE)], (), ()),  # by mistake
    ],
)
def test_what_the_note_decides_and_what_the_guideline_leaves_open(groups, unusual, gaps):
    result = her2_rule_score(table(*groups))
    assert (result.unusual_patterns, result.guideline_gaps) == (unusual, gaps)
    assert all(GAPS[gap] in str(result) for gap in gaps)
    assert all(UNUSUAL_PATTERNS[pattern] in str(result) for pattern in unusual)


def test_flags_of_the_cells_are_those_of_the_score():
    doubtful = dataclasses.replace(table((30, FAINT)), flags=("pixel_size",))
    assert her2_rule_score(doubtful).flags == ("pixel_size",)
    assert "the nuclei contradict it" in str(her2_rule_score(doubtful))
    assert her2_rule_score(table((30, FAINT))).flags == ()


def test_h_score_by_hand():
    cells = table((10, NONE), (20, FAINT), (30, COMPLETE), (40, INTENSE))
    assert her2_rule_score(cells).h_score == 1 * 20 + 2 * 30 + 3 * 40
    assert her2_rule_score(table((20, INTENSE))).h_score == 300
    # Too little of the membrane is stained for the cell to be.
    assert her2_rule_score(table((20, (0.05, 3)))).h_score == 0


def test_cells_cut_by_the_border_and_outside_the_tumour_do_not_count():
    cells = table((20, INTENSE), (80, NONE), border=20)
    result = her2_rule_score(cells)
    assert (result.score, result.n_cells, result.n_excluded) == ("0", 80, 20)
    tumour = np.arange(100) < 60
    of_tumour = her2_rule_score(cells, tumour=tumour)
    assert (of_tumour.n_cells, of_tumour.n_excluded) == (40, 60)


def test_tumour_may_be_a_region():
    cells = table((50, NONE), (50, INTENSE))
    region = np.zeros((100, 1), bool)
    region[:52] = True
    result = her2_rule_score(cells, tumour=region)
    assert (result.n_cells, result.shares["complete_intense"].count) == (52, 2)
    # The nearest pixel decides.
    lower = dataclasses.replace(cells, row=cells.row[::-1] - 0.4)
    assert her2_rule_score(lower, tumour=region).n_cells == 52


def test_no_cell_has_no_score():
    result = her2_rule_score(table((3, INTENSE), border=3))
    assert (result.score, result.category, result.n_cells) == (None, None, 0)
    assert result.status == "no_cells"
    assert set(STATUSES) == {"ok", "too_few_cells", "no_cells"}
    assert np.isnan(result.h_score)
    assert np.isnan(result.shares["stained"].value)
    assert result.borderline == ()
    assert "no score" in str(result)


def test_the_limits_of_complete_and_stained_can_be_moved():
    cells = table((50, (0.8, 3)), (50, NONE))
    assert her2_rule_score(cells).score == "2+"
    assert her2_rule_score(cells, complete=0.8).score == "3+"
    assert her2_rule_score(cells, stained=0.81).score == "0"
    assert her2_rule_score(table((100, (0.1, 1)))).score == "1+"  # from 0.1
    # Staining needs some membrane, whatever the limit.
    assert her2_rule_score(table((100, NONE)), stained=0).h_score == 0
    assert her2_rule_score(table((100, NONE)), stained=0).shares["stained"].count == 0


def test_the_output_says_research_use_only():
    for cells in (table((100, INTENSE)), table((3, INTENSE), border=3)):
        assert "Research use only" in str(her2_rule_score(cells))
    assert str(her2_rule_score(table((100, INTENSE)))).startswith("3+ (HER2-positive), 100 cells")


KINDS = st.sampled_from([NONE, FAINT, FAINT_COMPLETE, PARTLY, COMPLETE, INTENSE_PARTLY, INTENSE])


READINGS = st.fixed_dictionaries(
    {
        "moderate_incomplete": st.sampled_from(["2+", "1+"]),
        "false_positive_rate": st.none() | st.floats(0, 0.2),
    }
)


@given(st.lists(KINDS, min_size=20, max_size=70), READINGS, st.randoms())
def test_order_does_not_matter(kinds, options, random):
    before = her2_rule_score(table(*((1, kind) for kind in kinds)), **options)
    shuffled = random.sample(kinds, len(kinds))
    assert her2_rule_score(table(*((1, kind) for kind in shuffled)), **options) == before
    assert set(before.shares) == set(CRITERIA)
    assert 0 <= before.h_score <= 300
    assert all(share.low <= share.value <= share.high for share in before.shares.values())


@settings(max_examples=200)
@given(
    st.lists(st.tuples(KINDS, KINDS), min_size=20, max_size=70),
    READINGS,
)
def test_more_stain_on_cells_never_lowers_the_score(pairs, options):
    """Each cell becomes as complete and as intense as the more stained of two kinds."""
    scores = ("0", "1+", "2+", "3+")
    less = [kind for kind, _ in pairs]
    more = [tuple(map(max, *pair)) for pair in pairs]
    before, after = (
        her2_rule_score(table(*((1, kind) for kind in kinds)), **options).score
        for kinds in (less, more)
    )
    assert scores.index(after) >= scores.index(before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tumour": [1, 0]}, "tumour has dtype int64 and shape (2,); it takes bool"),
        ({"tumour": np.ones(3, bool)}, "one for each of the 2 cells or one for each pixel"),
        ({"tumour": np.ones((1, 1), bool)}, "tumour has shape (1, 1); cells lie outside of it"),
        ({"complete": 1.2}, "complete is 1.2; it takes numbers in [0, 1]"),
        ({"stained": "x"}, "stained is 'x'"),
        ({"min_cells": 0}, "min_cells is 0; it takes a positive integer"),
        ({"level": 1}, "level is 1; it takes a number in (0, 1)"),
        ({"moderate_incomplete": "3+"}, "moderate_incomplete is '3+'; it takes '2+' or '1+'"),
        ({"false_positive_rate": 1}, "false_positive_rate is 1; it takes numbers in [0, 1)"),
        ({"false_positive_rate": {"weak": 0.1}}, "false_positive_rate has 'weak'; it takes a"),
    ],
)  # fmt: skip
def test_bad_input_is_named(options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        her2_rule_score(table((2, NONE)), **options)


@pytest.mark.parametrize("score", ["0", "1+", "2+", "3+"])
def test_synthetic_fields_get_their_score(score):
    field = synthetic_her2(score, size=512, mpp=0.5, seed=31)
    tumour = np.concatenate([[False], field.cells["tumour"]])[field.territories]
    for nuclei in (field.nuclei, segment_nuclei(field.rgb, mpp=0.5)):
        cells = membrane_completeness(field.membrane, nuclei, mpp=0.5, dab=field.stains.dab)
        result = her2_rule_score(cells, tumour=tumour)
        assert result.n_cells > 100
        assert result.score == score
