"""The bootstrap by name: on statistics of any kind, with draws that are undefined or infinite."""

import re

import numpy as np
import pytest
from scipy import stats

from membrane_xai import summarize
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import bootstrap, interval_of


class Columns:
    """Ratios of sums, one for each column; ``0 / 0`` is undefined and ``x / 0`` infinite."""

    def __init__(self, top, bottom):
        self.top, self.bottom = np.asarray(top, float), np.asarray(bottom, float)
        self.n_groups = len(self.top)

    def of(self, counts):
        with np.errstate(all="ignore"):
            return (counts @ self.top) / (counts @ self.bottom)

    def jackknife(self):
        return self.of(1 - np.eye(self.n_groups))


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("small_sample", [True, False])
def test_it_is_the_interval_of_summarize(rng, method, small_sample):
    scores = np.sort(rng.random(15))  # in the order in which summarize draws them
    options = {"method": method, "small_sample": small_sample, "draws": 500, "seed": 2}
    expected = summarize(scores, **options)
    found = interval_of(Columns(scores, np.ones(15)), **options)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (found.undefined_draws, found.note) == (0, "")


def test_many_numbers_are_as_each_alone(rng):
    top, bottom = rng.random((8, 3)), rng.integers(0, 2, (8, 3))
    bottom[:, 0] = 1
    top[bottom == 0] = 0
    found = interval_of(Columns(top, bottom), method="bca", draws=400)
    for i in range(3):
        alone = interval_of(Columns(top[:, i], bottom[:, i]), method="bca", draws=400)
        assert (found.low[i], found.high[i]) == (alone.low, alone.high)
        assert found.undefined_draws[i] == alone.undefined_draws
    assert found.undefined_draws[0] == 0


def test_undefined_draws_are_counted_and_left_out():
    # one group of five has the class: a draw misses it with probability 0.8^5, else the value is 2
    found = interval_of(Columns([2, 0, 0, 0, 0], [1, 0, 0, 0, 0]), method="bca", draws=20_000)
    assert found.undefined_draws / 20_000 == pytest.approx(0.8**5, abs=0.01)
    assert (found.low, found.high) == (2, 2)
    never = interval_of(Columns(np.zeros(4), np.zeros(4)), method="bca", draws=100)
    assert np.isnan([never.low, never.high]).all()
    assert never.undefined_draws == 100


def test_an_undefined_number_has_no_interval():
    class Strict(Columns):
        def of(self, counts):
            return np.where(counts[:, 0] > 0, np.nan, super().of(counts))

    found = interval_of(Strict(np.arange(12), np.ones(12)), method="bca", draws=200)
    assert np.isnan([found.low, found.high]).all()
    assert 0 < found.undefined_draws < 200  # draws without the first group have a number


@pytest.mark.parametrize("method", ["bca", "percentile"])
def test_what_can_be_infinite_has_draws_for_ends(method):
    # the value is infinite; draws without the last group, 0.9^10 of them, are between 1 and 9
    top = np.r_[1.0:10.0, np.inf]

    class Mean(Columns):
        def of(self, counts):
            finite = counts[:, :9] @ self.top[:9] / np.maximum(counts[:, :9].sum(axis=1), 1)
            return np.where(counts[:, 9] > 0, np.inf, finite)

    found = interval_of(Mean(top, np.ones(10)), method=method, draws=4000)
    assert found.high == np.inf
    assert np.isfinite(found.low)
    assert found.low * 10 == pytest.approx(round(found.low * 10), abs=1e-9)  # of ten, not between
    assert found.undefined_draws == 0
    options = {"method": "bca", "draws": 4000, "small_sample": False, "ci": 0.2}
    plain = interval_of(Mean(top, np.ones(10)), **options)
    # levels 0.4 and 0.6: 0.9^10 = 0.35 of the draws are finite
    assert (plain.low, plain.high) == (np.inf, np.inf)
    few = interval_of(Mean(top, np.ones(10)), method="bca", draws=40_000)
    level = stats.norm.cdf(-np.sqrt(10 / 9) * stats.t.ppf(0.975, 9))  # Hesterberg (2015)
    options |= {"draws": 40_000, "ci": 1 - 2 * level}
    assert few.low == interval_of(Mean(top, np.ones(10)), **options).low
    # no spread can be measured: the jackknife gives no interval, and says why
    withheld = interval_of(Mean(top, np.ones(10)))
    assert (np.isnan(withheld.low), withheld.note) == (True, "infinite")


@pytest.mark.parametrize(
    ("n_groups", "note"),
    [(1, "few_groups"), (2, "few_groups"), (3, "small_sample"), (9, "small_sample"), (10, "")],
)
@pytest.mark.parametrize("method", ["jackknife", "bca"])
def test_few_groups_are_marked_and_fewer_have_no_interval(n_groups, note, method):
    top, options = np.linspace(0, 1, n_groups), {"method": method, "draws": 200}
    found = interval_of(Columns(top, np.ones(n_groups)), **options)
    assert (found.note, np.isnan(found.low)) == (note, n_groups < 3)
    assert found.n_eff == n_groups
    both = interval_of(Columns(np.stack([top, top], 1), np.ones((n_groups, 2))), **options)
    assert np.isnan(both.low).tolist() == [n_groups < 3] * 2
    assert both.note.tolist() == [note] * 2
    assert both.undefined_draws.tolist() == [0, 0]


def test_the_former_name_gives_the_same(rng):
    statistic = Columns(rng.random(12), np.ones(12))
    assert bootstrap(statistic).high == interval_of(statistic).high
    options = {"method": "percentile", "draws": 100, "seed": 3}
    assert bootstrap(statistic, **options).low == interval_of(statistic, **options).low


class Broken(Columns):
    def of(self, counts):
        return super().of(counts)[:1]

    def jackknife(self):
        return np.zeros(self.n_groups)


class Short(Columns):
    def jackknife(self):
        return np.zeros(2)


class Heavy(Columns):
    masses = np.array([1, 1, -1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: interval_of(x, draws=99), "draws is 99; it takes an integer of at least 100"),
        (lambda x: interval_of(x, method="studentized"), "method is 'studentized'; it takes one"),
        (lambda x: interval_of(x, ci=1), "ci is 1; it takes a number in (0, 1)"),
        (lambda x: interval_of(x, seed=-1), "seed is -1"),
        (lambda x: interval_of(x, bounds=(1, 0)), "bounds is (1, 0); it takes two increasing"),
        (lambda x: interval_of(x, bounds=3), "bounds is 3; it takes two increasing"),
        (lambda x: interval_of(x, bounds=(0, 1)), "bounds is (0.0, 1.0); it takes those of the"),
        (
            lambda x: interval_of(Broken(x.top, x.bottom), method="bca", draws=100),
            "statistic gives shape (1,) for 100 rows of counts; it takes one value",
        ),
        (
            lambda x: interval_of(Short(x.top, x.bottom)),
            "statistic.jackknife gives shape (2,); it takes (3,)",
        ),
        (
            lambda x: interval_of(Heavy(x.top, x.bottom)),
            "statistic.masses has shape (3,); it takes (3,) numbers, none negative",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call(Columns([1, 2, 3], [1, 1, 1]))
