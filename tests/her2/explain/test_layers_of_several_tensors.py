"""Layers of several tensors, outputs that are no scores, and targets that are no numbers."""

import re

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("pytorch_grad_cam")

from torch import nn  # noqa: E402

from her2_models.explain import native_cam, predict  # noqa: E402
from her2_models.models import Backbone, _backbone  # noqa: E402
from her2_models.score_cam import ScoreCAM  # noqa: E402

METHODS = ("GradCAM", "ScoreCAM", "EigenCAM", "AblationCAM")
SIDE = 32


class Pair(nn.Module):
    """Gives its maps and a token of the class, as the stages of PiT do."""

    def __init__(self):
        super().__init__()
        self.maps = nn.Conv2d(3, 6, 3, stride=4, padding=1)

    def forward(self, x):
        maps = self.maps(x)
        return maps, maps.mean((2, 3))


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.stage, self.head = Pair(), nn.Linear(6, 4)

    def forward(self, x):
        maps, token = self.stage(x)
        return self.head(torch.relu(maps).mean((2, 3)) + token)


def of(network, layer, read_output=None):
    mean, std = (0.5,) * 3, (0.2,) * 3
    return Backbone("own", "random", network.eval(), layer, "layer", mean, std, read_output)


@pytest.fixture
def pairs():
    torch.manual_seed(0)
    network = Pairs()
    return of(network, network.stage)


@pytest.fixture
def images():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_of_several_tensors_is_refused_with_the_reason(pairs, images, method):
    message = "target_layers[0] gives a tuple of 2; it takes maps (N, C, h, w): name a layer"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        native_cam(pairs, images, method, target=1)


def test_a_transform_serves_methods_without_gradients(pairs, images):
    inner = of(pairs.network, pairs.network.stage.maps)
    for method in ("ScoreCAM", "EigenCAM"):
        found = native_cam(pairs, images, method, target=1, reshape_transform=lambda x: x[0])
        expected = native_cam(inner, images, method, target=1)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    for method in ("GradCAM", "AblationCAM"):
        with pytest.raises(InvalidInputError, match="such as ScoreCAM or EigenCAM"):
            native_cam(pairs, images, method, target=1, reshape_transform=lambda x: x[0])


def test_captum_and_torchcam_refuse_such_layers_too(pairs, images):
    captum = pytest.importorskip("captum.attr")
    from membrane_xai.integrations.captum import attribute_maps

    network, layer = pairs.network, pairs.network.stage
    for name in ("LayerGradCam", "LayerActivation", "LayerGradientXActivation",
                 "LayerIntegratedGradients"):  # fmt: skip
        method = getattr(captum, name)(network, layer)
        target = {} if name == "LayerActivation" else {"target": 1}
        for reshape in (None, lambda x: x[0]):
            with pytest.raises(InvalidInputError, match="layer gives a tuple of 2; it takes maps"):
                attribute_maps(method, images, reshape_transform=reshape, **target)
    methods = pytest.importorskip("torchcam.methods")
    from membrane_xai.integrations.torchcam import MembraneActivationPrecision

    for reshape in (None, lambda x: x[0]):
        with methods.GradCAM(network, layer, reshape_transform=reshape) as extractor:
            metric = MembraneActivationPrecision(extractor)
            with pytest.raises(InvalidInputError, match="layer Pair gives a tuple of 2"):
                metric.update(images, np.ones((SIDE, SIDE), bool), class_idx=1)
    assert not any(module._forward_hooks for module in network.modules())


def test_pit_is_explained_by_the_norm_of_its_last_block():
    """Its stages give the class token beside the maps; the stem is no explanation of it."""
    torch.manual_seed(0)
    network = timm.create_model("pit_ti_224", num_classes=4)
    backbone = _backbone(network, "pit_ti_224", "none", 224)
    assert backbone.target_layer_name == "transformers.2.blocks.3.norm1"
    images = torch.zeros(1, 3, 224, 224)
    images[..., :64, 160:] = 3 * torch.randn(1, 3, 64, 64)
    assert native_cam(backbone, images, "GradCAM", target=1).shape == (1, 7, 7)
    # The norm's maps answer where the input does, in the upper right corner, and not transposed.
    kept = []
    with backbone.target_layer.register_forward_hook(lambda *a: kept.append(a[-1])):
        predict(backbone, images)
        predict(backbone, torch.zeros_like(images))
    moved = (kept[0] - kept[1])[0, 1:].abs().mean(1).reshape(7, 7)
    assert divmod(int(moved.argmax()), 7) in {(r, c) for r in range(3) for c in range(4, 7)}


