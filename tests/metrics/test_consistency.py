"""EC: counted by hand, against brute force and other libraries, and its properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import mean_over_pairs, upsample
from similarities import INDEPENDENT, pearson
from skimage.metrics import structural_similarity

from membrane_xai import consistency, ec_score, pairwise_similarity
from membrane_xai.metrics import UnitSums

every_similarity = pytest.mark.parametrize("similarity", INDEPENDENT)


@pytest.fixture
def maps(rng):
    """Maps that agree in part, with negative values; no two pixels tie."""
    return 0.5 * rng.normal(size=(9, 10)) + rng.normal(size=(7, 9, 10))


@every_similarity
def test_equals_the_mean_over_pairs_of_an_independent_implementation(similarity, maps):
    expected = mean_over_pairs(INDEPENDENT[similarity], maps)
    assert ec_score(maps, similarity=similarity, k=9) == pytest.approx(expected, abs=1e-10)


@every_similarity
def test_weights(similarity, maps, rng):
    weights = rng.random(7)
    expected = mean_over_pairs(INDEPENDENT[similarity], maps, weights)
    score = ec_score(maps, similarity=similarity, weights=weights * 5, k=9)
    assert score == pytest.approx(expected, abs=1e-10)


@every_similarity
def test_reference_as_index_and_as_map(similarity, maps):
    compare = INDEPENDENT[similarity]
    others = [i for i in range(7) if i != 2]
    expected = np.mean([compare(maps[2], maps[i]) for i in others])
    score = ec_score(maps, similarity=similarity, reference=2, k=9)
    assert score == pytest.approx(expected, abs=1e-10)
    score = ec_score(maps, similarity=similarity, reference=-5, k=9)
    assert score == pytest.approx(expected, abs=1e-10)
    as_map = ec_score(maps[others], similarity=similarity, reference=maps[2], k=9)
    assert as_map == pytest.approx(expected, abs=1e-10)
    assert consistency(maps, reference=2).n_pairs == 6


@every_similarity
def test_pairwise_matrix(similarity, maps):
    matrix = pairwise_similarity(maps, similarity=similarity, k=9)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-14)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    expected = INDEPENDENT[similarity](maps[1], maps[4])
    assert matrix[1, 4] == pytest.approx(expected, abs=1e-10)
    pairs = matrix[np.triu_indices(7, 1)]
    assert ec_score(maps, similarity=similarity, k=9) == pytest.approx(pairs.mean(), abs=1e-12)


@every_similarity
def test_groups_equal_each_group_alone(similarity, maps):
    labels = ["3+", "0", "3+", "0", "0", "3+", "lone"]
    scores = ec_score(maps, similarity=similarity, groups=labels, k=9)
    assert list(scores) == ["3+", "0", "lone"]
    for label in ("3+", "0"):
        alone = ec_score(
            maps[[i for i in range(7) if labels[i] == label]], similarity=similarity, k=9
        )
        assert scores[label] == pytest.approx(alone, abs=1e-14)
    assert np.isnan(scores["lone"])


def test_pearson_counted_by_hand():
    maps = np.array([[[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]], [[3.0, 2.0, 1.0]], [[1.0, 0.0, 1.0]]])
    # Pearson pairs: 1, -1, 0, -1, 0, 0.
    assert ec_score(maps) == pytest.approx(-1 / 6, abs=1e-15)


def test_topk_iou_shares_ties_out():
    a, b = np.array([[3.0, 1.0, 1.0]]), np.array([[3.0, 1.0, 0.0]])
    # Top two: memberships (1, 1/2, 1/2) and (1, 1, 0).
    score = ec_score(np.stack([a, b]), similarity="topk_iou", k=2)
    assert score == pytest.approx((1 + 0.5) / (1 + 1 + 0.5))


@pytest.mark.parametrize("shape", [(7, 7), (3, 5), (14, 9), (8, 8)])
def test_ssim_equals_scikit_image_at_any_size(shape, rng):
    a, b = rng.random((2, *shape))
    side = min(7, *shape)
    expected = structural_similarity(
        a,
        b,
        data_range=max(a.max(), b.max()) - min(a.min(), b.min()),
        win_size=side - (side % 2 == 0),
    )
    score = pairwise_similarity(np.stack([a, b]), similarity="ssim")[0, 1]
    assert score == pytest.approx(expected, abs=1e-12)


VALUES = st.floats(-1e3, 1e3, allow_subnormal=False).map(lambda v: round(v, 6))
MAP_SETS = st.tuples(st.integers(2, 6), st.integers(3, 5), st.integers(3, 5)).flatmap(
    lambda shape: arrays(float, shape, elements=VALUES)
)


@every_similarity
@given(maps=MAP_SETS, data=st.data())
def test_order_does_not_matter(similarity, maps, data):
    order = data.draw(st.permutations(range(len(maps))))
    score = ec_score(maps, similarity=similarity)
    shuffled = ec_score(maps[list(order)], similarity=similarity)
    np.testing.assert_allclose(shuffled, score, atol=1e-9)


@every_similarity
@given(maps=MAP_SETS, copies=st.integers(2, 5))
def test_identical_maps_score_one(similarity, maps, copies):
    same = np.repeat(maps[:1], copies, axis=0)
    result = consistency(same, similarity=similarity)
    if result.status == "ok":
        assert result.ec == pytest.approx(1, abs=1e-9)
        assert result.n_pairs == copies * (copies - 1) // 2
    else:
        assert similarity == "soft_iou" or np.ptp(same) == 0 or not same.any()


@pytest.mark.parametrize("similarity", ["pearson", "spearman", "cosine"])
@given(maps=MAP_SETS)
def test_closed_form_equals_the_mean_of_the_matrix(similarity, maps):
    matrix = pairwise_similarity(maps, similarity=similarity)
    pairs = matrix[np.triu_indices(len(maps), 1)]
    if np.isfinite(pairs).any():
        expected = np.nanmean(pairs)
        assert ec_score(maps, similarity=similarity) == pytest.approx(expected, abs=1e-10)
        assert consistency(maps, similarity=similarity).n_pairs == np.isfinite(pairs).sum()


@pytest.mark.parametrize("similarity", ["pearson", "spearman", "cosine", "ssim", "topk_iou"])
def test_scale_does_not_matter(similarity, maps):
    scaled = maps * np.array([1e-200, 1e-3, 1, 2, 1e3, 1e100, 1e150])[:, None, None]
    if similarity == "ssim":  # of the two maps together
        scaled = maps * 1e-100
    expected = ec_score(maps, similarity=similarity)
    assert ec_score(scaled, similarity=similarity) == pytest.approx(expected, abs=1e-10)


@every_similarity
def test_flat_and_invalid_maps_are_left_out_and_counted(similarity, maps):
    alone = consistency(maps, similarity=similarity)
    nan, flat = maps[:1].copy(), np.zeros((1, 9, 10))
    nan[0, 3, 3] = np.nan
    result = consistency(np.concatenate([nan, maps, flat]), similarity=similarity)
    assert result.ec == pytest.approx(alone.ec, abs=1e-12)
    assert (result.n_pairs, result.n_undefined) == (21, 36 - 21)
    matrix = pairwise_similarity(np.concatenate([nan, maps, flat]), similarity=similarity)
    assert np.isnan(matrix[[0, 8]]).all()
    assert np.isfinite(matrix[1:8, 1:8]).all()


def test_statuses():
    ramp, flat = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    assert consistency(ramp[None]).status == "too_few_maps"
    assert consistency(np.stack([flat, flat])).status == "no_defined_pair"
    assert consistency(np.stack([ramp, flat]), reference=0).status == "no_defined_pair"
    assert consistency(np.stack([ramp, flat, ramp]), weights=[1, 0, 1]).n_undefined == 0


def test_a_list_of_unequal_sizes_is_upsampled_to_the_largest(rng):
    a, b = rng.random((4, 9)), rng.random((7, 5))
    expected = np.corrcoef(upsample(a, (7, 9)).ravel(), upsample(b, (7, 9)).ravel())[0, 1]
    assert ec_score([a, b]) == pytest.approx(expected, abs=1e-12)


def test_large_sets_go_block_by_block(rng, monkeypatch):
    maps = rng.random((50, 4, 4))
    whole = ec_score(maps)
    monkeypatch.setattr("membrane_xai.metrics._unit_sums._BLOCK_BYTES", 8 * 16 * 7)
    assert ec_score(maps) == pytest.approx(whole, abs=1e-14)


@pytest.mark.parametrize("n_groups", [3, 4])
def test_sums_of_groups_give_the_weighted_mean_over_pairs(backend, n_groups):
    if backend.name == "dask":
        pytest.skip("its sets go through apply_gufunc")
    rng = np.random.default_rng(5)
    maps, weights, codes = rng.random((12, 3, 4)), rng.random(12), np.arange(12) % 3
    maps[2], maps[5, 0, 0], weights[7] = 1, np.nan, 0
    sums = [
        UnitSums.of(
            backend.asarray(maps[part]),
            "pearson",
            codes=codes[part],
            n_groups=n_groups,
            weights=weights[part],
        )
        for part in (slice(0, 7), slice(7, 12))
    ]
    merged = sums[0].merge(sums[1])
    kept = np.array([i not in (2, 5, 7) for i in range(12)])
    means = backend.to_numpy(merged.mean())
    for group in range(3):
        own = kept & (codes == group)
        by_hand = mean_over_pairs(pearson, maps[own], weights[own])
        assert means[group] == pytest.approx(by_hand, abs=1e-12)
    assert np.isnan(means[3:]).all()
    kinds = np.array(
        [[(kept & (codes == g)).sum() for g in range(n_groups)], *np.zeros((2, n_groups))]
    ).T
    kinds[codes[2], 1] += 1
    kinds[codes[5], 2] += 1
    np.testing.assert_array_equal(backend.to_numpy(merged.counts), kinds)
