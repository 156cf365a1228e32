"""One small network of each of timm's families: planned, trained, evaluated, on shapes alone."""

import dataclasses
import re
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from safetensors.torch import save_model  # noqa: E402
from timm.models import _registry  # noqa: E402

from her2_models.config import ModelConfig, UnfreezeConfig  # noqa: E402
from her2_models.explain import (  # noqa: E402
    CamExplainer,
    ExplainedImage,
    explain_images,
    native_cam,
    predict,
)
from her2_models.models import (  # noqa: E402
    _backbone,
    create_network,
    her2_backbone,
    layer_groups,
    make_plan,
)
from her2_models.models._head import classifiers, is_of  # noqa: E402
from her2_models.train import save_weights  # noqa: E402
from membrane_xai.errors import InvalidInputError  # noqa: E402

SMALL = """
beit_base_patch16_224 halonet_h1 mobileone_s1 cait_xxs24_224 coat_tiny convit_tiny
convmixer_768_32 convnext_atto_rms cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s
cspnext_tiny davit_tiny deepseek_vit_412m deit_tiny_patch16_224 densenet121 dla46x_c dpn48b
edgenext_xx_small efficientformer_l1 efficientformerv2_s0 mnasnet_small efficientvim_m1
efficientvit_b0 efficientvit_m0 eva02_tiny_patch14_224 fasternet_t0 fastvit_t8
focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0
hiera_tiny_224 sam2_hiera_tiny hrnet_w18_small iformer_t inception_next_atto
inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s lowformer_b0
test_mambaout maxvit_pico_rw_256 poolformerv2_s12 gmlp_ti16_224 mobilenetv3_small_050
mobilenetv5_base mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge
nest_tiny nextvit_small test_nfnet pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m rdnet_tiny
regnety_040_sgn repghostnet_050 repvit_m1 res2next50 resnest14d resnet18 resnetv2_18 rexnet_100
selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18 starnet_s050 swiftformer_xs
swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224
tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny test_vit
vit_tiny_r_s16_p8_224 test_vit_relpos samvit_base_patch16_224 vitamin_small_224 volo_d1_224
ese_vovnet19b_slim_dw legacy_xception xception41p xcit_nano_12_p8_224
""".split()  # noqa: SIM905  # a list would be 98 lines
SIZES = {"sequencer2d_s": 56}  # an LSTM, slow on shapes alone


def families():
    """One network of every module of the timm that is installed."""
    found = defaultdict(list)
    for name in timm.list_models():
        found[_registry._model_to_module[name]].append(name)
    return {family: next((n for n in SMALL if n in names), names[0])
            for family, names in sorted(found.items())}  # fmt: skip


FAMILIES = families()


def on_meta(name, size=None):
    size = size or SIZES.get(name) or timm.get_pretrained_cfg(name).input_size[-1]
    with torch.device("meta"):
        return create_network(ModelConfig(name, "none", 0.3, size)), size


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_predicts_and_says_whether_it_can_be_explained(family):
    network, size = on_meta(FAMILIES[family])
    plan = make_plan(network, UnfreezeConfig(plan="last", groups=1))
    parameters = dict(network.named_parameters())
    names = [group.name for group in plan.groups]
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) for name in names)
    assert sorted(p for group in plan.groups for p in group.parameters) == sorted(parameters)
    # The head is the classifier: all kernels in it are those that have as many outputs as classes.
    kernels = [parameters[n] for n in plan.groups[-1].parameters if parameters[n].ndim > 1]
    assert kernels
    assert {kernel.shape[0] for kernel in kernels} == {4}

    plan.apply(network.train(), 0)
    scores = network(torch.zeros(2, 3, size, size, device="meta"))
    assert scores.shape == (2, 4)
    scores.sum().backward()
    learning = {n for group in plan.groups[-2:] for n in group.parameters}
    with_gradient = {name for name, p in parameters.items() if p.grad is not None}
    assert with_gradient <= learning
    assert any(name in with_gradient for name in plan.groups[-1].parameters)
    assert any(name in with_gradient for name in plan.groups[-2].parameters)

    backbone = _backbone(network, family, "none")
    with torch.no_grad():
        assert backbone.network(torch.zeros(1, 3, size, size, device="meta")).shape == (1, 4)
    assert backbone.target_layer in (None, *network.modules())


def test_layers_beside_the_classifier_are_a_group_of_their_own():
    """conv_head of MobileNetV3 and fc1, fc2 of VGG hold more than half of the network."""
    for name, beside in (("mobilenetv3_small_050", "conv_head"), ("vgg11", "pre_logits.fc1")):
        network, _ = on_meta(name)
        plan = make_plan(network, UnfreezeConfig(plan="head"))
        rows = {row["group"]: row for row in plan.table(network)}
        classifier = network.get_classifier()
        assert rows["total"]["trainable"] == sum(p.numel() for p in classifier.parameters())
        assert rows[beside]["parameters"] > rows["total"]["parameters"] / 2
        assert [group.name for group in plan.groups][-2] == beside


