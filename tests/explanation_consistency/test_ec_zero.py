"""EC0 and skill: counted by hand, against plain NumPy over all pairs of images, and properties."""

import numpy as np
import perturbations
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from similarities import INDEPENDENT

from membrane_xai import perturbation_consistency
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb import (
    Perturbation,
    blur,
    horizontal_flip,
    noise,
    rotation,
    translation,
    vertical_flip,
)

VIEWS = [horizontal_flip(), rotation(90), translation(0.25, 0), noise(40, seed=1)]
ON_PIXELS = [name for name in INDEPENDENT if name != "ssim"]
SAME = Perturbation("same", lambda rgb: rgb, lambda cam: cam)


def luminance(rgb):
    return rgb.mean(axis=-1)


def untied(rgb):
    """Return a luminance in which no two pixels tie."""
    return rgb @ np.array([0.299, 0.587, 0.114])


def noticed(rgb):
    """Follow the image in part: half of the map is a fixed ramp."""
    ramp = np.linspace(0, 255, rgb.shape[1] * rgb.shape[2]).reshape(rgb.shape[1:3])
    return 0.5 * rgb.mean(axis=-1) + 0.5 * ramp


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (7, 8, 8, 3), np.uint8)


# Counted by hand


def test_three_maps_that_no_view_changes():
    # Of 1 x 3 pixels, with correlations -1, 1/2 and -1/2.
    maps = np.array([[[1.0, 0, -1]], [[-1, 0, 1]], [[0, 1, -1]]])
    images = np.arange(9, dtype=np.uint8).reshape(3, 1, 3, 1).repeat(3, axis=3)
    found = perturbation_consistency(lambda rgb: maps[rgb[:, 0, 0, 0] // 3], images, [SAME])
    np.testing.assert_allclose(found.ec, 1, atol=1e-12)
    np.testing.assert_allclose(found.ec0, [-0.25, -0.75, 0], atol=1e-12)
    np.testing.assert_allclose(found.skill, 1, atol=1e-12)
    assert found.skill_status.tolist() == ["ok"] * 3
    assert found.kinds == ("photometric",)
    assert found.geometric.status.tolist() == ["no_ec"] * 3


def test_skill_is_the_share_of_the_way_from_ec0_to_one_and_of_a_set_a_ratio_of_sums(images):
    found = perturbation_consistency(noticed, images, VIEWS)
    np.testing.assert_allclose(found.skill, (found.ec - found.ec0) / (1 - found.ec0), atol=1e-12)
    assert found.mean_skill == pytest.approx(
        (found.ec - found.ec0).sum() / (1 - found.ec0).sum(), abs=1e-12
    )
    row = found.table()[1]
    assert (row["kind"], row["zero"]) == ("geometric", found.zero[0, 1])


def test_a_spot_in_the_middle_is_undefined_and_one_beside_it_has_no_skill(images):
    middle, beside = np.zeros((8, 8)), np.zeros((8, 8))
    middle[3:5, 3:5], beside[1, 2] = 1, 1
    views = [horizontal_flip(), rotation(90), noise(3, seed=0)]
    found = perturbation_consistency(lambda rgb: [middle] * len(rgb), images, views)
    np.testing.assert_allclose(found.ec, 1, atol=1e-12)
    assert np.isnan(found.skill).all()
    assert np.isnan(found.mean_skill)
    assert (found.skill_status == "ignores_image").all()
    found = perturbation_consistency(lambda rgb: [beside] * len(rgb), images, views)
    np.testing.assert_allclose(found.geometric.skill, 0, atol=1e-12)
    np.testing.assert_allclose(found.skill, 0, atol=1e-12)
    assert (found.photometric.status == "ignores_image").all()


@pytest.mark.parametrize(
    ("weight", "status"), [(0.0, "ignores_image"), (0.1, "ignores_image"), (1.0, "ok")]
)
def test_a_map_that_hardly_follows_its_image_is_undefined(images, weight, status):
    spot = 255 * np.outer(np.hanning(8), np.hanning(8))

    def explain(rgb):
        return spot + weight * luminance(rgb)

    found = perturbation_consistency(explain, images, [horizontal_flip()])
    assert (found.skill_status == status).all()
    assert (found.ec0 >= 0.95).all() == (status == "ignores_image")


def test_too_few_images(images):
    for given_images, targets in ((images[:1], None), (images[:2], None), (images[:3], [1, 2, 3])):
        found = perturbation_consistency(
            lambda rgb, _=None: luminance(rgb), given_images, VIEWS, targets=targets
        )
        assert (found.skill_status == "too_few_images").all()
        assert np.isnan(found.ec0).all()
        assert np.isfinite(found.ec).all()
    found = perturbation_consistency(luminance, images, VIEWS, groups=list("aaaaaab"))
    assert found.skill_status.tolist() == ["too_few_images"] * 6 + ["ok"]


def test_flat_maps_have_no_ec_and_are_no_partners(images):
    def explain(rgb):
        maps = luminance(rgb)
        maps[(rgb[:, 0, 0] == images[2, 0, 0]).all(axis=-1)] = 1
        return maps

    found = perturbation_consistency(explain, images[:4], [SAME])
    assert found.skill_status.tolist() == ["ok", "ok", "no_ec", "ok"]
    others = perturbation_consistency(explain, images[[0, 1, 3]], [SAME])
    np.testing.assert_allclose(found.ec0[[0, 1, 3]], others.ec0, atol=1e-12)


def test_grids_of_unequal_size_are_not_compared(rng):
    small, large = rng.integers(0, 256, (3, 4, 4, 3), np.uint8), np.zeros((1, 6, 6, 3), np.uint8)
    large[0, 0, 0] = 9
    found = perturbation_consistency(luminance, [*small, *large], [SAME])
    alone = perturbation_consistency(luminance, small, [SAME])
    assert found.skill_status.tolist() == ["ok", "ok", "ok", "too_few_images"]
    np.testing.assert_allclose(found.ec0[:3], alone.ec0, atol=1e-12)


# Against all pairs of images, map by map


def by_hand(images, explain, similarity, labels, groups, places):
    """EC0 of each image and pair of views, on the pixels valid in both."""
    cams, valids = [], []
    for image in images:
        views = [explain(image[None])[0]]
        valid = [np.ones(views[0].shape, bool)]
        for step in VIEWS:
            one = explain(step.apply(image)[None])[0]
            views.append(step.restore(one))
            valid.append(step.valid(one.shape))
        cams.append(views)
        valids.append(valid)
    compare = INDEPENDENT[similarity]
    found = np.full((len(images), len(places)), np.nan)
    for i in range(len(images)):
        partners = [
            j for j in range(len(images)) if labels[j] == labels[i] and groups[j] != groups[i]
        ]
        for k, (a, b) in enumerate(places):
            both = valids[i][a] & valids[i][b]
            scores = [compare(cams[i][a][both], cams[j][b][both]) for j in partners]
            if len(scores) > 1:
                found[i, k] = np.mean(scores)
    return found


@pytest.mark.parametrize("similarity", ON_PIXELS)
def test_equals_the_mean_over_all_other_images(similarity, images):
    labels, groups = [1, 1, 1, 2, 1, 2, 1], ["a", "a", "b", "b", "c", "c", "d"]
    places = [(0, p) for p in range(1, 5)]
    expected = by_hand(images, untied, similarity, labels, groups, places)
    found = perturbation_consistency(
        lambda rgb, _: untied(rgb), images, VIEWS, similarity=similarity, k=9, targets=labels,
        groups=groups, batch_size=2,
    )  # fmt: skip
    np.testing.assert_allclose(found.zero, expected, atol=1e-10)
    np.testing.assert_allclose(found.ec0, expected.mean(axis=1), atol=1e-10)
    np.testing.assert_allclose(found.geometric.ec0, expected[:, :3].mean(axis=1), atol=1e-10)
    np.testing.assert_allclose(found.photometric.ec0, expected[:, 3], atol=1e-10)


@pytest.mark.parametrize("similarity", ["pearson", "soft_iou"])
def test_all_pairs_of_views(similarity, images):
    places = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    one = np.zeros(7), np.arange(7)
    expected = by_hand(images, noticed, similarity, *one, places)
    found = perturbation_consistency(noticed, images, VIEWS, similarity=similarity, reference=None)
    np.testing.assert_allclose(found.ec0, expected.mean(axis=1), atol=1e-10)
    moved = [k for k, pair in enumerate(places) if 4 not in pair]
    np.testing.assert_allclose(found.geometric.ec0, expected[:, moved].mean(axis=1), atol=1e-10)


def test_ssim_of_whole_maps(images):
    maps = luminance(images)
    expected = [
        np.mean([INDEPENDENT["ssim"](maps[i], maps[j]) for j in range(7) if j != i])
        for i in range(7)
    ]
    found = perturbation_consistency(luminance, images, [SAME], similarity="ssim")
    np.testing.assert_allclose(found.ec0, expected, atol=1e-10)


def test_many_images_are_compared_with_some_of_each_group(rng):
    images = rng.integers(0, 256, (60, 4, 4, 3), np.uint8)
    groups = np.repeat(np.arange(30), 2)
    exact = perturbation_consistency(noticed, images, [SAME], groups=groups)
    calls = {"similarity": "soft_iou", "groups": groups}
    drawn = perturbation_consistency(noticed, images, [SAME], **calls)
    again = perturbation_consistency(noticed, images, [SAME], **calls)
    other = perturbation_consistency(noticed, images, [SAME], seed=5, **calls)
    np.testing.assert_array_equal(drawn.ec0, again.ec0)
    assert not np.array_equal(drawn.ec0, other.ec0)
    every = np.array([
        np.mean([
            INDEPENDENT["soft_iou"](a, b)
            for j, b in enumerate(noticed(images))
            if groups[j] != groups[i]
        ])
        for i, a in enumerate(noticed(images))
    ])  # fmt: skip
    assert drawn.ec0.mean() == pytest.approx(every.mean(), abs=0.03)
    assert (exact.skill_status == "ok").all()


def test_maps_beyond_memory_go_through_a_file(images, monkeypatch):
    expected = perturbation_consistency(noticed, images, VIEWS)
    monkeypatch.setattr("membrane_xai.explanation_consistency._shelf._IN_MEMORY", 100)
    found = perturbation_consistency(noticed, images, VIEWS)
    np.testing.assert_array_equal(found.skill, expected.skill)


def test_maps_of_any_library(backend, images):
    expected = perturbation_consistency(noticed, images, VIEWS[:2])
    found = perturbation_consistency(
        lambda rgb: backend.asarray(noticed(rgb)), images, VIEWS[:2], similarity="pearson"
    )
    np.testing.assert_allclose(found.ec0, expected.ec0, atol=1e-5)


# Relations


@given(
    arrays(np.uint8, (4, 3, 4, 3), elements=st.integers(0, 255)),
    st.floats(0.1, 100),
    st.permutations(range(4)),
)
def test_scale_and_order_change_nothing(images, scale, order):
    views = [horizontal_flip(), vertical_flip()]
    found = perturbation_consistency(luminance, images, views)
    scaled = perturbation_consistency(lambda rgb: scale * luminance(rgb), images[order], views)
    np.testing.assert_allclose(scaled.ec0, found.ec0[order], atol=1e-9)
    known = found.skill_status == "ok"
    assert (found.skill[known] <= 1 + 1e-9).all()


def test_darkness_follows_every_image(images):
    found = perturbation_consistency(luminance, images, [horizontal_flip(), blur(0.1, mpp=0.5)])
    np.testing.assert_allclose(found.geometric.skill, 1, atol=1e-12)
    assert (found.photometric.skill > 0.9).all()


# Kinds of views, and arguments


@perturbations.every
def test_kind_is_whether_pixels_move(one):
    probe = np.random.default_rng(0).random((5, 5))
    moves = not np.array_equal(np.asarray(one.restore(probe)), probe)
    assert one.kind == ("geometric" if moves else "photometric")
    if one in perturbations.PHOTOMETRIC.values():
        assert one.kind == "photometric"
    if one in perturbations.WARPS.values():
        assert one.kind == "geometric"


def test_groups_that_do_not_fit(images):
    with pytest.raises(InvalidInputError, match="groups has 2 labels for 7"):
        perturbation_consistency(luminance, images, VIEWS, groups=["a", "b"])
    with pytest.raises(InvalidInputError, match=r"groups\[1\] is None"):
        perturbation_consistency(luminance, images, VIEWS, groups=["a", None, *"bcdef"])
    with pytest.raises(InvalidInputError, match="seed is -1"):
        perturbation_consistency(luminance, images, VIEWS, seed=-1)
