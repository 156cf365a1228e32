"""Networks of any kind under the adapters: given back as they were, frozen, half, compiled."""

import re
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest
import small_networks as small
import torch
from network_state import in_training, network_state
from torch import nn

from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import measured_grid, receptive_field_grid, unchanged

SIDE = 32


def make(inplace=False):
    torch.manual_seed(0)
    stem = [nn.Conv2d(3, 6, 3, stride=4, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace)]
    features = nn.Sequential(*stem, nn.Conv2d(6, 5, 3))
    head = [nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(20, 4)]
    return nn.Sequential(features, *head).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def native(network, layer, images, method="GradCAM", target=1, **options):
    library = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    chosen = [targets.ClassifierOutputTarget(target)] * len(images)
    with getattr(library, method)(network, [layer]) as cam, adapter.native_grid(cam, **options):
        return torch.from_numpy(cam(images, chosen))


def captum(network, layer, images, method="LayerGradCam", target=1, **options):
    library = pytest.importorskip("captum.attr")
    adapter = pytest.importorskip("membrane_xai.integrations.captum")
    found = getattr(library, method)(network, layer)
    return adapter.attribute_maps(found, images, target=target, **options)


def torchcam(network, layer, images, method="GradCAM", target=1, **options):
    library = pytest.importorskip("torchcam.methods")
    adapter = pytest.importorskip("membrane_xai.integrations.torchcam")
    with getattr(library, method)(network, layer) as extractor:
        metric = adapter.MembraneActivationPrecision(extractor, **options)
        metric.update(images, torch.rand(SIDE, SIDE) < 0.2, target)
        assert metric.summary()["rows"] == len(images)
        return adapter.to_maps(metric._explain(images, target))


ADAPTERS = [native, captum, torchcam]


def by_hand(network, images, layer=None, target=1):
    layer = network[0][1] if layer is None else layer
    found = small.grad_cam_by_hand(network, layer, images, target, lambda x: x)
    assert found.max() > 0
    return found.relu()


def close(found, expected, tolerance=1e-5):
    torch.testing.assert_close(
        found.relu(), expected, rtol=0, atol=tolerance * float(expected.max())
    )


# Given back as it was


@pytest.mark.parametrize("explain", ADAPTERS)
def test_a_network_in_training_is_explained_in_evaluation_mode_and_left_alone(explain, images):
    expected = by_hand(make(), images)
    network = in_training(make(), images)
    network.load_state_dict(make().state_dict())
    if explain is native:  # whose library's constructor leaves it in evaluation mode
        network.eval()
    before, given = network_state(network), images.clone().requires_grad_()
    close(explain(network, network[0][1], given), expected)
    assert network_state(network) == before
    assert given.grad is None


@pytest.mark.parametrize("explain", ADAPTERS)
def test_a_network_is_left_alone_after_an_exception(explain, images):
    network = in_training(make(), images)
    if explain is native:
        network.eval()
    before = network_state(network)
    with pytest.raises((InvalidInputError, AssertionError, RuntimeError, IndexError)):
        explain(network, network[0][1], images, target=7)
    assert network_state(network) == before


def test_modes_are_put_back_after_the_library_s_own_training_mode(images):
    network = make()
    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    expected = by_hand(network, images)
    with library.GradCAM(network, [network[0][1]]) as cam, adapter.native_grid(cam):
        network.train()
        before = network_state(network)
        found = cam(images, [lambda output: output[1]] * 2)
        assert network_state(network) == before
    close(torch.from_numpy(found), expected)


@pytest.mark.parametrize("method", ["AblationCAM", "ScoreCAM", "ShapleyCAM", "EigenCAM"])
def test_parts_hooks_and_gradients_after_other_methods(method, images):
    network = in_training(make(), images).eval()
    before = network_state(network)
    native(network, network[0][1], images, method)
    assert network_state(network) == before
    fails = iter([False] * 3)  # the original scores, and the first of a channel's

    def target(output):
        if next(fails, True):
            raise ZeroDivisionError
        return output[1]

    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    targets = {"EigenCAM": [], "ShapleyCAM": [lambda _: 1 / 0]}.get(method, [target])
    for one in targets:
        with (
            library.__dict__[method](network, [network[0][1]]) as cam,
            adapter.native_grid(cam),
            pytest.raises(ZeroDivisionError),
        ):
            cam(images, [one] * 2)
    assert network_state(network) == before


