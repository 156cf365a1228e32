"""Which layers learn: counted by hand on ResNet50, and bit by bit after training."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")

from her2_models.config import UnfreezeConfig  # noqa: E402
from her2_models.models import layer_groups, make_plan  # noqa: E402
from membrane_xai.errors import InvalidInputError  # noqa: E402


def resnet(name="resnet18"):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=4, drop_rate=0.3)


def learning(plan, epoch=0):
    return [g.name for g, learns in zip(plan.groups, plan.learns(epoch), strict=True) if learns]


def step(network, plan, epoch=0, size=64):
    """One step of training as the module does it."""
    plan.apply(network, epoch)
    network.train()
    plan.eval_frozen(network)
    optimizer = torch.optim.Adam(plan.parameter_groups(network, 1e-2, 1e-2))
    torch.manual_seed(1)
    network(torch.randn(4, 3, size, size)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({}, ["layer3", "layer4", "fc"]),
        ({"plan": "head"}, ["fc"]),
        ({"plan": "last", "groups": 1}, ["layer4", "fc"]),
        ({"plan": "last", "groups": 5}, ["stem", "layer1", "layer2", "layer3", "layer4", "fc"]),
        ({"plan": "full"}, ["stem", "layer1", "layer2", "layer3", "layer4", "fc"]),
    ],
)
def test_plans_of_a_resnet(config, names):
    assert learning(make_plan(resnet(), UnfreezeConfig(**config))) == names


def test_the_gradual_plan_goes_by_its_schedule():
    config = UnfreezeConfig(plan="gradual", schedule={0: 0, 2: 1, 5: 3})
    plan = make_plan(resnet(), config)
    assert plan.changes
    expected = {0: 1, 1: 1, 2: 2, 4: 2, 5: 4, 9: 4}
    assert {epoch: len(learning(plan, epoch)) for epoch in expected} == expected
    assert not make_plan(resnet()).changes


def test_trainable_parameters_of_resnet50_counted_by_hand():
    """Torchvision documents 25 557 032 parameters for its ResNet50, which has 1000 classes."""
    network = resnet("resnet50")
    plan = make_plan(network)
    rows = {row["group"]: row for row in plan.table(network)}
    assert rows["layer3"]["trainable"] == 7_098_368
    assert rows["layer4"]["trainable"] == 14_964_736
    assert rows["fc"]["trainable"] == 2048 * 4 + 4
    assert rows["total"]["trainable"] == 7_098_368 + 14_964_736 + 8196
    assert rows["total"]["parameters"] == 25_557_032 - 2_049_000 + 8196
    plan.apply(network, 0)
    learns = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert learns == rows["total"]["trainable"]


@pytest.mark.parametrize(
    "name",
    ["resnet18", "densenet121", "convnext_atto", "tf_efficientnet_lite0", "vit_tiny_patch16_224"],
)  # fmt: skip
def test_groups_cover_every_parameter_once_and_end_with_the_head(name):
    network = timm.create_model(name, num_classes=4)
    groups = layer_groups(network)
    named = [parameter for group in groups for parameter in group.parameters]
    assert sorted(named) == sorted(name for name, _ in network.named_parameters())
    assert len({group.name for group in groups}) == len(groups)
    assert groups[0].name == "stem"
    head = network.get_classifier().weight
    parameters = dict(network.named_parameters())
    assert any(parameters[name] is head for name in groups[-1].parameters)


def test_frozen_parameters_and_statistics_stay_bit_by_bit():
    network = resnet()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for _ in range(3):
        step(network, make_plan(network))
    changed = {
        n.split(".")[0] for n, t in network.state_dict().items() if not torch.equal(t, before[n])
    }
    assert changed == {"layer3", "layer4", "fc"}
    moved = network.state_dict()
    assert not torch.equal(moved["layer3.0.bn1.running_mean"], before["layer3.0.bn1.running_mean"])


def test_batch_norm_of_frozen_layers_goes_on_where_asked():
    network = resnet()
    before = network.layer1[0].bn1.running_mean.clone()
    weight = network.layer1[0].conv1.weight.clone()
    step(network, make_plan(network, UnfreezeConfig(freeze_batch_norm=False)))
    assert not torch.equal(network.layer1[0].bn1.running_mean, before)
    assert torch.equal(network.layer1[0].conv1.weight, weight)


def test_the_frozen_prefix_has_no_graph():
    network = resnet()
    make_plan(network).apply(network, 0)
    outputs = {}
    for name in ("layer2", "layer3"):
        network.get_submodule(name).register_forward_hook(
            lambda *a, name=name: outputs.update({name: a[-1]})
        )
    network(torch.randn(2, 3, 64, 64))
    assert outputs["layer2"].grad_fn is None
    assert outputs["layer3"].grad_fn is not None


def test_groups_that_do_not_learn_yet_are_not_decayed():
    network = resnet()
    plan = make_plan(network, UnfreezeConfig(plan="gradual", schedule={0: 0, 1: 1}))
    before = network.layer4[0].conv1.weight.clone()
    step(network, plan, epoch=0)
    assert torch.equal(network.layer4[0].conv1.weight, before)
    step(network, plan, epoch=1)
    assert not torch.equal(network.layer4[0].conv1.weight, before)


def modes(network, *layers):
    return [network.get_submodule(layer).training for layer in layers]


@pytest.mark.parametrize(
    ("name", "options", "late", "early"),
    [
        ("resnet18", {}, ("layer4.0.bn1", "layer4"), ("layer3.0.bn1", "bn1")),
        (
            "test_convnext",
            {"drop_path_rate": 0.5},
            ("stages.3.blocks.1.drop_path",),
            ("stages.1.blocks.1.drop_path",),
        ),
        (
            "test_vit",
            {"drop_path_rate": 0.5, "proj_drop_rate": 0.2},
            ("blocks.5.drop_path1", "blocks.5.mlp.drop1"),
            ("blocks.1.drop_path1", "blocks.1.mlp.drop1"),
        ),
    ],
)
def test_groups_that_begin_to_learn_are_in_training_mode_from_then_on(name, options, late, early):
    network = timm.create_model(name, num_classes=4, **options)
    plan = make_plan(network, UnfreezeConfig(plan="gradual", schedule={0: 0, 2: 1, 4: 2}))
    network.train()
    for epoch, learns in enumerate((False, False, True, True, True)):
        plan.apply(network, epoch)
        assert modes(network, *late) == [learns] * len(late)
        assert modes(network, *early) == [name == "resnet18" and epoch == 4, False][: len(early)]
        plan.apply(network.eval(), epoch)  # as while it is measured
        assert not any(module.training for module in network.modules())
        network.train()
        plan.eval_frozen(network)
    again = timm.create_model(name, num_classes=4, **options)
    plan.apply(again, 3)  # after a restart
    assert [m.training for m in again.modules()] != [m.training for m in network.modules()]
    plan.apply(again, 4)
    assert [m.training for m in again.modules()] == [m.training for m in network.modules()]


def test_learning_rates_fall_from_group_to_group():
    network = resnet()
    config = UnfreezeConfig(plan="last", groups=3, backbone_learning_rate=0.5, decay=0.1)
    groups = make_plan(network, config).parameter_groups(network, 1e-2, 0.0)
    assert [group["name"] for group in groups] == ["layer2", "layer3", "layer4", "fc"]
    rates = [group["lr"] for group in groups]
    np.testing.assert_allclose(rates, [5e-5, 5e-4, 5e-3, 1e-2])


def test_what_cannot_be_planned_is_named():
    with pytest.raises(InvalidInputError, match="asks for 6 groups of the backbone, which has 5"):
        make_plan(resnet(), UnfreezeConfig(plan="last", groups=6))
    with pytest.raises(InvalidInputError, match="network is Linear; it takes one of timm's"):
        layer_groups(torch.nn.Linear(1, 1))