def head(last):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, stride=4, padding=1)
    return nn.Sequential(layer, nn.ReLU(), nn.AdaptiveAvgPool2d(1), *last), layer


def test_one_number_an_image_is_no_scores(images):
    """A softmax over it would be one over the images of the batch."""
    network, layer = head([nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0)])
    own = of(network, layer)
    with pytest.raises(InvalidInputError, match=re.escape("gives (2,), not scores of shape (N, c")):
        predict(own, images)
    for method in ("GradCAM", "ScoreCAM"):
        with pytest.raises(InvalidInputError, match=re.escape("the network gives (), not scores")):
            native_cam(own, images, method, target=0)
    read = of(network, layer, lambda output: output[:, None])
    assert predict(read, images).tolist() == [[1.0], [1.0]]
    assert native_cam(read, images, "GradCAM", target=0).shape == (2, 8, 8)


def test_scores_with_places_are_not_taken_for_probabilities(images):
    network, layer = head([])  # (N, 4, 1, 1): a softmax over the last axis is 1 everywhere
    with pytest.raises(InvalidInputError, match=re.escape("gives (2, 4, 1, 1), not scores")):
        predict(of(network, layer), images)


@pytest.mark.parametrize("target", ["3+", "1", b"1"])
def test_a_target_that_is_a_word_is_named_whole(images, target):
    network, layer = head([nn.Flatten()])
    message = f"target is {target!r}; it takes the index of a class, an integer"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        native_cam(of(network, layer), images, "GradCAM", target=target)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_traced_networks_predict(images):
    network, layer = head([nn.Flatten()])
    plain = of(network, layer)
    traced = torch.jit.trace(network, images)
    found = predict(of(traced, None), images)
    np.testing.assert_allclose(found, predict(plain, images), rtol=1e-6)
    with pytest.raises(InvalidInputError, match=re.escape("target_layers[0]")):
        native_cam(of(traced, next(traced.children())), images, "GradCAM", target=1)


def test_the_grid_of_user_modules_is_not_told_by_a_name_alone():
    """A norm of its own whose name ends with 2d, and which takes channels last."""
    from membrane_xai.integrations.pytorch import as_maps

    class Norm2d(nn.LayerNorm):
        pass

    norm = Norm2d(8)
    with pytest.raises(InvalidInputError, match=re.escape("it takes maps (N, C, h, w): pass")):
        as_maps(torch.rand(1, 8, 12, 8), nn.Sequential(norm), norm, (32, 48))
    batch_norm = nn.BatchNorm2d(8)  # of PyTorch's own it is known
    assert as_maps(torch.rand(1, 8, 12, 8), batch_norm, batch_norm, (32, 48)).shape[1] == 8


@pytest.mark.parametrize(
    "given", [np.zeros((1, 3, 8, 8)), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)]
)
def test_inputs_that_are_no_tensor_of_real_numbers(given):
    network, layer = head([nn.Flatten()])
    message = f"inputs is {given.dtype}; it takes a tensor of real numbers (N, 3, H, W)"
    for explain in (
        lambda b: predict(b, given),
        lambda b: native_cam(b, given, "LayerCAM", target=0),
    ):
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            explain(of(network, layer))


def test_no_image_at_all(images):
    network, layer = head([nn.Flatten()])
    with pytest.raises(InvalidInputError, match="input_tensor is empty"):
        native_cam(of(network, layer), images[:0], "GradCAM", target=0)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (9, "class_idx is 9; the network has classes 0 to 3"),
        ([0, 9], "class_idx is 9; the network has classes 0 to 3"),
        (-1, "class_idx is -1; the network has classes 0 to 3"),
        ([0], "class_idx has 1 classes for 2 samples"),
    ],
)
def test_classes_that_torchcam_cannot_take(images, classes, message):
    methods = pytest.importorskip("torchcam.methods")
    from membrane_xai.integrations.torchcam import MembraneActivationPrecision

    network, layer = head([nn.Flatten()])
    with methods.GradCAM(network.eval(), layer) as extractor:
        metric = MembraneActivationPrecision(extractor)
        with pytest.raises(InvalidInputError, match=re.escape(message)):
            metric.update(images, np.ones((SIDE, SIDE), bool), class_idx=classes)
        metric.update(images, np.ones((SIDE, SIDE), bool), class_idx=range(2))
    assert metric.summary()["rows"] == 2


def test_one_class_of_score_cam_alone(images):
    network, layer = head([nn.Flatten()])
    cam = ScoreCAM(network.eval(), [layer])
    assert np.array_equal(cam.for_classes(images, 2), cam.for_classes(images, [2]))