@pytest.mark.parametrize("find", [measured_grid, receptive_field_grid])
def test_where_cells_lie_is_found_without_a_trace(find, images):
    network = in_training(make(), images)
    before = network_state(network)
    with torch.inference_mode():
        find(network, network[0][0], 64)
    assert network_state(network) == before
    with pytest.raises(InvalidInputError):
        find(network, network[-1], 64)
    assert network_state(network) == before


def test_unchanged_puts_back_what_an_exception_leaves(images):
    network = in_training(make(), images)
    before = network_state(network)
    kept = network[0].register_forward_hook(lambda *a: None)
    with pytest.raises(ZeroDivisionError):
        alter(network)
    assert list(network[0]._forward_hooks) == [kept.id]
    kept.remove()
    assert network_state(network) == before


def alter(network):
    with unchanged(network):
        assert not any(module.training for module in network.modules())
        network[0].register_forward_hook(lambda *a: None)
        network[0].register_full_backward_hook(lambda *a: None)
        network.requires_grad_(False)
        network[0][0].train()
        network[0][1] = nn.Identity()
        raise ZeroDivisionError


# Frozen, without gradients, in half precision, compiled


@pytest.mark.parametrize("explain", ADAPTERS)
@pytest.mark.parametrize("frozen", ["all", "backbone", "head"])
def test_frozen_networks(explain, frozen, images):
    network = make()
    expected = by_hand(network, images)
    {"all": network, "backbone": network[0], "head": network[-1]}[frozen].requires_grad_(False)
    close(explain(network, network[0][1], images), expected)
    assert network[-1].weight.requires_grad == (frozen == "backbone")


