"""Channels that come last are no batch, and real batches of any size stay what they are."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import SCORES
from membrane_xai.statistics import permutation_null, random_cam_null

RNG = np.random.default_rng(5)
CAM = RNG.random((7, 7))
MASK = np.zeros((56, 56), bool)
MASK[:, 20:24] = True
RGB = np.repeat(MASK[..., None], 3, axis=2)

IMAGES = {
    "RGB": RGB,
    "RGBA": np.repeat(MASK[..., None], 4, axis=2),
    "grey with alpha": np.repeat(MASK[..., None], 2, axis=2),
    "one channel": MASK[..., None],
    "PIL": Image.fromarray(RGB.astype(np.uint8)),
    "not square": np.zeros((40, 60, 3), bool),
}
DOORS = {
    "map_score": lambda cam, mask: mx.map_score(cam, mask),
    "alignment": lambda cam, mask: mx.alignment(cam, mask),
    "region": lambda cam, mask: mx.map_score(cam, MASK, region=mask),
    "control": lambda cam, mask: mx.alignment(cam, MASK, against=mask),
    "map_curve": lambda cam, mask: mx.map_curve(cam, mask),
    "rank_accuracy": lambda cam, mask: mx.rank_accuracy(cam, mask),
    "topk_intersection": lambda cam, mask: mx.topk_intersection(cam, mask),
    "pointing_game": lambda cam, mask: mx.pointing_game(cam, mask),
    "pixel_auc": lambda cam, mask: mx.pixel_auc(cam, mask),
    "map_ceiling": lambda cam, mask: mx.map_ceiling(mask, cam.shape[:2]),
    "pool_mask": lambda cam, mask: mx.pool_mask(mask, cam.shape[:2]),
    "accumulator": lambda cam, mask: mx.MapAccumulator().update(cam, mask),
    "shift_null": lambda cam, mask: mx.shift_null(cam, mask),
    "random_cam_null": lambda cam, mask: random_cam_null(cam, mask, draws=10),
    "permutation_null": lambda cam, mask: permutation_null(cam, mask, range(56)),
}
doors = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)


@doors
@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
@pytest.mark.parametrize("side", [2, 3, 7])
def test_masks_with_their_channels_last(door, image, side):
    with pytest.raises(InvalidInputError):
        door(RNG.random((side, side)), image)


@doors
@pytest.mark.parametrize("side", [2, 4, 7])
def test_maps_with_their_channel_last(door, side):
    if door in (DOORS["map_ceiling"], DOORS["pool_mask"]):
        pytest.skip("takes no map")
    with pytest.raises(InvalidInputError, match="looks like one map with its channels last"):
        door(RNG.random((side, side, 1)), MASK)


@pytest.mark.parametrize(
    ("cam", "mask", "message"),
    [
        (CAM, RGB, "mask has shape (56, 56, 3), which is a batch of 56 maps of 56x3 and looks "
         "like one map with its channels last; pass mask[..., 0] for a single channel or equal"),
        (CAM[..., None], MASK, "cam has shape (7, 7, 1)"),
        (CAM[..., None], MASK[..., None], "batch sizes differ: cam has 7, mask has 56; they must "
         "be equal, or absent for a map shared by all; if cam has its channels last, pass cam["),
        (np.ones((56, 56, 1)), MASK[..., None], "cam has shape (56, 56, 1)"),
        (np.ones((5, 7, 7, 1)), np.ones((5, 56, 56)), "it takes (h, w), (N, h, w) or (N, 1, h, w): "
         "its channel axis is the last one, pass cam[..., 0] if channels are equal"),
        (np.ones((5, 7, 7)), np.ones((5, 56, 56, 1)), "pass mask[..., 0]"),
        (np.ones((56, 7, 7)), RGB, "coarser along one side and finer along the other"),
        ([CAM], [RGB], "mask[0] has shape (56, 56, 3); in a list each map is (h, w)"),
        ([CAM[..., None]], [MASK], "cam[0] has shape (7, 7, 1)"),
        ([CAM] * 2, [MASK, [[1, 0]]], "mask: a list of 2 cannot be read as an array, its items"),
        (CAM, [*MASK[:5].T.reshape(28, 10).tolist(), [1]], "mask: a list of 29 cannot be read"),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(cam, mask, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        mx.map_score(cam, mask)


def test_the_remedy_gives_the_score():
    expected = mx.map_score(CAM, MASK)
    assert mx.map_score(CAM, RGB[..., 0]) == expected
    assert mx.map_score(CAM[..., None][..., 0], MASK) == expected
    assert mx.map_score(CAM, Image.fromarray(MASK)) == expected
    assert mx.map_score(CAM[None], MASK[None]).tolist() == [expected]
    assert mx.map_score(CAM[None, None], MASK[None, None]).tolist() == [expected]
    assert mx.map_score(CAM, MASK[None]).tolist() == [expected]


@given(
    st.integers(1, 60), st.tuples(st.integers(1, 14), st.integers(1, 14)), st.integers(1, 4),
    st.integers(1, 4),
)  # fmt: skip
def test_batches_that_agree_are_batches(count, cells, rows, columns):
    """Of any number and side, also of 1, 3 and 4; masks wider than four pixels speak for it."""
    size = cells[0] * rows, cells[1] * columns
    assume(size[1] > 4)
    rng = np.random.default_rng(0)
    cams, masks = rng.random((count, *cells)), rng.random((count, *size)) < 0.5
    found = mx.map_score(cams, masks)
    assert found.shape == (count,)
    for i in {0, count - 1}:
        np.testing.assert_array_equal(found[i], mx.map_score(cams[i], masks[i]))
    assert mx.map_score(cams[0], masks).shape == (count,)


@pytest.mark.parametrize("count", [1, 3, 4, 7, 56])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_small_square_maps_are_batches(count, side):
    cams = RNG.random((count, side, side))
    for masks in (MASK, np.stack([MASK] * count), RNG.random((count, side, side)), cams[0]):
        assert mx.map_score(cams, masks).shape == (count,)
    assert mx.map_ceiling(RNG.random((count, side, side)), (side, side)).shape == (count,)


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 1, 4), (1, 2, 1), (5, 1, 3), (10, 2, 4)])
def test_odd_batches_on_one_mask(shape):
    assert mx.map_score(RNG.random(shape), MASK).shape == shape[:1]


@pytest.mark.parametrize("shape", [(3, 1, 2), (5, 2, 1), (9, 3, 1), (7, 4, 3), (10, 6, 4)])
def test_odd_batches_that_agree(shape):
    found = mx.alignment(RNG.random(shape), RNG.random(shape) < 0.5)
    assert found.map.shape == shape[:1]


@doors
@pytest.mark.parametrize(("cells", "size"), [((7, 768), (224, 224)), ((20, 5), (10, 56))])
def test_coarser_one_way_and_finer_the_other(door, cells, size):
    mask = RNG.random(size) < 0.4
    if door in (DOORS["region"], DOORS["control"]):
        pytest.skip("the mask is another")
    with pytest.raises(InvalidInputError, match="coarser along one side and finer along the other"):
        door(RNG.random(cells), mask)


@pytest.mark.parametrize("cells", [(7, 7), (10, 7), (10, 10), (20, 20), (20, 10)])
def test_finer_maps_and_equal_sides_are_scored(cells):
    assert mx.alignment(RNG.random(cells), RNG.random((10, 10)) < 0.5).status == "ok"


def test_dataarrays_are_told_by_the_names_of_their_dims():
    xr = pytest.importorskip("xarray")
    masks = xr.DataArray(np.stack([RGB] * 2), dims=["sample", "y", "x", "channel"])
    cams = xr.DataArray(np.stack([CAM] * 2), dims=["sample", "y", "x"])
    with pytest.raises(InvalidInputError, match=r"take one channel by .isel\(channel=0\)"):
        mx.map_score(cams, masks)
    with pytest.raises(InvalidInputError, match="the last two are rows and columns"):
        mx.ec_score(masks)
    found = mx.map_score(cams, masks.isel(channel=0))
    assert found.values.tolist() == [mx.map_score(CAM, MASK)] * 2
    with pytest.raises(InvalidInputError, match=r"take one channel by .isel\(c=0\)"):
        mx.map_score(cams, masks.rename(channel="c"))
    named = mx.map_score(cams.rename(y="r", x="c"), masks.isel(channel=0).rename(y="R", x="C"))
    assert named.values.tolist() == found.values.tolist()
    channels = mx.map_score(cams, masks.transpose("sample", "channel", "y", "x"))
    assert channels.dims == ("sample", "channel")


def test_dask_is_told_before_it_computes():
    da = pytest.importorskip("dask.array")
    with pytest.raises(InvalidInputError, match="channels last"):
        mx.map_score(da.from_array(CAM), da.from_array(RGB[..., :1][..., [0] * 3]))
    with pytest.raises(InvalidInputError, match="coarser along one side"):
        mx.map_score(da.ones((2, 7, 768)), da.ones((2, 224, 224)))


def test_studies_refuse_them_image_by_image():
    images = [np.full((56, 56, 3), 90, np.uint8)] * 3
    masks = [MASK, RGB, MASK[..., None]]
    found = mx.evaluate({"m": lambda rgb: 255.0 - rgb.mean(axis=-1)}, images, masks).rows
    assert [row["status"] for row in found] == ["ok", "error", "error"]
    assert "mask has shape (56, 56, 3)" in found[1]["error"]
    wide = mx.evaluate({"m": [np.ones((7, 768))]}, images[:1], [MASK]).rows
    assert "coarser along one side" in wide[0]["error"]
    assert {name for name in SCORES if name in wide[0] and not np.isnan(wide[0][name])} == set()


@pytest.mark.parametrize("shape", [(7, 7, 1), (56, 40, 1), (224, 224, 3), (200, 300, 4)])
def test_one_map_is_no_set(shape):
    for call in (mx.ec_score, mx.pairwise_similarity, mx.EcAccumulator().update):
        with pytest.raises(InvalidInputError, match="looks like one map with its channels last"):
            call(np.ones(shape))


def test_lists_of_pictures_of_unequal_sizes():
    masks = [MASK, MASK[:40]]
    found = mx.map_score([CAM, CAM], [Image.fromarray(mask) for mask in masks])
    assert found.tolist() == [mx.map_score(CAM, mask) for mask in masks]
    maps = [Image.fromarray(CAM.astype(np.float32)), Image.fromarray(CAM.astype(np.float32)[:5])]
    assert mx.alignment(maps, MASK).grid == ()
    assert mx.ec_score(maps) == mx.ec_score([np.array(x) for x in maps])
    assert mx.map_score(maps, MASK).tolist() == [mx.map_score(np.array(x), MASK) for x in maps]


def test_views_of_one_map_keep_its_channel_out():
    for step in (mx.perturb.horizontal_flip(), mx.perturb.compose(mx.perturb.vertical_flip())):
        with pytest.raises(InvalidInputError, match="channels last"):
            step.restore(CAM[..., None])
        assert step.restore(np.ones((5, 7, 3))).shape == (5, 7, 3)
