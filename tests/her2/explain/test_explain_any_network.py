"""`native_cam`, Score-CAM and `her2 explain` on ViT and Swin, frozen, half and wrapped networks."""

import json
import re

import numpy as np
import pytest
from network_state import in_training, network_state

from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("pytorch_grad_cam")

import small_networks as small  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from her2_models.config import ModelConfig  # noqa: E402
from her2_models.explain import CamExplainer, cam_methods, native_cam, predict  # noqa: E402
from her2_models.explain._cams import scores_of  # noqa: E402
from her2_models.models import Backbone, create_network, her2_backbone, register  # noqa: E402
from her2_models.models._target import target_layer_name  # noqa: E402
from her2_models.score_cam import ScoreCAM  # noqa: E402

SIDE = 64


def backbone_of(network, layer, **options):
    return Backbone("small", "random", network, layer, "", (0.5,) * 3, (0.2,) * 3, **options)


def convolutional(inplace=False):
    torch.manual_seed(0)
    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, 4, 1), nn.BatchNorm2d(8), nn.ReLU(inplace), nn.Conv2d(8, 6, 3)
    )
    head = [nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(24, 4)]
    network = nn.Sequential(features, *head).eval()
    return network, features[1]


@pytest.fixture
def inputs():
    return torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


# ViT, Swin and their like


def saved(name, tmp_path, size):
    config = ModelConfig(name, "none", 0.0, size)
    torch.manual_seed(0)
    weights = {k: v.contiguous() for k, v in create_network(config).state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    return her2_backbone(config, tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("name", "layer", "cells"),
    [("test_vit", "blocks.5.norm1", 10), ("test_mambaout", "stages.3", 5)],
)
def test_a_trained_network_is_explained_as_it_is(tmp_path, name, layer, cells):
    backbone, images = saved(name, tmp_path, 160), torch.randn(2, 3, 160, 160)
    assert backbone.target_layer_name == layer
    transform = {
        "test_vit": lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (10, 10)),
        "test_mambaout": lambda x: x.permute(0, 3, 1, 2),
    }[name]
    expected = small.grad_cam_by_hand(backbone.network, backbone.target_layer, images, 1, transform)
    assert expected.relu().max() > 0
    found = native_cam(backbone, images, "GradCAM", target=1)
    np.testing.assert_allclose(found, expected.relu(), atol=1e-5 * float(expected.max()))
    options = {"max_channels": 2}
    by_score = native_cam(backbone, images[:1], "ScoreCAM", target=1, **options)
    told = native_cam(
        backbone, images[:1], "ScoreCAM", target=1, reshape_transform=transform, **options
    )
    assert by_score.shape == (1, cells, cells)
    np.testing.assert_array_equal(by_score, told)
    explain = CamExplainer(backbone, "GradCAM", 160)
    assert explain.grid.cells == (cells, cells)


@pytest.mark.parametrize("method", sorted(cam_methods()))
@pytest.mark.parametrize("make", [small.small_swin, small.small_vit])
def test_every_method_explains_transformers(make, method, inputs):
    network = make()
    layer = network.get_submodule(target_layer_name(network, SIDE))
    before = network_state(network)
    options = {"max_channels": 2} if method == "ScoreCAM" else {}
    found = native_cam(backbone_of(network, layer), inputs, method, target=1, **options)
    side = 8 if make is small.small_swin else 4
    assert found.shape == (2, side, side)
    assert np.isfinite(found).all()
    assert network_state(network) == before


def test_a_map_of_a_swin_is_registered_where_its_patches_lie():
    network = small.small_swin()
    found = register(network, network.layers[0], SIDE)
    assert found.grid.cells == (16, 16)
    assert found.grid.spacing == (4, 4)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: timm.create_model("test_resnet"), "layer4"),
        (lambda: timm.create_model("test_efficientnet"), "blocks.4"),
        (small.small_swin, "layers.1"),
        (small.small_vit, "blocks.1.norm1"),
        (lambda: small.small_vit("deit_tiny_distilled_patch16_224"), "blocks.1.norm1"),
        (small.small_hiera, "blocks.4"),
        (small.small_sam, "blocks.1"),
    ],
)
def test_the_target_layer(make, name):
    network = make()
    before = network_state(network)
    size = network.default_cfg["input_size"][1] if name in ("layer4", "blocks.4") else SIDE
    assert target_layer_name(network, 64 if name == "blocks.4" else size) == name
    assert network_state(network) == before


def test_a_network_without_a_map_predicts_and_says_that_it_is_not_explained(inputs):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE * SIDE, 4)).eval()
    assert target_layer_name(network, SIDE) == ""
    backbone = backbone_of(network, None)
    assert predict(backbone, inputs).shape == (2, 4)
    for explain in (
        lambda: native_cam(backbone, inputs, "GradCAM", target=0),
        lambda: CamExplainer(backbone, "GradCAM", SIDE),
    ):
        with pytest.raises(InvalidInputError, match="backbone is small, which predicts and cannot"):
            explain()


# Given back as it was


