"""Shapes, lists, xarray and dask: what goes in and what comes out."""

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError


@pytest.fixture
def pair(rng):
    return rng.random((4, 5, 6)), rng.random((4, 12, 13)) < 0.4


def test_channel_axis_of_one(pair):
    cam, mask = pair
    expected = mx.map_score(cam, mask)
    assert mx.map_score(cam[:, None], mask).tolist() == expected.tolist()
    assert mx.map_score(cam[:, None], mask[:, None]).tolist() == expected.tolist()
    assert mx.ec_score(cam[:, None]) == mx.ec_score(cam)


def test_one_mask_for_many_cams_and_the_reverse(pair):
    cam, mask = pair
    shared = mx.alignment(cam, mask[0])
    each = [mx.alignment(c, mask[0]) for c in cam]
    assert shared.map.tolist() == [one.map for one in each]
    assert shared.chance.tolist() == [one.chance for one in each]
    reverse = mx.map_score(cam[0], mask)
    assert reverse.tolist() == [mx.map_score(cam[0], m) for m in mask]
    region = np.arange(13) < 9
    region = np.broadcast_to(region, (12, 13))
    expected = [mx.map_score(c, m, region=region) for c, m in zip(cam, mask, strict=True)]
    assert mx.map_score(cam, mask, region=region).tolist() == expected


def test_lists_of_maps_of_unequal_sizes(rng):
    cams = [rng.random((3, 4)), rng.random((5, 5)), rng.random((2, 7))]
    masks = [rng.random((9, 9)) < 0.5, rng.random((5, 5)) < 0.5, rng.random((8, 21)) < 0.5]
    expected = [mx.map_score(c, m) for c, m in zip(cams, masks, strict=True)]
    assert mx.map_score(cams, masks).tolist() == expected
    result = mx.alignment(cams, masks)
    assert result.map.tolist() == expected
    assert result.status.tolist() == ["ok"] * 3
    assert result.grid == ()
    shared = mx.map_score(cams, masks[0])
    assert shared.tolist() == [mx.map_score(c, masks[0]) for c in cams]
    assert mx.map_ceiling(masks, (3, 3)).shape == (3,)
    pooled = mx.pool_mask(masks, (3, 3))
    same = [np.ones((3, 3)) * rng.random((3, 3)) for _ in masks]
    np.testing.assert_allclose(
        mx.map_score(same, pooled.mask, region=pooled.region), mx.map_score(same, masks)
    )


def test_lists_of_torch_maps(rng):
    torch = pytest.importorskip("torch")
    cams = [torch.rand(3, 4), torch.rand(5, 5)]
    masks = [torch.rand(9, 9) < 0.5, torch.rand(5, 5) < 0.5]
    result = mx.map_score(cams, masks)
    assert isinstance(result, torch.Tensor)
    assert result.shape == (2,)


def test_nested_lists_are_numbers():
    assert mx.map_score([[3, 1], [0, 0]], [[1, 0], [1, 0]]) == 0.75


def test_xarray_keeps_dims_and_coords(pair):
    xr = pytest.importorskip("xarray")
    cam, mask = pair
    labels = ["a", "b", "c", "d"]
    cams = xr.DataArray(np.stack([cam, cam**2]), dims=["method", "patch", "y", "x"])
    cams = cams.assign_coords(patch=labels, method=["gradcam", "scorecam"], y=np.arange(5) * 32)
    masks = xr.DataArray(mask, dims=["patch", "y", "x"], coords={"patch": labels})
    scores = mx.map_score(cams, masks)
    assert scores.dims == ("method", "patch")
    assert scores.patch.values.tolist() == labels
    np.testing.assert_array_equal(scores[0], mx.map_score(cam, mask))
    np.testing.assert_array_equal(scores[1], mx.map_score(cam**2, mask))
    result = mx.alignment(cams, masks)
    assert result.status.dims == ("method", "patch")
    assert (result.status == "ok").all()
    assert mx.map_score(cams[0, 0], masks[0]).dims == ()
    np.testing.assert_array_equal(mx.rank_accuracy(cams, masks)[0], mx.rank_accuracy(cam, mask))
    curve = mx.map_curve(cams, masks, thresholds=[0.1, 0.5])
    assert curve.map.dims == ("method", "patch", "threshold")
    assert curve.coverage.threshold.values.tolist() == [0.1, 0.5]
    pooled = mx.pool_mask(masks, (5, 6))
    assert pooled.mask.dims == ("patch", "y", "x")
    np.testing.assert_allclose(
        mx.map_score(cams, pooled.mask, region=pooled.region), scores, atol=1e-12
    )