def test_groups_have_names_of_their_own_and_the_head_has_one():
    expected = {
        "volo_d1_224": ["network.4.0", "network.4.1", "post_network.0", "post_network.1", "head"],
        "inception_resnet_v2": ["repeat_2.7", "repeat_2.8", "block8", "classif"],
        "deit_tiny_distilled_patch16_224": ["blocks.10", "blocks.11", "head"],
        "levit_128s": ["stem", "stages.0", "stages.1", "stages.2", "head.linear"],
        "deepseek_vit_412m": ["encoder.blocks.30", "encoder.blocks.31", "head"],
        # timm gives these no groups: they are cut at the stages whose features it gives
        "poolformer_s12": ["stem", "stages.0", "stages.1", "stages.2", "stages.3", "head.fc"],
        "rdnet_tiny": ["stem", "dense_stages.0", "dense_stages.1", "dense_stages.2",
                       "dense_stages.6", "head.fc"],
        "pit_ti_224": ["stem", "transformers.0", "transformers.1", "transformers.2", "head"],
    }  # fmt: skip
    for name, last in expected.items():
        with torch.device("meta"):
            groups = layer_groups(timm.create_model(name, num_classes=4))
        assert [group.name for group in groups][-len(last) :] == last


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_tiny_patch16_224", 96),
        ("swin_tiny_patch4_window7_224", 112),
        ("maxvit_pico_rw_256", 224),
        ("gmlp_ti16_224", 96),
        ("mvitv2_tiny", 96),  # takes it as it is
    ],
)
def test_networks_made_for_one_size_are_made_for_that_of_the_input(name, size):
    network, _ = on_meta(name, size)
    assert network(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        (
            "efficientformer_l1",
            96,
            "model.input_size is 96, which efficientformer_l1 does not",
        ),
        ("vit_tiny_patch16_224", 100, "cuts the input into patches of 16 pixels); it takes 224"),
        ("halonet_h1", 96, "model.input_size is 96, which halonet_h1 does not take (AssertionErro"),
        ("gemma4_vit_167m_enc", 224, "model.backbone is 'gemma4_vit_167m_enc', which cannot be tr"),
        ("deepseek_vit_412m_enc", 546, "with nothing as its classifier"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name_and_reason(name, size, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        on_meta(name, size)


def test_a_network_that_gives_no_scores_in_training_is_refused(monkeypatch):
    kind = timm.models.resnet.ResNet
    forward = kind.forward
    monkeypatch.setattr(kind, "forward", lambda self, x: (forward(self, x), x))
    message = r"'resnet10t', which cannot be trained here: it gives tuple, no tensor of scores"
    with pytest.raises(InvalidInputError, match=message):
        on_meta("resnet10t", 64)


def test_trying_a_network_draws_nothing():
    torch.manual_seed(0)
    timm.create_model("resnet10t", num_classes=4, drop_rate=0.3)
    after = torch.rand(1)
    torch.manual_seed(0)
    create_network(ModelConfig("resnet10t", "none", 0.3, 64))
    assert torch.equal(torch.rand(1), after)


@pytest.mark.parametrize(
    "name", ["levit_128s", "efficientformerv2_s0", "deit_tiny_distilled_patch16_224", "test_vit"]
)
def test_heads_of_files_may_have_other_classes_also_where_there_are_two(name, tmp_path):
    whole = timm.create_model(name)
    save_model(whole, tmp_path / "imagenet.safetensors")
    size = whole.default_cfg["input_size"][-1]
    network = create_network(ModelConfig(name, str(tmp_path / "imagenet.safetensors"), 0.3, size))
    heads = classifiers(network)
    own, theirs = network.state_dict(), whole.state_dict()
    same = {key for key in own if own[key].shape == theirs[key].shape}
    assert all(torch.equal(own[key], theirs[key]) for key in same if not is_of(key, heads))
    other = own.keys() - same
    assert {key.rpartition(".")[0] for key in other} == set(heads)
    assert {own[key].shape[0] for key in other} == {4}


def test_positions_of_a_file_are_fitted_to_the_size_of_the_input(tmp_path):
    whole = timm.create_model("vit_tiny_patch16_224")
    torch.nn.init.normal_(whole.pos_embed)
    save_model(whole, tmp_path / "imagenet.safetensors")
    told = ModelConfig("vit_tiny_patch16_224", str(tmp_path / "imagenet.safetensors"), 0.3, 96)
    network = create_network(told)
    assert network.pos_embed.shape == (1, 37, 192)
    fitted = timm.layers.resample_abs_pos_embed(whole.pos_embed, (6, 6), num_prefix_tokens=1)
    torch.testing.assert_close(network.pos_embed, fitted)
    assert torch.equal(network.blocks[3].attn.qkv.weight, whole.blocks[3].attn.qkv.weight)


@pytest.mark.parametrize("name", ["mvitv2_tiny", "twins_svt_small"])
def test_predicting_needs_no_target_layer_and_explaining_says_that_there_is_none(name, tmp_path):
    config = ModelConfig(name, "none", 0.3, 64)
    save_model(create_network(config), tmp_path / "weights.safetensors")
    trained = her2_backbone(config, tmp_path / "weights.safetensors")
    backbone = dataclasses.replace(trained, target_layer=None, target_layer_name="")
    tensor = backbone.to_input(np.zeros((64, 64, 3), np.uint8), 64)
    assert predict(backbone, tensor).shape == (1, 4)
    message = f"backbone is {name}, which predicts and cannot be explained"
    with pytest.raises(InvalidInputError, match=message):
        native_cam(backbone, tensor, "GradCAM", target=0)
    with pytest.raises(InvalidInputError, match=message):
        CamExplainer(backbone, "ScoreCAM", 64)
    image = tmp_path / "a.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(image)
    with pytest.raises(InvalidInputError, match=message):
        explain_images(
            backbone, [ExplainedImage(image, mpp=0.5)], out=tmp_path / "out", input_size=64
        )
    assert not (tmp_path / "out").exists()


def test_layers_that_share_their_weights_are_written_and_read(tmp_path):
    config = ModelConfig("coat_tiny", "none", 0.3, 224)
    network = create_network(config)
    assert len(network.state_dict()) > len(dict(network.named_parameters()))
    save_weights(tmp_path / "weights.safetensors", network.state_dict(), {})
    again = her2_backbone(config, tmp_path / "weights.safetensors").network
    own = network.state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in again.state_dict().items())