@pytest.mark.parametrize("method", sorted(cam_methods()))
def test_a_network_in_training_is_given_back(method, inputs):
    network, layer = convolutional()
    expected = native_cam(backbone_of(network, layer), inputs, "GradCAM", target=0)
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    in_training(network, inputs)
    network.load_state_dict(weights)
    before = network_state(network)
    found = native_cam(backbone_of(network, layer), inputs, method, target=0)
    assert network_state(network) == before
    if method == "GradCAM":  # in evaluation mode meanwhile
        np.testing.assert_allclose(found, expected, atol=1e-6)
    with pytest.raises(InvalidInputError):
        native_cam(backbone_of(network, layer), inputs, method, target=9) if method not in (
            "EigenCAM", "FEM", "KPCA_CAM", "SegEigenCAM"
        ) else native_cam(backbone_of(network, layer), inputs, method, target=1.0)  # fmt: skip
    assert network_state(network) == before
    predict(backbone_of(network, layer), inputs)
    CamExplainer(backbone_of(network, layer), method, SIDE)
    assert network_state(network) == before


# Frozen, half, compiled


def kinds():
    def frozen(network):
        return network.requires_grad_(False)

    def backbone_frozen(network):
        network[0].requires_grad_(False)
        return network

    return {"frozen": frozen, "backbone frozen": backbone_frozen}


@pytest.mark.parametrize(
    "method", ["GradCAM", "LayerCAM", "XGradCAM", "GradCAMPlusPlus", "ScoreCAM"]
)
@pytest.mark.parametrize("kind", kinds())
def test_frozen_networks(kind, method, inputs):
    network, layer = convolutional()
    expected = native_cam(backbone_of(network, layer), inputs, method, target=1)
    found = native_cam(backbone_of(kinds()[kind](network), layer), inputs, method, target=1)
    assert expected.max() > 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("method", ["GradCAM", "ShapleyCAM", "ScoreCAM", "AblationCAM"])
def test_modes_and_precisions(method, inputs):
    network, layer = convolutional()
    backbone = backbone_of(network, layer)
    expected = native_cam(backbone, inputs, method, target=1)
    assert expected.max() > 0
    for mode in (torch.no_grad(), torch.inference_mode()):
        with mode:
            given = inputs.clone()  # an inference tensor in the second
            np.testing.assert_array_equal(native_cam(backbone, given, method, target=1), expected)
    limit = 0.15 * expected.max()  # bfloat16 has three digits, of which differences keep two
    with torch.autocast("cpu", torch.bfloat16):
        found = native_cam(backbone, inputs, method, target=1)
    half = backbone_of(*halved())
    for one in (found, native_cam(half, inputs, method, target=1)):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, expected, atol=limit)
    np.testing.assert_allclose(predict(half, inputs), predict(backbone, inputs), atol=0.02)


def halved():
    network, layer = convolutional()
    return network.bfloat16(), layer


@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM"])
def test_compiled_networks(method, inputs):
    if not hasattr(torch.compiler, "set_stance"):
        pytest.skip("PyTorch older than 2.6")
    network, layer = convolutional()
    expected = native_cam(backbone_of(network, layer), inputs, method, target=1)
    compiled = torch.compile(network, backend="eager")
    compiled(inputs)
    found = native_cam(backbone_of(compiled, layer), inputs, method, target=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)


# Outputs, targets, layers


class Wrapped(nn.Module):
    def __init__(self, network, wrap):
        super().__init__()
        self.network, self.wrap = network, wrap

    def forward(self, x):
        return self.wrap(self.network(x))


@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM"])
@pytest.mark.parametrize(
    ("wrap", "read", "name"),
    [
        (lambda x: {"logits": x}, lambda out: out["logits"], "dict of logits"),
        (lambda x: (x, None), lambda out: out[0], "tuple of 2"),
        (lambda x: [x, -x], lambda out: out[0], "list of 2"),
    ],
)
def test_what_a_network_gives_is_read(method, wrap, read, name, inputs):
    network, layer = convolutional()
    plain = backbone_of(network, layer)
    expected = native_cam(plain, inputs, method, target=1)
    wrapped = Wrapped(network, wrap).eval()
    backbone = backbone_of(wrapped, layer, read_output=read)
    np.testing.assert_allclose(native_cam(backbone, inputs, method, target=1), expected, atol=1e-6)
    np.testing.assert_array_equal(predict(backbone, inputs), predict(plain, inputs))
    silent = backbone_of(wrapped, layer)
    given = native_cam(silent, inputs, method, target=1, read_output=read)
    np.testing.assert_allclose(given, expected, atol=1e-6)
    for call in (
        lambda: native_cam(silent, inputs, method, target=1),
        lambda: predict(silent, inputs),
        lambda: ScoreCAM(wrapped, [layer]).native(inputs),
    ):
        with pytest.raises(InvalidInputError, match=f"the network gives a {name}, .*read_output="):
            call()
    explain = CamExplainer(backbone, method, SIDE, every_class=True)
    cams = explain(np.zeros((1, 32, 32, 3), np.uint8), ["0"])
    assert list(cams) == ["0", "1+", "2+", "3+"]


