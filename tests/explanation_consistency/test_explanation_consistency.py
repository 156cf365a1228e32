"""EC of explainers: counted by hand, against plain NumPy on the cut-out pixels, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from reference import mean_over_pairs
from similarities import INDEPENDENT

from membrane_xai import ec_score, perturbation_consistency
from membrane_xai.errors import InvalidInputError, UndefinedScoreError
from membrane_xai.perturb import (
    Perturbation,
    blur,
    compose,
    horizontal_flip,
    noise,
    rotation,
    translation,
    vertical_flip,
    zoom,
)

EXACT = (horizontal_flip(), vertical_flip(), rotation(90), rotation(180), rotation(270))
ON_PIXELS = [name for name in INDEPENDENT if name != "ssim"]


def luminance(rgb):
    return rgb.mean(axis=-1)


def fixed(one):
    """Explain every image by the same map."""
    return lambda rgb: np.repeat(np.asarray(one, float)[None], len(rgb), axis=0)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (3, 8, 12, 3), np.uint8)


# Counted by hand


def test_luminance_follows_flips_and_quarter_turns(images):
    found = perturbation_consistency(luminance, images, EXACT)
    np.testing.assert_allclose(found.similarity, 1, atol=1e-12)
    np.testing.assert_allclose(found.ec, 1, atol=1e-12)
    assert found.mean == pytest.approx(1)
    assert (found.valid_share == 1).all()
    assert (found.status == "ok").all()
    assert found.perturbations[:2] == ("horizontal flip", "vertical flip")
    assert (found.n_pairs == 5).all()
    assert not found.n_undefined.any()


def test_a_spot_that_stays_in_place_is_inconsistent():
    # One of p pixels, moved: Pearson is -1 / (p - 1), IoU and cosine are 0.
    spot = np.zeros((4, 5))
    spot[1, 1] = 1
    image = np.zeros((1, 4, 5, 3), np.uint8)
    flips = [horizontal_flip(), vertical_flip()]
    found = perturbation_consistency(fixed(spot), image, flips)
    np.testing.assert_allclose(found.similarity, -1 / 19)
    for similarity in ("cosine", "soft_iou"):
        found = perturbation_consistency(fixed(spot), image, flips, similarity=similarity)
        assert found.ec.tolist() == [0]


def test_only_pixels_that_both_show_are_compared():
    # Moved right by two of four columns, the first two are still seen: (1, 2) against (3, 5).
    maps = iter([[[1.0, 2, 9, 9]], [[7.0, 7, 3, 5]]])
    image = np.zeros((1, 1, 4, 3), np.uint8)
    found = perturbation_consistency(
        lambda rgb: np.array([next(maps)]),
        image,
        [translation(0, 0.5)],
        similarity="soft_iou",
    )
    assert found.similarity.item() == pytest.approx(3 / 8)
    assert found.valid_share.item() == 0.5


def test_without_a_reference_all_pairs_of_views_count():
    # Restored maps a, b, b: Pearson of the pairs is r, r, 1.
    a, b = np.array([[1.0, 2, 4]]), np.array([[5.0, 1, 3]])
    maps = iter([a, b, b])
    image = np.zeros((1, 1, 3, 3), np.uint8)
    steps = [noise(1, seed=0), noise(1, seed=1)]
    found = perturbation_consistency(lambda rgb: next(maps)[None], image, steps, reference=None)
    r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert found.ec.item() == pytest.approx((2 * r + 1) / 3)
    np.testing.assert_allclose(found.similarity, [[r, r]])
    assert found.n_pairs.tolist() == [3]


def test_undefined_pairs_are_left_out_and_told():
    ramp, flat = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    bad = np.where(ramp == 4, np.nan, ramp)
    maps = iter([ramp, ramp, flat, bad, ramp])
    image = np.zeros((1, 2, 3, 3), np.uint8)
    nothing = Perturbation("nothing", lambda rgb: rgb, lambda m: m, lambda g: np.zeros(g, bool))
    steps = [*(noise(1, seed=i) for i in range(3)), nothing]
    found = perturbation_consistency(lambda rgb: next(maps)[None], image, steps)
    assert found.status.tolist() == [["ok", "flat_map", "non_finite", "no_overlap"]]
    assert found.ec.item() == pytest.approx(1)
    assert (found.n_pairs.item(), found.n_undefined.item()) == (1, 3)
    assert found.valid_share.tolist() == [[1, 1, 1, 0]]
    assert np.isnan(found.similarity[0, 1:]).all()


def test_nan_outside_the_compared_pixels_does_no_harm():
    maps = iter([[[1.0, 2, np.nan, 9]], [[np.nan, 7, 3, 5]]])
    found = perturbation_consistency(
        lambda rgb: np.array([next(maps)]), np.zeros((1, 1, 4, 3), np.uint8), [translation(0, 0.5)]
    )
    assert found.ec.item() == pytest.approx(1)


def test_images_without_ec_are_left_out_of_the_mean(images):
    images[1] = 7
    found = perturbation_consistency(luminance, images, [horizontal_flip()])
    assert np.isnan(found.ec).tolist() == [False, True, False]
    assert found.mean == pytest.approx(1)


def test_nowhere_defined_is_nan_or_raised():
    image = np.zeros((2, 4, 4, 3), np.uint8)
    found = perturbation_consistency(luminance, image, [horizontal_flip()])
    assert np.isnan(found.ec).all()
    assert np.isnan(found.mean)
    with pytest.raises(UndefinedScoreError, match=r"2 of 2 .* image 0, horizontal flip \(flat_map"):
        perturbation_consistency(luminance, image, [horizontal_flip()], on_undefined="raise")


# Against plain NumPy on the cut-out pixels

VIEWS = (translation(0.25, -0.25), rotation(30), zoom(1.5), compose(horizontal_flip(), zoom(1.3)))


@pytest.mark.parametrize("similarity", ON_PIXELS)
@pytest.mark.parametrize("step", VIEWS, ids=[step.name for step in VIEWS])
def test_equals_an_independent_similarity_of_the_valid_pixels(similarity, step, rng):
    a, b = rng.normal(size=(2, 8, 8)) + 0.7 * rng.normal(size=(8, 8))
    maps = iter([a, b])
    image = np.zeros((1, 16, 16, 3), np.uint8)
    found = perturbation_consistency(
        lambda rgb: next(maps)[None], image, [step], similarity=similarity, k=9
    )
    valid = step.valid((8, 8))
    assert 0 < valid.mean() < 1
    expected = INDEPENDENT[similarity](a[valid], step.restore(b)[valid])
    assert found.similarity.item() == pytest.approx(expected, abs=1e-10)
    assert found.valid_share.item() == valid.mean()


@pytest.mark.parametrize("similarity", INDEPENDENT)
def test_equals_ec_score_where_everything_is_valid(similarity, rng):
    maps = rng.normal(size=(4, 9, 10)) + rng.normal(size=(9, 10))
    image = np.zeros((1, 9, 10, 3), np.uint8)
    steps = [noise(1, seed=i) for i in range(3)]
    for reference, index in (("original", 0), (None, None)):
        views = iter(maps)
        found = perturbation_consistency(
            lambda rgb, views=views: next(views)[None],
            image,
            steps,
            similarity=similarity,
            reference=reference,
        )
        expected = ec_score(maps, similarity=similarity, reference=index)
        assert found.ec.item() == pytest.approx(expected, abs=1e-12)


def test_all_pairs_compare_what_is_valid_in_both(rng):
    maps = rng.normal(size=(3, 4, 8))
    steps = [translation(0, 0.25), translation(0, -0.25)]
    views = iter(maps)
    found = perturbation_consistency(
        lambda rgb: next(views)[None], np.zeros((1, 4, 8, 3), np.uint8), steps, reference=None
    )
    restored = [maps[0], *(step.restore(m) for step, m in zip(steps, maps[1:], strict=True))]
    valid = [np.ones((4, 8), bool), *(step.valid((4, 8)) for step in steps)]

    def pearson(i, j):
        both = valid[int(i)] & valid[int(j)]
        return np.corrcoef(restored[int(i)][both], restored[int(j)][both])[0, 1]

    assert found.ec.item() == pytest.approx(mean_over_pairs(pearson, np.arange(3)))


def test_maps_of_unequal_grids_meet_on_the_finer_one(rng):
    from reference import upsample

    a, b = rng.random((8, 8)), rng.random((4, 4))
    step = translation(0, 0.25)
    maps = iter([a, b])
    found = perturbation_consistency(
        lambda rgb: [next(maps)], np.zeros((1, 8, 8, 3), np.uint8), [step]
    )
    lost = upsample((~step.valid((4, 4))).astype(float), (8, 8))
    inside = lost == 0
    assert 0 < inside.mean() < 0.75  # less than the coarse grid's valid share
    expected = np.corrcoef(a[inside], upsample(step.restore(b), (8, 8))[inside])[0, 1]
    assert found.similarity.item() == pytest.approx(expected)
    assert found.valid_share.item() == inside.mean()


# Properties

compositions = st.lists(st.sampled_from(EXACT), min_size=1, max_size=4).map(
    lambda steps: compose(*steps)
)
pictures = arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(2, 7), st.just(3)))


@given(steps=st.lists(compositions, min_size=1, max_size=3), image=pictures)
def test_an_equivariant_explainer_is_consistent_under_exact_moves(steps, image):
    found = perturbation_consistency(luminance, [image], steps)
    if np.ptp(image.mean(axis=-1)) > 0:
        np.testing.assert_allclose(found.similarity, 1, atol=1e-9)
    else:
        assert (found.status == "flat_map").all()


@given(data=st.data())
def test_order_of_perturbations_does_not_matter(data):
    steps = [horizontal_flip(), rotation(20), translation(0.2, 0), noise(9, seed=1), zoom(1.4)]
    order = data.draw(st.permutations(range(5)))
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    explain = fixed(np.arange(64.0).reshape(8, 8) ** 2)
    reference = data.draw(st.sampled_from(["original", None]))
    one = perturbation_consistency(explain, image, steps, reference=reference)
    other = perturbation_consistency(explain, image, [steps[i] for i in order], reference=reference)
    np.testing.assert_allclose(other.similarity, one.similarity[:, list(order)], atol=1e-12)
    np.testing.assert_allclose(other.ec, one.ec, atol=1e-12)


@pytest.mark.parametrize(("size", "together"), [(1, 1), (2, 2), (3, 3), (5, 4), (16, 6)])
def test_batches_equal_one_by_one(images, size, together):
    steps = [horizontal_flip(), rotation(25), noise(20, seed=1)]
    sizes = []

    def explain(rgb):
        sizes.append(len(rgb))
        return luminance(rgb) ** 2

    many = [*images, images[0][:, :7], *images]
    found = perturbation_consistency(explain, many, steps, batch_size=size)
    alone = [perturbation_consistency(explain, [one], steps) for one in many]
    np.testing.assert_array_equal(found.ec, [one.ec[0] for one in alone])
    np.testing.assert_array_equal(found.similarity, [one.similarity[0] for one in alone])
    assert max(sizes) == together  # the fourth image has a shape of its own


def test_iterators_of_images_will_do(images):
    expected = perturbation_consistency(luminance, images, [rotation(25)])
    found = perturbation_consistency(luminance, iter(images), [rotation(25)], batch_size=2)
    np.testing.assert_array_equal(found.ec, expected.ec)


def test_targets_go_to_the_views_of_their_images(images):
    seen = []

    def explain(rgb, targets):
        seen.append(targets)
        return luminance(rgb)

    perturbation_consistency(
        explain, images, [rotation(90)], targets=np.array([4, 5, 6]), batch_size=2
    )
    assert seen == [[4, 5], [4, 5], [6], [6]]
    seen.clear()
    mixed = [images[0], images[1][:, :7], images[2]]  # explained shape by shape
    perturbation_consistency(explain, mixed, [rotation(90)], targets=[4, 5, 6])
    assert seen == [[4, 6], [5], [4, 6], [5]]


def test_images_are_not_altered(images):
    images.flags.writeable = False
    perturbation_consistency(luminance, images, [noise(9, seed=0), horizontal_flip()])


def test_every_array_library(backend, images):
    steps = [horizontal_flip(), rotation(25), translation(0, 0.25)]
    expected = perturbation_consistency(luminance, images, steps, similarity="spearman")
    found = perturbation_consistency(
        lambda rgb: backend.asarray(luminance(rgb)), images, steps, similarity="spearman"
    )
    np.testing.assert_allclose(found.similarity, expected.similarity, atol=1e-6)
    assert found.status.tolist() == expected.status.tolist()


def test_table_has_a_row_for_each_image_and_perturbation(images):
    found = perturbation_consistency(luminance, images, EXACT[:2])
    table = found.table()
    assert len(table) == 6
    assert {type(value) for row in table for value in row.values()} == {int, str, float}
    assert table[3]["perturbation"] == "vertical flip"
    assert table[3]["image"] == 1
    assert table[2]["ec"] == found.ec[1]


# Bad input

IMAGE = np.zeros((1, 4, 4, 3), np.uint8)
ONE = [horizontal_flip()]


@pytest.mark.parametrize(
    ("images", "steps", "options", "words"),
    [
        (IMAGE[0], ONE, {}, r"images has shape \(4, 4, 3\); it takes \(N, H, W, 3\)"),
        ([IMAGE[0, 0]], ONE, {}, r"images\[0\] has shape \(4, 3\)"),
        (IMAGE.astype(float), ONE, {}, "dtype float64; it takes"),
        ([], ONE, {}, "images is empty"),
        (IMAGE, [], {}, r"perturbations is \[\]; it takes a sequence"),
        (IMAGE, ONE[0], {}, "perturbations is Perturbation"),
        (IMAGE, ["flip"], {}, "perturbations is"),
        (IMAGE, ONE, {"similarity": "nearest"}, "similarity is 'nearest'"),
        (IMAGE, ONE, {"reference": 0}, "reference is 0; it takes 'original' or None"),
        (IMAGE, ONE, {"batch_size": 0}, "batch_size is 0; it takes a positive integer"),
        (IMAGE, ONE, {"k": 2.5}, "k is 2.5"),
        (IMAGE, ONE, {"on_undefined": "skip"}, "on_undefined is 'skip'"),
        (IMAGE, ONE, {"targets": [1, 2]}, "targets has 2 values for 1 images"),
        (iter(IMAGE), ONE, {"targets": []}, "targets has 0 values for more images"),
        (IMAGE, [zoom(2)], {"similarity": "topk_iou", "k": 5}, "k is 5, .* have 4 pixels"),
        (IMAGE, [zoom(2)], {"similarity": "ssim"}, "similarity is 'ssim', .* only 25% of"),
    ],
)
def test_arguments_that_do_not_fit(images, steps, options, words):
    explain = fixed(np.arange(16.0).reshape(4, 4))
    with pytest.raises(InvalidInputError, match=words):
        perturbation_consistency(explain, images, steps, **options)


@pytest.mark.parametrize(
    ("maps", "words"),
    [
        (np.ones((4, 4)), r"what explain returned has shape \(4, 4\) for 1 images"),
        (np.ones((2, 4, 4)), "has 2 maps for 1 images"),
        (np.ones((1, 3, 4, 4)), "reduce channels"),
        ([np.ones((1, 4, 4))], r"map 0, has shape \(1, 4, 4\); in a list each map is"),
        (np.ones((1, 4, 4), complex), "dtype complex128"),
        ({"2+": np.ones((1, 4, 4))}, r"maps of classes \['2\+'\]"),
    ],
)
def test_what_explainers_must_return(maps, words):
    with pytest.raises(InvalidInputError, match=words):
        perturbation_consistency(lambda rgb: maps, IMAGE, [blur(1, mpp=0.5)])


def test_a_perturbation_whose_region_does_not_fit_its_map():
    bad = Perturbation("bad", lambda rgb: rgb, lambda cam: cam, lambda g: np.ones((2, 2), bool))
    with pytest.raises(InvalidInputError, match="'bad' restores a map of shape"):
        perturbation_consistency(luminance, IMAGE, [bad])
