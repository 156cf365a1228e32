"""Captum's attributions as maps: against NumPy, and with the library's own methods."""

import re

import numpy as np
import pytest

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytest.importorskip("captum")

from captum.attr import (  # noqa: E402
    IntegratedGradients,
    LayerActivation,
    LayerGradCam,
    Saliency,
)

from membrane_xai.integrations.captum import attribute_maps, to_maps  # noqa: E402

REDUCTIONS = {
    "sum": lambda x: x.sum(1),
    "sum_abs": lambda x: np.abs(x).sum(1),
    "max_abs": lambda x: np.abs(x).max(1),
    "norm": lambda x: np.sqrt((x**2).sum(1)),
}


@pytest.fixture
def network():
    torch.manual_seed(1)
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 5, stride=4, padding=2), torch.nn.Tanh())
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 4)]
    return torch.nn.Sequential(layer, *head).eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks(rng):
    return rng.random((3, 16, 16)) < 0.2


@pytest.mark.parametrize("channels", REDUCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_reductions_are_those_of_numpy(rng, channels, dtype):
    x = rng.normal(size=(2, 3, 4, 5)).astype(dtype)
    expected = REDUCTIONS[channels](x.astype(float))
    tolerance = 1e-2 if dtype == "float16" else 1e-6
    found = to_maps(torch.tensor(x, requires_grad=True), channels=channels)
    assert (found.dtype, found.requires_grad) == (getattr(torch, dtype), False)
    np.testing.assert_allclose(found.double(), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(to_maps(x, channels=channels), expected, tolerance, tolerance)


def test_the_norm_neither_overflows_nor_vanishes():
    large, small = torch.full((1, 4, 1, 1), 3e38), torch.full((1, 4, 1, 1), 1e-30)
    assert torch.isinf(to_maps(large, channels="norm")).all()  # 6e38 is beyond float32
    assert to_maps(small, channels="norm").item() == pytest.approx(2e-30)
    assert to_maps(large / 4, channels="norm").item() == pytest.approx(1.5e38)
    assert to_maps(torch.zeros(1, 3, 2, 2), channels="norm").abs().max() == 0


def test_layer_grad_cam_keeps_its_grid_and_sign(network, images, masks):
    method = LayerGradCam(network, network[0])
    raw = method.attribute(images, target=2)
    maps = attribute_maps(method, images, target=2)
    assert maps.shape == (3, 4, 4)
    assert (maps < 0).any()
    assert torch.equal(maps, raw[:, 0].detach())
    assert torch.equal(mx.map_score(maps, masks), mx.map_score(raw.detach(), masks))
    numpy = raw.detach().numpy()[:, 0]
    np.testing.assert_allclose(mx.map_score(maps, masks), mx.map_score(numpy, masks), rtol=1e-6)


def test_attributions_of_inputs(network, images, masks):
    raw = IntegratedGradients(network).attribute(images, target=1, n_steps=8).detach().numpy()
    for channels, reduce in REDUCTIONS.items():
        maps = attribute_maps(
            IntegratedGradients(network), images, channels=channels, target=1, n_steps=8
        )
        flat, goal = reduce(raw).clip(min=0), masks
        expected = (flat * goal).sum((1, 2)) / flat.sum((1, 2))
        np.testing.assert_allclose(mx.map_score(maps, masks), expected, rtol=1e-5)


def test_a_layer_with_channels_is_reduced(network, images):
    maps = attribute_maps(LayerActivation(network, network[0]), images, channels="sum_abs")
    np.testing.assert_allclose(maps, network[0](images).abs().sum(1).detach(), rtol=1e-6)


def test_a_tuple_of_one_is_unpacked(network, images):
    raw = Saliency(network).attribute((images.requires_grad_(),), target=0)
    assert isinstance(raw, tuple)
    assert torch.equal(to_maps(raw), raw[0].sum(1))


def test_flat_and_non_finite_attributions_are_reported():
    x = torch.zeros(2, 3, 4, 4)
    x[1, 0, 0, 0] = torch.nan
    membrane = np.eye(4, dtype=bool)
    for channels in REDUCTIONS:
        status = mx.alignment(to_maps(x, channels=channels), membrane).status
        assert status.tolist() == ["no_activation", "non_finite"]


@pytest.mark.parametrize("channels", REDUCTIONS)
def test_maps_come_with_the_convergence_delta_if_it_is_asked_for(network, images, channels):
    options = {"target": 1, "n_steps": 8, "return_convergence_delta": True}
    raw, expected = IntegratedGradients(network).attribute(images, **options)
    maps, delta = attribute_maps(IntegratedGradients(network), images, channels=channels, **options)
    assert torch.equal(delta, expected.detach())
    assert not delta.requires_grad
    assert torch.equal(maps, to_maps(raw, channels=channels))
    assert torch.equal(to_maps((raw, expected), channels=channels), maps)
    assert torch.equal(to_maps(((raw,), expected), channels=channels), maps)  # of (images,)
    maps, delta = attribute_maps(
        IntegratedGradients(network), (images,), channels=channels, **options
    )
    assert torch.equal(delta, expected.detach())


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
def test_the_delta_of_other_methods(network, images):
    from captum.attr import DeepLift, LayerIntegratedGradients, NoiseTunnel

    maps, delta = attribute_maps(
        DeepLift(network), images.requires_grad_(), target=0, return_convergence_delta=True
    )
    assert (tuple(maps.shape), tuple(delta.shape)) == ((3, 16, 16), (3,))
    method = LayerIntegratedGradients(network, network[0])
    maps, delta = attribute_maps(method, images, target=0, n_steps=4, return_convergence_delta=True)
    assert (tuple(maps.shape), tuple(delta.shape)) == ((3, 4, 4), (3,))
    tunnel = NoiseTunnel(LayerGradCam(network, network[0]))
    assert attribute_maps(tunnel, images, target=0, nt_samples=2).shape == (3, 4, 4)


@pytest.mark.parametrize(
    ("attributions", "options", "message"),
    [
        (torch.ones(2, 4, 4), {}, "attributions has shape (2, 4, 4); it takes (N, C, h, w)"),
        ((torch.ones(1, 1, 2, 2),) * 2, {}, "attributions is a tuple of 2; it takes one at a time"),
        (torch.ones(1, 3, 2, 2), {"channels": "mean"}, "channels is 'mean'; it takes one of 'sum'"),
        (torch.ones(1, 3, 2, 2) + 1j, {}, "attributions has dtype torch.complex64"),
    ],
)
def test_bad_input(attributions, options, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        to_maps(attributions, **options)


def test_something_that_is_no_method(network, images):
    message = "method is a Sequential; it takes a method of Captum"
    with pytest.raises(InvalidInputError, match=message):
        attribute_maps(network, images, target=0)


@pytest.mark.parametrize("name", ["LayerIntegratedGradients", "LayerActivation", "LayerGradCam"])
def test_a_relu_in_place_after_the_layer(images, name):
    """It may not write a leaf of the graph, nor change what the layer is said to give."""
    captum = pytest.importorskip("captum.attr")

    def maps(inplace):
        torch.manual_seed(0)
        stem = [torch.nn.Conv2d(3, 6, 3), torch.nn.ReLU(inplace), torch.nn.AdaptiveAvgPool2d(1)]
        network = torch.nn.Sequential(*stem, torch.nn.Flatten()).eval()
        target = {} if name == "LayerActivation" else {"target": 1}
        found = attribute_maps(getattr(captum, name)(network, network[0]), images, **target)
        assert network[1].inplace is inplace
        return found

    assert maps(False).abs().max() > 0
    torch.testing.assert_close(maps(True), maps(False))


@pytest.mark.parametrize("name", ["LayerGradCam", "IntegratedGradients"])
def test_targets_of_any_library(network, images, name):
    captum = pytest.importorskip("captum.attr")
    layer = [network[0]] if name.startswith("Layer") else []
    method = getattr(captum, name)(network, *layer)
    expected = attribute_maps(method, images, target=[1, 0, 3])
    with torch.inference_mode():  # as Lightning's test step gives them
        inferred = torch.tensor([1, 0, 3])
        in_inference = attribute_maps(method, images * 1, target=inferred)
    torch.testing.assert_close(in_inference, expected)
    pandas = pytest.importorskip("pandas")
    several = [np.array([1, 0, 3]), pandas.Series([1, 0, 3], index=[5, 6, 7]), inferred]
    for target in [*several, [np.int64(1), torch.tensor(0), 3]]:
        torch.testing.assert_close(attribute_maps(method, images, target=target), expected)
    single = attribute_maps(method, images, target=2)
    for target in (np.int64(2), np.array(2), torch.tensor(2)):
        torch.testing.assert_close(attribute_maps(method, images, target=target), single)
    for target in (4, [0, 1, 4], np.array([4, 0, 0]), torch.tensor(4)):
        with pytest.raises(InvalidInputError, match="target is 4; the network has classes 0 to 3"):
            attribute_maps(method, images, target=target)
    assert not any(module._forward_hooks for module in network.modules())


def test_what_is_no_layer_and_what_is_no_tensor(network, images):
    with pytest.raises(InvalidInputError, match="method has the layer '0'; it takes a torch"):
        attribute_maps(LayerGradCam(network, "0"), images, target=0)
    with pytest.raises(InvalidInputError, match="inputs is a ndarray; it takes a tensor"):
        attribute_maps(LayerGradCam(network, network[0]), images.numpy(), target=0)
