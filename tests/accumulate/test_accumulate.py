"""Accumulators: the same numbers as from all samples at once, in whatever parts and order."""

import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from membrane_xai import EcAccumulator, MapAccumulator, alignment, consistency, summarize
from membrane_xai.accumulate._running_sums import RunningSums, sums_by_group
from membrane_xai.errors import InvalidInputError
from membrane_xai.statistics import summarize_consistency

SCORES = (
    "map",
    "chance",
    "enrichment",
    "skill",
    "ideal",
    "toward_ideal",
    "ceiling",
    "relative",
    "coverage",
)
SIMILARITIES = ("pearson", "spearman", "cosine")


@pytest.fixture
def batch(rng):
    """Return CAMs (24, 4, 4), masks (24, 8, 8) and patients, with every kind of undefined."""
    cams, masks = rng.normal(size=(24, 4, 4)), rng.random((24, 8, 8)) < 0.3
    cams[3], cams[7, 1, 1], masks[11], masks[15] = 0, np.nan, False, True
    return cams, masks, np.array(list("ABCDEF"))[rng.integers(0, 6, 24)]


def test_map_counted_by_hand():
    membrane = np.array([[True, False], [True, False]])
    cams = np.array([[[3.0, 1], [0, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]])
    found = MapAccumulator().update(cams, membrane).compute()
    assert (found.map, found.chance, found.n) == ((0.75 + 0.5) / 2, 0.5, 3)
    assert found.status == {"ok": 2, "no_activation": 1}
    assert (found.n_defined["map"], found.n_defined["chance"]) == (2, 3)


def test_ec_counted_by_hand():
    cams = np.array([[[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]], [[3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0]]])
    result = EcAccumulator().update(cams[:1]).update(cams[1:]).compute()
    assert result.ec == pytest.approx(-1 / 6, abs=1e-15)  # pairs: 1, -1, 0, -1, 0, 0
    assert (result.n_pairs, result.n_undefined, result.status) == (6, 0, "ok")


def test_ec_equals_the_mean_over_pairs_of_scipy(rng):
    cams = rng.normal(size=(9, 3, 5)) + rng.normal(size=(3, 5))
    rho = stats.spearmanr(cams.reshape(9, -1), axis=1).statistic
    found = EcAccumulator(similarity="spearman").update(cams).compute()
    assert found.ec == pytest.approx(rho[np.triu_indices(9, 1)].mean(), abs=1e-13)


def test_map_means_equal_those_of_all_at_once(batch):
    cams, masks, groups = batch
    scored = alignment(cams, masks)
    found = MapAccumulator()
    for start in (0, 10, 13):
        stop = {0: 10, 10: 13, 13: 24}[start]
        found.update(cams[start:stop], masks[start:stop], groups=groups[start:stop])
    total, by_group = found.compute(), found.compute_groups()
    for name in SCORES:
        values = getattr(scored, name)
        assert getattr(total, name) == pytest.approx(np.nanmean(values), abs=1e-14)
        assert total.n_defined[name] == np.isfinite(values).sum()
        for label in by_group:
            alone = values[groups == label]
            if np.isfinite(alone).any():
                assert getattr(by_group[label], name) == pytest.approx(np.nanmean(alone))
    assert total.status == {"ok": 21, "no_activation": 1, "empty_mask": 1, "non_finite": 1}
    for name in ("map", "skill"):
        for average in ("samples", "groups"):
            streamed = found.summarize(name, average=average, draws=500)
            direct = summarize(
                getattr(scored, name), groups, status=scored.status, average=average, draws=500
            )
            assert (streamed.mean, streamed.low, streamed.high) == pytest.approx(
                (direct.mean, direct.low, direct.high), abs=1e-12
            )
            assert streamed.undefined == direct.undefined
            assert (streamed.n, streamed.n_groups) == (direct.n, direct.n_groups)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_ec_equals_that_of_all_at_once(similarity, batch):
    cams, _, groups = batch
    found = EcAccumulator(similarity=similarity)
    for part in np.array_split(np.arange(24), 5):
        found.update(cams[part], groups=groups[part])
    expected = consistency(cams, similarity=similarity)
    result = found.compute()
    assert result.ec == pytest.approx(expected.ec, abs=1e-13)
    assert (result.n_pairs, result.n_undefined) == (expected.n_pairs, expected.n_undefined)
    grouped, expected = (
        found.compute_groups(),
        consistency(cams, similarity=similarity, groups=groups),
    )
    np.testing.assert_allclose(grouped.ec, expected.ec, atol=1e-13)
    np.testing.assert_array_equal(grouped.n_pairs, expected.n_pairs)
    np.testing.assert_array_equal(grouped.n_undefined, expected.n_undefined)
    np.testing.assert_array_equal(grouped.status, expected.status)
    assert grouped.groups == expected.groups
    assert found.undefined == {"flat": 1, "non_finite": 1}
    for pairs in ("all", "between", "within"):
        streamed = found.summarize(pairs=pairs, draws=300)
        direct = summarize_consistency(cams, groups, similarity=similarity, pairs=pairs, draws=300)
        assert (streamed.low, streamed.high) == pytest.approx((direct.low, direct.high), abs=1e-12)


@settings(max_examples=25)
@given(data=st.data())
def test_parts_merge_in_any_order_and_bracketing(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    cams = rng.random((20, 3, 3)) * 10.0 ** rng.integers(-6, 6, (20, 1, 1))
    masks, groups = rng.random((20, 3, 3)) < 0.5, rng.integers(0, 3, 20)
    cuts = sorted(data.draw(st.lists(st.integers(1, 19), max_size=4, unique=True)))
    parts = np.split(np.arange(20), cuts)
    order = data.draw(st.permutations(parts))
    maps, ecs = [], []
    for part in order:
        maps.append(MapAccumulator().update(cams[part], masks[part], groups=groups[part]))
        ecs.append(EcAccumulator().update(cams[part], groups=groups[part]))
    while len(maps) > 1:
        i = data.draw(st.integers(0, len(maps) - 2))
        maps[i : i + 2] = [maps[i].merge(maps[i + 1])]
        ecs[i : i + 2] = [ecs[i].merge(ecs[i + 1])]
    whole = MapAccumulator().update(cams, masks, groups=groups)
    for name in SCORES:
        assert getattr(maps[0].compute(), name) == pytest.approx(
            getattr(whole.compute(), name), abs=1e-12, rel=1e-12, nan_ok=True
        )
    assert maps[0].compute().status == whole.compute().status
    assert (
        maps[0].compute_groups()[1].map
        == pytest.approx(whole.compute_groups()[1].map, abs=1e-12, nan_ok=True)
        if 1 in groups
        else True
    )
    assert ecs[0].compute().ec == pytest.approx(consistency(cams).ec, abs=1e-12)


@pytest.mark.parametrize("parts", [1, 7, 1000])
def test_sums_are_exact_to_twelve_digits_in_any_order(parts, rng):
    # 1e-12 of the sum of absolute values: 1e5 roundings of 1.1e-16 reach some 3e-14, at worst
    # 1e-11, and nobody reads a score to more than six digits
    values = rng.normal(size=100_000) * 10.0 ** rng.integers(-6, 6, 100_000)
    exact, room = float(sum(map(Fraction, values))), 1e-12 * np.abs(values).sum()
    split = [RunningSums(1, 1) for _ in range(parts)]
    for sums, part in zip(split, np.array_split(values, parts), strict=True):
        codes = np.zeros(part.size, np.intp)
        sums.add(sums.rows_of(["A"]), sums_by_group(part[:, None], codes, 1), [[part.size]])
    whole = RunningSums(1, 1)
    for i in rng.permutation(parts):
        whole.merge(split[i])
    assert whole.sums[0, 0] == pytest.approx(exact, rel=0, abs=room)
    assert whole.counts[0, 0] == 100_000


def test_sums_by_group_leave_nan_out():
    values = np.array([[1.0, np.nan], [2.0, 5.0], [np.nan, np.nan], [4.0, 0.5]])
    found = sums_by_group(values, np.array([0, 2, 1, 0]), 4)
    np.testing.assert_array_equal(found, [[5, 0.5], [0, 0], [2, 5], [0, 0]])


def test_merging_leaves_the_other_as_it_is(batch):
    cams, masks, _ = batch
    first, second = MapAccumulator().update(cams, masks), MapAccumulator().update(cams, masks)
    before = second.compute()
    assert first.merge(second).compute().n == 48
    assert second.compute() == before
    assert first.compute().map == pytest.approx(before.map, abs=1e-15)


def test_states_go_to_disk_and_back(batch):
    cams, masks, groups = batch
    for found in (
        MapAccumulator().update(cams, masks, groups=groups),
        EcAccumulator(similarity="cosine").update(cams, groups=groups),
    ):
        state = pickle.loads(pickle.dumps(found.state_dict()))  # noqa: S301 - our own bytes
        options = {"similarity": "cosine"} if isinstance(found, EcAccumulator) else {}
        back = type(found)(**options).load_state_dict(state)
        assert repr(back.compute()) == repr(found.compute())
        state["sums"][:] = 0  # a copy: the accumulator does not feel it
        assert repr(back.compute()) == repr(found.compute())
        assert repr(pickle.loads(pickle.dumps(found)).compute()) == repr(found.compute())  # noqa: S301
        assert back.merge(found).summarize(draws=100).n == 2 * found.summarize(draws=100).n


def test_nothing_seen_yet():
    empty = MapAccumulator()
    assert np.isnan(empty.compute().map)
    assert (empty.compute().n, empty.compute_groups()) == (0, {})
    assert np.isnan(empty.summarize().low)
    result = EcAccumulator().compute()
    assert (result.n_pairs, result.status) == (0, "too_few_maps")
    assert EcAccumulator().merge(EcAccumulator()).compute_groups().groups == ()
    assert np.isnan(EcAccumulator().summarize().mean)
    assert EcAccumulator().update(np.eye(3)).compute().status == "too_few_maps"
    assert EcAccumulator().update(np.ones((2, 3, 3))).compute().status == "no_defined_pair"
    again = EcAccumulator().load_state_dict(EcAccumulator().state_dict())
    assert again.update(np.eye(3)).compute().status == "too_few_maps"


def test_every_library(backend, batch):
    cams, masks, groups = batch
    found = MapAccumulator().update(backend.asarray(cams), backend.asarray(masks), groups=groups)
    expected = MapAccumulator().update(cams, masks, groups=groups).compute()
    assert found.compute().map == pytest.approx(expected.map, abs=1e-12)
    assert found.compute().status == expected.status
    for labels in (None, groups):
        ec = EcAccumulator().update(backend.asarray(cams), groups=labels)
        assert ec.compute().ec == pytest.approx(consistency(cams).ec, abs=1e-12)
        assert ec.state_dict()["sums"].dtype == np.float64


def test_dataarrays_and_single_pairs(batch):
    xarray = pytest.importorskip("xarray")
    cams, masks, _ = batch
    named = xarray.DataArray(cams, dims=["patch", "y", "x"])
    found = MapAccumulator().update(named, xarray.DataArray(masks, dims=["patch", "v", "u"]))
    assert found.compute() == MapAccumulator().update(cams, masks).compute()
    assert EcAccumulator().update(named).compute().ec == pytest.approx(consistency(cams).ec)
    one = MapAccumulator().update(cams[0], masks[0])
    assert one.compute().map == alignment(cams[0], masks[0]).map


def test_the_state_does_not_grow(rng):
    found = EcAccumulator()
    for _ in range(3):
        found.update(rng.random((500, 5, 5)))
    assert found.state_dict()["sums"].shape == (1, 25)


def test_blocks(rng, monkeypatch):
    cams, groups = rng.random((50, 4, 4)), rng.integers(0, 7, 50)
    whole = EcAccumulator().update(cams, groups=groups).compute_groups()
    monkeypatch.setattr("membrane_xai.metrics._unit_sums._BLOCK_BYTES", 8 * 16 * 7)
    blocks = EcAccumulator().update(cams, groups=groups).compute_groups()
    np.testing.assert_allclose(blocks.ec, whole.ec, atol=1e-14)
    np.testing.assert_array_equal(blocks.n_pairs, whole.n_pairs)


CAM, MASK = np.ones((3, 4, 4)), np.ones((3, 8, 8), bool)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MapAccumulator(negative="drop"), "negative is 'drop'"),
        (lambda: EcAccumulator(similarity="ssim"), "similarity is 'ssim'; it takes one of 'pear"),
        (lambda: MapAccumulator().update(CAM, MASK[:2]), "batch sizes differ"),
        (lambda: MapAccumulator().update(CAM, MASK, groups=["A"]), "groups has 1 labels for 3"),
        (lambda: EcAccumulator().update(CAM, groups=["A", None, "B"]), "groups[1] is None"),
        (lambda: EcAccumulator().update(CAM[0, 0]), "cams has shape (4,)"),
        (lambda: EcAccumulator().update(CAM).update(CAM[:, :2]), "cams are (2, 4); those before"),
        (lambda: EcAccumulator().update(CAM).update(CAM, groups=[1, 2, 3]), "groups must be given"),
        (lambda: EcAccumulator().update(CAM, groups=[1, 2, 3]).update(CAM), "in every update, or"),
        (lambda: EcAccumulator().merge(MapAccumulator()), "it takes an EcAccumulator of 'pearson'"),
        (lambda: EcAccumulator().merge(EcAccumulator(similarity="cosine")), "it takes an EcAccum"),
        (lambda: MapAccumulator().merge(MapAccumulator(negative="abs")), "negative='clip'"),
        (lambda: MapAccumulator().merge("x"), "other is 'x'"),
        (
            lambda: (
                EcAccumulator().update(CAM).merge(EcAccumulator().update(CAM, groups=[1, 2, 3]))
            ),
            "groups must be given",
        ),
        (lambda: EcAccumulator().update(CAM).merge(EcAccumulator().update(CAM[:, :2])), "(2, 4)"),
        (lambda: MapAccumulator().load_state_dict({}), "state is of {'kind': None"),
        (lambda: MapAccumulator().load_state_dict(EcAccumulator().state_dict()), "EcAccumulator"),
        (lambda: MapAccumulator().summarize("ec"), "score is 'ec'; it takes one of 'map'"),
        (lambda: EcAccumulator().summarize(pairs="most"), "pairs is 'most'"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("key", ["sums", "counts", "labels"])
def test_a_damaged_state_changes_nothing(key, batch):
    cams, masks, groups = batch
    for found in (
        MapAccumulator().update(cams, masks, groups=groups),
        EcAccumulator().update(cams, groups=groups),
    ):
        before = repr(found.compute())
        with pytest.raises(InvalidInputError, match="state"):
            found.load_state_dict(found.state_dict() | {key: found.state_dict()[key][:1]})
        assert repr(found.compute()) == before
