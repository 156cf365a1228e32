"""NumPy arrays that other libraries cannot hold as they are, and tensors that NumPy cannot."""

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai._backend.arrays import as_array, to_numpy
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import UnitSums
from membrane_xai.statistics import permutation_null, summarize_consistency

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(11)
CAMS = RNG.integers(0, 15, (6, 5, 5)).astype(float)
MASKS = RNG.random((6, 20, 20)) < 0.3
GROUPS = list("aabbcc")


def _strided(x):
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return wide[..., ::2]


def _read_only(x):
    copy = x.copy()
    copy.flags.writeable = False
    return copy


def _misaligned(x):
    packed = np.zeros(x.size, [("pad", "u1"), ("value", "f8")])
    packed["value"] = x.ravel()
    return packed["value"].reshape(x.shape)


KINDS = {
    "read-only": _read_only,
    "flipped": lambda x: np.flip(np.flip(x, -1).copy(), -1),
    "turned": lambda x: np.rot90(np.rot90(x, 2, (-2, -1)).copy(), 2, (-2, -1)),
    "transposed": lambda x: np.swapaxes(np.swapaxes(x, -1, -2).copy(), -1, -2),
    "every second": _strided,
    "not aligned": _misaligned,
    "big-endian float32": lambda x: x.astype(">f4"),
    "big-endian int16": lambda x: x.astype(">i2"),
    "float16": lambda x: x.astype(np.float16),
    "longdouble": lambda x: x.astype(np.longdouble),
    "uint16": lambda x: x.astype(np.uint16),
    "uint32": lambda x: x.astype(np.uint32),
    "uint64": lambda x: x.astype(np.uint64),
    "big-endian uint16": lambda x: x.astype(">u2"),
    "nothing masked": lambda x: np.ma.masked_array(x, np.zeros(x.shape, bool)),
}
DOORS = {
    "map_score": lambda cam, mask: mx.map_score(cam, mask),
    "threshold": lambda cam, mask: mx.map_score(cam, mask, threshold=0.5),
    "region": lambda cam, mask: mx.map_score(cam, MASKS, region=mask),
    "alignment": lambda cam, mask: mx.alignment(cam, mask).toward_ideal,
    "control": lambda cam, mask: mx.alignment(cam, MASKS, against=mask).specificity_ideal,
    "map_curve": lambda cam, mask: mx.map_curve(cam, mask, thresholds=[0.5]).coverage,
    "rank_accuracy": lambda cam, mask: mx.rank_accuracy(cam, mask),
    "topk_intersection": lambda cam, mask: mx.topk_intersection(cam, mask, k=20),
    "pointing_game": lambda cam, mask: mx.pointing_game(cam, mask, tolerance=1),
    "pixel_auc": lambda cam, mask: mx.pixel_auc(cam, mask),
    "MapAccumulator": lambda cam, mask: mx.MapAccumulator().update(cam, mask).compute().map,
    "shift_null": lambda cam, mask: mx.shift_null(cam, mask).p_value,
    "permutation_null": lambda cam, mask: permutation_null(cam, mask, GROUPS).score,
}
SETS = {
    "ec_score": lambda cam: mx.ec_score(cam),
    "ssim": lambda cam: mx.ec_score(cam, similarity="ssim"),
    "pairwise": lambda cam: mx.pairwise_similarity(cam),
    "EcAccumulator": lambda cam: mx.EcAccumulator().update(cam).compute().ec,
    "summarize_consistency": lambda cam: summarize_consistency(cam, GROUPS).mean,
    "UnitSums": lambda cam: UnitSums.of(cam, "pearson").mean(),
    "map_score": lambda cam: mx.map_score(cam, MASKS),
    "pixel_auc": lambda cam: mx.pixel_auc(cam, MASKS),
}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def same(found, expected):
    np.testing.assert_allclose(to_numpy(found), to_numpy(expected), rtol=1e-12, atol=1e-12)


@kinds
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_masks_beside_tensors(kind, door):
    same(door(torch.tensor(CAMS), kind(MASKS)), door(CAMS, MASKS))


@kinds
@pytest.mark.parametrize("door", SETS.values(), ids=SETS)
def test_maps(kind, door):
    same(door(kind(CAMS)), door(CAMS))


@kinds
def test_reference_maps_beside_tensors(kind):
    reference = kind(CAMS[0])
    found = mx.ec_score(torch.tensor(CAMS), reference=reference)
    same(found, mx.ec_score(CAMS, reference=CAMS[0]))


@kinds
def test_torchmetrics(kind):
    pytest.importorskip("torchmetrics")
    from membrane_xai.integrations.torchmetrics import (
        ExplanationConsistency,
        MembraneActivationPrecision,
    )

    map_metric, ec_metric = MembraneActivationPrecision(), ExplanationConsistency((5, 5))
    map_metric.update(torch.tensor(CAMS), kind(MASKS))
    ec_metric.update(kind(CAMS))
    same(map_metric.compute(), mx.MapAccumulator().update(CAMS, MASKS).compute().map)
    same(ec_metric.compute(), mx.ec_score(CAMS))