@pytest.mark.parametrize("explain", ADAPTERS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_gradients_are_off(explain, mode, images):
    network = make()
    expected = by_hand(network, images)
    with mode():
        close(explain(network, network[0][1], images.clone()), expected)


@pytest.mark.parametrize("explain", ADAPTERS)
def test_half_precision(explain, images):
    expected = by_hand(make(), images)
    network = make()
    with torch.autocast("cpu", torch.bfloat16):
        found = explain(network, network[0][1], images)
    close(found.float(), expected, 0.05)
    network = make().bfloat16()
    found = explain(network, network[0][1], images)
    close(found.float(), expected, 0.05)
    if explain is not captum:  # which keeps the precision of the network
        assert found.dtype == torch.float32
    membrane = np.zeros((SIDE, SIDE), bool)
    membrane[:8] = True
    from membrane_xai import map_score

    assert np.isfinite(np.asarray(map_score(found, membrane))).all()


@pytest.mark.parametrize("explain", ADAPTERS)
def test_compiled_networks(explain, images):
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("PyTorch older than 2.6")
    network = make()
    expected = by_hand(network, images)
    compiled = torch.compile(network, backend="eager")
    compiled(images)
    close(explain(compiled, network[0][1], images), expected)


class Detached(nn.Module):
    def forward(self, x):
        return x.detach()


@pytest.mark.parametrize("explain", [native, torchcam])
def test_a_layer_to_which_no_gradient_comes(explain, images):
    network = make()
    cut = nn.Sequential(network[0], Detached(), *list(network)[1:]).eval()
    with pytest.raises(InvalidInputError, match="no gradient of the score comes to the target"):
        explain(cut, network[0], images)


# The layer's own output


@pytest.mark.parametrize("explain", ADAPTERS)
def test_a_relu_in_place_does_not_change_the_map_of_the_layer_before(explain, images):
    expected = by_hand(make(), images)
    network = make(inplace=True)
    close(explain(network, network[0][1], images), expected)
    if explain is torchcam:
        return
    method = {native: "EigenCAM", captum: "LayerActivation"}[explain]
    options = {"target": None} if explain is captum else {}
    plain, inplace = make(), make(inplace=True)
    if explain is captum:
        library = pytest.importorskip("captum.attr")
        adapter = pytest.importorskip("membrane_xai.integrations.captum")
        found, expected = (
            adapter.attribute_maps(library.LayerActivation(one, one[0][1]), images)
            for one in (inplace, plain)
        )
    else:
        found, expected = (
            native(one, one[0][1], images, method, **options) for one in (inplace, plain)
        )
    torch.testing.assert_close(found, expected)


# Outputs


@dataclass
class Output:
    logits: torch.Tensor


class Gives(nn.Module):
    """A network whose output is wrapped."""

    def __init__(self, wrap):
        super().__init__()
        self.network, self.wrap = make(), wrap
        self.eval()

    def forward(self, x):
        return self.wrap(self.network(x))


OUTPUTS = {
    "dict": (lambda x: {"logits": x, "loss": None}, lambda out: out["logits"]),
    "OrderedDict": (lambda x: OrderedDict(logits=x), lambda out: out["logits"]),
    "tuple": (lambda x: (x, x), lambda out: out[0]),
    "list": (lambda x: [x, -x], lambda out: out[0]),
    "dataclass": (Output, lambda out: out.logits),
}


@pytest.mark.parametrize("explain", ADAPTERS)
@pytest.mark.parametrize("kind", OUTPUTS)
def test_what_is_no_tensor_is_read_or_refused(explain, kind, images):
    wrap, read = OUTPUTS[kind]
    network = Gives(wrap)
    layer = network.network[0][1]
    close(explain(network, layer, images, read_output=read), by_hand(make(), images))
    name = "Output" if kind == "dataclass" else kind
    with pytest.raises(InvalidInputError, match=f"the network gives a {name}.*read_output="):
        explain(network, layer, images)
    with pytest.raises(InvalidInputError, match="read_output gives a"):
        explain(network, layer, images, read_output=lambda out: [out])


def test_detectors_give_a_list_with_one_element_for_each_image(images):
    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    network = Gives(lambda x: [{"scores": one} for one in x])
    layer = network.network[0][1]
    with library.GradCAM(network, [layer]) as cam, adapter.native_grid(cam):
        found = cam(images, [lambda output: output["scores"][1]] * 2)
    close(torch.from_numpy(found), by_hand(make(), images))


# Targets and layers


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ([1, 2], "targets has 1; it takes functions"),
        ([lambda out: out[0]], "targets has 1 elements; it takes one for each of 2 images"),
        ([lambda out: out[9]] * 2, "targets do not fit what the network gives"),
        ([lambda out: out[1.0]] * 2, "targets do not fit what the network gives"),
    ],
)
def test_targets_of_pytorch_grad_cam(targets, words, images):
    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    network = make()
    with library.GradCAM(network, [network[0][1]]) as cam, adapter.native_grid(cam):
        with pytest.raises(InvalidInputError, match=re.escape(words)):
            cam(images, targets)
        with pytest.raises(InvalidInputError, match="input_tensor is a ndarray"):
            cam(images.numpy(), None)


@pytest.mark.parametrize("explain", [captum, torchcam])
@pytest.mark.parametrize("target", [1.0, [0.0, 1.0], torch.tensor([0.0, 1.0]), np.float64(1)])
def test_classes_that_are_floats(explain, target, images):
    network = make()
    with pytest.raises(InvalidInputError, match="it takes the index of a class, an integer"):
        explain(network, network[0][1], images, target=target)


@pytest.mark.parametrize("target", [np.int64(1), torch.tensor(1), torch.tensor([1, 1])])
def test_classes_that_are_integers_of_other_libraries(target, images):
    network = make()
    expected = by_hand(network, images)
    close(torchcam(network, network[0][1], images, target=target), expected)


def test_a_layer_is_no_list_of_layers(images):
    library = pytest.importorskip("pytorch_grad_cam")
    adapter = pytest.importorskip("membrane_xai.integrations.pytorch_grad_cam")
    network = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Flatten())
    with library.GradCAM(network, network[0]) as cam:  # explains the child
        message = "target_layers Sequential; it takes a list of layers: [layer]"
        with pytest.raises(InvalidInputError, match=re.escape(message)), adapter.native_grid(cam):
            pass
