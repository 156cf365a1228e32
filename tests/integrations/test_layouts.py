"""Channels last and tokens as maps: against timm's own, by hand, and in every adapter."""

import re

import numpy as np
import pytest
import small_networks as small
import torch

from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import as_maps, measured_grid, receptive_field_grid

pytest.importorskip("torchvision")

SIDE = 64
NETWORKS = {
    "swin": small.small_swin,
    "vit": small.small_vit,
    "registers": lambda: small.small_vit("vit_small_patch14_reg4_dinov2", patch_size=16),
    "distilled": lambda: small.small_vit("deit_tiny_distilled_patch16_224"),
    "beit": lambda: small.small_vit("beit_base_patch16_224"),
    "sam": small.small_sam,
    "hiera": small.small_hiera,
    "mambaout": lambda: small.of_timm("test_mambaout"),
    "mixer": lambda: small.of_timm("mixer_s32_224", img_size=64),
    "convnext": lambda: small.of_timm("test_convnext"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_are_those_that_timm_makes_itself(name):
    network = NETWORKS[name]()
    layer = network.get_submodule(network.feature_info[-1]["module"])
    inputs, kept = torch.randn(2, 3, SIDE, SIDE), []
    with torch.no_grad(), layer.register_forward_hook(lambda *a: kept.append(a[-1])):
        (expected,) = network.forward_intermediates(
            inputs, indices=1, intermediates_only=True, output_fmt="NCHW", norm=False
        )
        network(inputs)
    torch.testing.assert_close(as_maps(kept[-1], network, layer, SIDE), expected)


def test_a_layer_of_as_many_channels_as_rows_is_still_channels_last():
    network = small.small_swin()  # 16 x 16 cells of 16 channels after the first stage
    layer, kept = network.layers[0], []
    with torch.no_grad(), layer.register_forward_hook(lambda *a: kept.append(a[-1])):
        network(torch.randn(1, 3, SIDE, SIDE))
    assert kept[0].shape == (1, 16, 16, 16)
    assert torch.equal(as_maps(kept[0], network, layer, SIDE), kept[0].permute(0, 3, 1, 2))
    convolution = network.patch_embed.proj  # within it, and channels second
    output = convolution(torch.randn(1, 3, SIDE, SIDE))
    assert as_maps(output, network, convolution, SIDE) is output


def test_oblong_inputs_and_networks_around_one_of_timm():
    network = small.small_vit(img_size=(64, 96))
    whole = torch.nn.Sequential(network, torch.nn.Softmax(dim=1))
    tokens = torch.randn(1, 1 + 4 * 6, 24)
    maps = as_maps(tokens, whole, network.blocks[-1].norm1, (64, 96))
    assert torch.equal(maps, tokens[:, 1:].transpose(1, 2).reshape(1, 24, 4, 6))


def test_networks_of_torchvision():
    swin, vit = small.small_torchvision_swin(), small.small_torchvision_vit()
    features = torch.randn(2, 8, 8, 32)
    maps = as_maps(features, swin, swin.features[-1], SIDE)
    assert torch.equal(maps, features.permute(0, 3, 1, 2))
    second = features.permute(0, 3, 1, 2)
    assert as_maps(second, swin, swin.permute, SIDE) is second
    tokens = torch.randn(2, 17, 24)
    maps = as_maps(tokens, vit, vit.encoder.layers[-1].ln_1, SIDE)
    assert torch.equal(maps, tokens[:, 1:].transpose(1, 2).reshape(2, 24, 4, 4))


class Last(torch.nn.Module):
    """Features with channels last, of which nothing tells."""

    def forward(self, x):
        return x.permute(0, 2, 3, 1)


def unknown(kind):
    """Return a network of which nothing is known, its layer, and what lays its output out."""
    torch.manual_seed(0)
    stem = torch.nn.Conv2d(3, 24, 16, stride=16)
    head = torch.nn.Linear(24, 4)
    if kind == "last":
        pool = torch.nn.Flatten(1, 2)
        layer, transform = Last(), lambda x: x.permute(0, 3, 1, 2)
    else:
        pool = torch.nn.Identity()
        layer = torch.nn.Sequential(torch.nn.Flatten(2), Turned())
        transform = lambda x: x.transpose(1, 2).unflatten(2, (4, 4))  # noqa: E731
    network = torch.nn.Sequential(stem, torch.nn.Tanh(), layer, pool, Mean(), head).eval()
    return network, layer, transform


class Turned(torch.nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


class Mean(torch.nn.Module):
    """Squares, so that gradients differ between cells."""

    def forward(self, x):
        return (x**2).mean(1)


@pytest.mark.parametrize(("kind", "words"), [("last", "channels are last"), ("tokens", "tokens")])
def test_of_unknown_networks_the_remedy_is_told_and_taken_everywhere(kind, words):
    network, layer, transform = unknown(kind)
    inputs = torch.randn(2, 3, SIDE, SIDE)
    expected = small.grad_cam_by_hand(network, layer, inputs, 1, transform)
    for explain in (native, captum, torchcam):
        with pytest.raises(InvalidInputError, match=f"pass reshape_transform= .*{words}"):
            explain(network, layer, inputs)
        found = explain(network, layer, inputs, transform)
        torch.testing.assert_close(found.relu(), expected.relu())
    for find in (measured_grid, receptive_field_grid):
        with pytest.raises(InvalidInputError, match=f"pass reshape= .*{words}"):
            find(network, layer, SIDE)


def native(network, layer, inputs, transform=None):
    library = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    with library.GradCAM(network, [layer], transform) as cam, adapter.native_grid(cam):
        return torch.from_numpy(cam(inputs, [targets.ClassifierOutputTarget(1)] * len(inputs)))


def captum(network, layer, inputs, transform=None):
    library = pytest.importorskip("captum.attr")
    adapter = pytest.importorskip("membrane_xai.integrations.captum")
    method = library.LayerGradCam(network, layer)
    return adapter.attribute_maps(method, inputs, reshape_transform=transform, target=1)


def torchcam(network, layer, inputs, transform=None):
    library = pytest.importorskip("torchcam.methods")
    adapter = pytest.importorskip("membrane_xai.integrations.torchcam")
    with library.GradCAM(network, layer, reshape_transform=transform) as extractor:
        metric = adapter.MembraneActivationPrecision(extractor)
        kept = metric._explain(inputs, 1)
        metric.update(inputs, torch.rand(SIDE, SIDE) < 0.2, 1)
        assert metric.summary()["rows"] == len(inputs)
    return adapter.to_maps(kept)


KNOWN = {
    "swin": (small.small_swin, lambda n: n.layers[-1], lambda x: x.permute(0, 3, 1, 2)),
    "vit": (
        small.small_vit,
        lambda n: n.blocks[-1].norm1,
        lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (4, 4)),
    ),
    "torchvision": (
        small.small_torchvision_vit,
        lambda n: n.encoder.layers[-1].ln_1,
        lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (4, 4)),
    ),
}


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("explain", [native, captum, torchcam])
def test_every_adapter_gives_grad_cam_of_the_definition(name, explain):
    make, layer_of, transform = KNOWN[name]
    network = make()
    layer, inputs = layer_of(network), torch.randn(2, 3, SIDE, SIDE)
    expected = small.grad_cam_by_hand(network, layer, inputs, 1, transform).relu()
    found = explain(network, layer, inputs).relu()
    assert expected.max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize(
    "method", ["GradCAM", "ShapleyCAM", "AblationCAM", "ScoreCAM", "LayerCAM", "EigenCAM", "FEM"]
)
def test_methods_of_pytorch_grad_cam_see_the_same_maps_wherever_channels_are(method):
    """A network that turns channels to the end and back says what the plain one says."""
    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    torch.manual_seed(0)
    stem = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 8, stride=8), torch.nn.Softplus())
    head = [torch.nn.Conv2d(6, 5, 2), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(45, 4)]
    last, back = Last(), Last()
    back.forward = lambda x: x.permute(0, 3, 1, 2)
    plain = torch.nn.Sequential(stem, *head).eval()
    turned = torch.nn.Sequential(stem, last, back, *head).eval()
    inputs, chosen = torch.randn(2, 3, 32, 32), [targets.ClassifierOutputTarget(2)] * 2
    found = []
    for network, layer, transform in ((plain, stem, None), (turned, last, back.forward)):
        make = getattr(library, method)
        with make(network, [layer], transform) as cam, adapter.native_grid(cam):
            found.append(cam(inputs, chosen))
    assert found[0].shape == (2, 4, 4)
    assert found[0].max() > 0
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-5 * found[0].max())