@pytest.mark.parametrize("library", [np.asarray, torch.tensor])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.float64])
def test_a_masked_cell_is_not_known(library, dtype):
    hidden = np.zeros(MASKS.shape, bool)
    hidden[2, 3, 4] = True
    result = mx.alignment(library(CAMS), np.ma.masked_array(MASKS.astype(dtype), hidden))
    assert result.status.tolist() == ["ok", "ok", "non_finite", "ok", "ok", "ok"]
    assert np.isnan(to_numpy(result.map)).tolist() == (result.status != "ok").tolist()


def test_a_masked_cell_of_a_map_is_not_known():
    cams = np.ma.masked_array(CAMS.astype(int), CAMS > 13)
    hidden = (CAMS > 13).any(axis=(1, 2))
    assert 0 < hidden.sum() < 6
    assert (mx.alignment(cams, MASKS).status == np.where(hidden, "non_finite", "ok")).all()
    assert (
        mx.consistency(cams).n_undefined
        == mx.consistency(np.where(hidden[:, None, None], np.nan, CAMS)).n_undefined
    )
    single = np.ma.masked_array(CAMS[0], CAMS[0] == CAMS[0].max())
    assert np.isnan(mx.map_score(single, MASKS[0]))


TENSORS = {
    "bfloat16": lambda x: x.to(torch.bfloat16),
    "float16": lambda x: x.to(torch.float16),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "uint16": lambda x: x.to(torch.uint16),
    "uint32": lambda x: x.to(torch.uint32),
    "uint64": lambda x: x.to(torch.uint64),
    "sparse": lambda x: x.to_sparse(),
    "with gradient": lambda x: x.clone().requires_grad_(),
    "negative view": lambda x: torch._neg_view(-x),
    "parameter": lambda x: torch.nn.Parameter(x),
}
tensors = pytest.mark.parametrize("tensor", TENSORS.values(), ids=TENSORS)


@tensors
def test_kinds_of_tensors_as_numpy(tensor):
    x = torch.tensor(CAMS)
    assert to_numpy(tensor(x)).tolist() == CAMS.tolist()
    assert to_numpy([tensor(one) for one in x]).tolist() == CAMS.tolist()


@tensors
@pytest.mark.parametrize("door", ["map_score", "alignment", "rank_accuracy", "pixel_auc"])
def test_kinds_of_tensors_as_maps_and_masks(tensor, door):
    cams, masks = torch.tensor(CAMS), torch.tensor(MASKS)
    given = DOORS[door](tensor(cams), masks), DOORS[door](cams, tensor(masks.double()))
    for found in given:
        same(found, DOORS[door](CAMS, MASKS))


def test_bfloat16_of_jax():
    jnp = pytest.importorskip("jax.numpy")
    assert to_numpy(jnp.asarray(CAMS, jnp.bfloat16)).tolist() == CAMS.tolist()


def test_what_can_be_computed_with_is_no_copy():
    assert as_array(CAMS) is CAMS
    tensor = torch.tensor(CAMS)
    assert as_array(tensor) is tensor
    assert to_numpy(tensor).ctypes.data == tensor.data_ptr()


def test_masks_of_other_libraries_follow_maps_of_numpy():
    """As the maps of pytorch-grad-cam meet the masks of a DataLoader."""
    expected = mx.map_score(CAMS, MASKS)
    mask = torch.tensor(MASKS, dtype=torch.float32, requires_grad=True)
    for masks in (torch.tensor(MASKS), mask, torch.tensor(MASKS).to_sparse()):
        found = mx.map_score(CAMS, masks, region=torch.ones(6, 20, 20))
        assert type(found) is np.ndarray
        np.testing.assert_allclose(found, expected)
    by_list = mx.map_score(list(CAMS), list(torch.tensor(MASKS)))
    np.testing.assert_allclose(by_list, expected)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            lambda: torch.nested.nested_tensor([torch.ones(2, 2)] * 2, layout=torch.jagged),
            "cam is a tensor that is nes",
        ),
        (lambda: torch.ones(2, 2, device="meta"), "cam is a tensor that is of the meta device"),
    ],
)
def test_tensors_without_values_of_one_shape(tensor, message):
    with pytest.raises(InvalidInputError, match=message):
        mx.map_score(tensor(), np.ones((2, 2)))


def test_columns_that_hold_arrays():
    """As a table with one map in each row gives them."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"cam": list(CAMS), "mask": list(MASKS)}, index=[5, 4, 3, 2, 1, 0])
    expected = mx.map_score(CAMS, MASKS)
    np.testing.assert_allclose(mx.map_score(table["cam"], table["mask"]), expected)
    objects = table["cam"].to_numpy(), table["mask"].to_numpy()
    np.testing.assert_allclose(mx.map_score(*objects), expected)