def test_xarray_matches_by_name_and_refuses_other_labels(pair):
    xr = pytest.importorskip("xarray")
    cam, mask = pair
    cams = xr.DataArray(cam, dims=["patch", "y", "x"], coords={"patch": [1, 2, 3, 4]})
    masks = xr.DataArray(mask, dims=["patch", "y", "x"], coords={"patch": [2, 1, 3, 4]})
    with pytest.raises(ValueError, match=r"patch"):
        mx.map_score(cams, masks)
    one_mask = mx.map_score(cams, mask[0])
    np.testing.assert_array_equal(one_mask, mx.map_score(cam, mask[0]))
    with pytest.raises(InvalidInputError, match=r"mask has shape \(4, 12, 13\) and no dims"):
        mx.map_score(cams, mask)


def test_xarray_consistency_keeps_the_other_dims(rng):
    xr = pytest.importorskip("xarray")
    views = xr.DataArray(
        rng.random((3, 5, 4, 4)),
        dims=["patch", "view", "y", "x"],
        coords={"patch": ["a", "b", "c"]},
    )
    scores = mx.ec_score(views)
    assert scores.dims == ("patch",)
    assert scores.patch.values.tolist() == ["a", "b", "c"]
    np.testing.assert_allclose(scores, [mx.ec_score(v) for v in views.values], atol=1e-14)
    by_group = mx.consistency(views, groups=list("uuvvv"))
    assert by_group.ec.dims == ("patch", "group")
    assert by_group.n_pairs.sel(group="v").values.tolist() == [3, 3, 3]
    matrix = mx.pairwise_similarity(views)
    assert matrix.dims == ("patch", "view", "view_other")


@pytest.mark.parametrize("chunks", [(1, -1, -1), (3, 2, 5), (4, 5, 6)])
def test_dask_is_lazy_and_independent_of_chunks(chunks, pair):
    da = pytest.importorskip("dask.array")
    cam, mask = pair
    lazy = da.from_array(cam, chunks=chunks)
    result = mx.alignment(lazy, da.from_array(mask, chunks=(2, 7, 13)))
    assert isinstance(result.map, da.Array)
    expected = mx.alignment(cam, mask)
    np.testing.assert_allclose(result.map, expected.map, rtol=0, atol=1e-15)
    assert result.status.compute().tolist() == expected.status.tolist()
    assert isinstance(mx.ec_score(lazy), da.Array)
    assert mx.ec_score(lazy).compute() == pytest.approx(mx.ec_score(cam), abs=1e-14)
    assert result.to_dict()["map"] == pytest.approx(expected.map.tolist())


def test_xarray_on_dask_is_lazy(pair):
    xr, da = pytest.importorskip("xarray"), pytest.importorskip("dask.array")
    cam, mask = pair
    cams = xr.DataArray(cam, dims=["patch", "y", "x"]).chunk({"patch": 2, "y": 3})
    masks = xr.DataArray(mask, dims=["patch", "y", "x"]).chunk({"patch": 2})
    scores = mx.map_score(cams, masks)
    assert isinstance(scores.data, da.Array)
    np.testing.assert_allclose(scores, mx.map_score(cam, mask), atol=1e-15)
    status = mx.alignment(cams, masks).status
    assert isinstance(status.data, da.Array)
    assert (status == "ok").all()
    pooled = mx.pool_mask(masks, (5, 6))
    assert isinstance(pooled.mask.data, da.Array)


def test_dask_raises_undefined_samples_when_computed():
    da = pytest.importorskip("dask.array")
    scores = mx.map_score(
        da.zeros((2, 3, 3), chunks=(1, 3, 3)), np.ones((2, 3, 3), bool), on_undefined="raise"
    )
    with pytest.raises(mx.errors.UndefinedScoreError, match="no_activation"):
        scores.compute()