@pytest.mark.parametrize("target", [1.0, [1.0, 2.0], np.array([0.0, 1.0]), "1", True, None])
@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM"])
def test_a_target_that_is_no_index(target, method, inputs):
    with pytest.raises(InvalidInputError, match="it takes the index of a class, an integer"):
        native_cam(backbone_of(*convolutional()), inputs, method, target=target)


def test_targets_of_other_libraries():
    for target in (2, np.int64(2), torch.tensor(2), [2, 2], np.array([2, 2]), torch.tensor([2, 2])):
        scores = scores_of(target, 2)
        assert [score(torch.arange(4)).item() for score in scores] == [2, 2]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c, x: c.for_classes(x, [1.0]), "classes is 1.0; it takes the index"),
        (lambda c, x: c(x, [1, 2]), "targets has 1; it takes functions"),
        (lambda c, x: c(x, chosen(1.5)), "category is 1.5; it takes the index of a class"),
    ],
)
def test_targets_of_score_cam(call, words, inputs):
    network, layer = convolutional()
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        call(ScoreCAM(network, [layer]), inputs)


def chosen(category):
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    return [targets.ClassifierOutputTarget(category)] * 2


@pytest.mark.parametrize("layers", [lambda n: n[0], lambda n: n[0][0], lambda n: [], lambda n: "0"])
def test_a_layer_is_no_list_of_layers(layers):
    network, _ = convolutional()
    before = network_state(network)
    with pytest.raises(InvalidInputError, match=r"target_layers is .*; it takes a list of layers"):
        ScoreCAM(network, layers(network))
    with pytest.raises(InvalidInputError, match=r"target_layers has '0'; it takes torch\.nn\.Mod"):
        ScoreCAM(network, ["0"])
    assert network_state(network) == before


@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM", "EigenCAM", "LayerCAM"])
def test_a_relu_in_place_does_not_change_the_map_of_the_layer_before(method, inputs):
    plain, inplace = (
        native_cam(backbone_of(*convolutional(kind)), inputs, method, target=1)
        for kind in (False, True)
    )
    np.testing.assert_allclose(inplace, plain, atol=1e-6 * plain.max())


# The command


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(("name", "cells"), [("test_vit", 10), ("test_mambaout", 5)])
def test_her2_explain_of_a_trained_transformer(name, cells, tmp_path, capsys):
    pytest.importorskip("lightning")
    from her2_models.cli import main
    from membrane_xai.study import read_study, read_view

    sets = [
        "data.synthetic.slides={train: 2, val: 1, test: 1}", "data.synthetic.patches_per_slide=1",
        f"model.backbone={name}", "model.weights=none", "model.input_size=160",
        "unfreeze.plan=full", "train.epochs=1", "train.tensorboard=false",
    ]  # fmt: skip
    run, options = tmp_path / name, [part for one in sets for part in ("--set", one)]
    assert main(["train", "--config", "demo", *options, "--out", str(run), "--draws", "100"]) == 0
    command = ["explain", str(run), "--methods", "GradCAM", "ScoreCAM", "--max-channels", "2",
               "--no-perturbations", "--draws", "100", "--json"]  # fmt: skip
    capsys.readouterr()
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert f"{160 / cells:g}" in told["cam_grid"]
    study = read_study(run / "explained")
    rows = study.rows
    assert {row["status"] for row in rows} <= {"ok", "no_activation", "empty_mask"}
    assert any(row["status"] == "ok" for row in rows)
    for row in rows:
        view = read_view(run / "explained", row["key"])
        assert view.maps[row["method"]][row["class"]].shape == (cells, cells)


def test_a_swin_is_predicted_explained_and_scored(tmp_path):
    from PIL import Image

    from her2_models.explain import ExplainedImage, explain_images
    from membrane_xai.datasets import synthetic_her2
    from membrane_xai.study import read_view

    network = small.small_swin()
    torch.nn.init.normal_(network.get_classifier().weight)
    name = target_layer_name(network, SIDE)
    images = []
    for seed, grade in enumerate(("2+", "3+")):
        path = tmp_path / f"{seed}.png"
        Image.fromarray(synthetic_her2(grade, size=128, mpp=0.5, seed=seed).rgb).save(path)
        images.append(ExplainedImage(path, grade, f"slide {seed}", 0.5))
    backbone = backbone_of(network, network.get_submodule(name))
    found = explain_images(
        backbone, images, ("GradCAM",), out=tmp_path / "out", input_size=SIDE, draws=100
    )
    assert found.registration.grid.cells == (8, 8)
    for row, image in zip(found.images, images, strict=True):
        assert row["status"] == "ok"
        inputs = backbone.to_input(np.asarray(Image.open(image.path)), SIDE)
        target = ["0", "1+", "2+", "3+"].index(row["class"])
        layer = backbone.target_layer
        expected = small.grad_cam_by_hand(
            network, layer, inputs, target, lambda x: x.permute(0, 3, 1, 2)
        )
        cam = read_view(tmp_path / "out", row["key"]).maps["GradCAM"][row["class"]]
        np.testing.assert_allclose(cam, expected[0].relu(), atol=1e-3 * float(expected.max()))