@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_attributions_of_a_layer_are_laid_out_before_channels_are_summed():
    library = pytest.importorskip("captum.attr")
    adapter = pytest.importorskip("membrane_xai.integrations.captum")
    network = small.small_swin()
    layer, inputs = network.layers[-1], torch.randn(2, 3, SIDE, SIDE)
    raw = library.LayerActivation(network, layer).attribute(inputs)
    assert raw.shape == (2, 8, 8, 32)
    found = adapter.attribute_maps(library.LayerActivation(network, layer), inputs)
    torch.testing.assert_close(found, raw.sum(-1).detach())
    method = library.GuidedGradCam(network, layer)
    guided = adapter.attribute_maps(method, inputs.requires_grad_(), target=1)
    assert guided.shape == (2, SIDE, SIDE)


def test_grids_of_known_networks_need_no_reshape():
    network = small.small_swin()
    assert measured_grid(network, network.layers[0], SIDE).spacing == (4, 4)


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ((torch.ones(1, 2, 4, 4),), "layer gives a tuple of 1; it takes maps (N, C, h, w): nam"),
        (torch.ones(1, 7), "layer gives (1, 7); it takes maps (N, C, h, w): name a layer before"),
        (torch.ones(1, 9, 24), "layer gives (1, 9, 24); it takes maps"),
        (torch.ones(1, 4, 4, 24), "layer gives (1, 4, 4, 24); it takes maps"),
    ],
)
def test_what_is_no_map(output, words):
    network = torch.nn.Sequential(torch.nn.Identity())
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        as_maps(output, network, network[0], 32)


@pytest.mark.parametrize("shape", [(1, 4, 4, 4), (1, 24, 4, 5), (1, 8, 1, 8), (2, 3, 6, 6)])
def test_maps_of_unknown_networks_stay_as_they_are(shape):
    network = torch.nn.Sequential(torch.nn.Identity())
    maps = torch.rand(shape)
    assert as_maps(maps, network, network[0], 32) is maps


def test_a_convolution_may_change_the_proportions():
    layer = torch.nn.Conv2d(3, 4, (8, 32), stride=8)
    maps = layer(torch.rand(1, 3, 32, 32))
    assert maps.shape == (1, 4, 4, 1)
    assert as_maps(maps, torch.nn.Sequential(layer), layer, 32) is maps
