"""TorchCAM's lists of maps, and MAP over a dataset used like its metrics."""

import re

import numpy as np
import pytest
import reference

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError, UndefinedScoreError

torch = pytest.importorskip("torch")
pytest.importorskip("torchcam")

from torchcam.methods import GradCAM, LayerCAM, ScoreCAM  # noqa: E402
from torchcam.metrics import ClassificationMetric  # noqa: E402

from membrane_xai.integrations.torchcam import (  # noqa: E402
    MembraneActivationPrecision,
    to_maps,
)

SIDE = 16


@pytest.fixture
def network():
    torch.manual_seed(3)
    layers = [
        torch.nn.Conv2d(3, 6, 5, stride=2, padding=2),
        torch.nn.BatchNorm2d(6),
        torch.nn.Conv2d(6, 6, 3, stride=2, padding=1),
    ]
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(6, 4)]
    return torch.nn.Sequential(*layers, *head).eval()


@pytest.fixture
def images():
    return torch.randn(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks(rng):
    return rng.random((4, SIDE, SIDE)) < 0.2


def maps_of(network, images, classes, layer=2):
    with GradCAM(network, network[layer]) as extractor:
        return to_maps(extractor(classes, network(images), normalized=False))


def test_maps_are_those_of_the_layer(network, images):
    with GradCAM(network, [network[0], network[2]]) as extractor:
        cams = extractor(1, network(images), normalized=False)
    for layer, side in [(0, 8), (1, 4), (-1, 4)]:
        maps = to_maps(cams, layer=layer)
        assert maps.shape == (4, side, side)
        assert not maps.requires_grad
        assert torch.equal(maps, cams[layer])
    kept = []
    with network[2].register_forward_hook(lambda *a: kept.append(a[-1])):
        scores = network(images)
    (gradients,) = torch.autograd.grad(scores[:, 1].sum(), kept[0])
    expected = torch.relu((gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1))
    torch.testing.assert_close(to_maps(cams, layer=1), expected.detach())


def test_a_single_map_stays_one():
    cam = torch.rand(3, 4, requires_grad=True)
    assert torch.equal(to_maps([cam]), cam.detach())


@pytest.mark.parametrize(
    ("cams", "layer", "message"),
    [
        ([], None, "cams is list; it takes a list, one per layer"),
        (torch.ones(1, 2, 2), None, "cams is Tensor; it takes a list, one per layer"),
        ([torch.ones(1, 2, 2)] * 2, None, "cams has 2 layers; pass layer=0 to 1"),
        ([torch.ones(1, 2, 2)] * 2, 2, "layer is 2; cams has layers 0 to 1"),
        ([torch.ones(1, 2, 2)], -2, "layer is -2; cams has layers 0 to 0"),
        ([torch.ones(1, 2, 2)], "last", "layer is 'last'"),
        ([torch.ones(1, 2, 2, 2)], None, "cams[0] is (1, 2, 2, 2); it takes tensors (N, h, w)"),
        ([np.ones((1, 2, 2))], None, "cams[0] is ndarray"),
    ],
)
def test_bad_maps(cams, layer, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        to_maps(cams, layer=layer)


@pytest.mark.parametrize("classes", [None, 2, [0, 1, 2, 3]])
def test_the_summary_is_the_mean_of_the_scores(network, images, masks, classes):
    with GradCAM(network, network[2]) as extractor:
        metric = MembraneActivationPrecision(extractor)
        metric.update(images[:1], masks[:1], classes[:1] if isinstance(classes, list) else classes)
        metric.update(images[1:], masks[1:], classes[1:] if isinstance(classes, list) else classes)
    chosen = network(images).argmax(1).tolist() if classes is None else classes
    maps = maps_of(network, images, chosen)
    expected = mx.alignment(maps, masks)
    summary = metric.summary()
    assert (summary["rows"], summary["scored"]) == (4, 4)
    assert (summary["groups"], summary["map_note"]) == (None, "few_groups")
    for name in ("map", "chance", "ideal", "toward_ideal", "coverage"):
        assert summary[name] == pytest.approx(float(getattr(expected, name).mean()), rel=1e-5)
    by_hand = [reference.map_score(c, m) for c, m in zip(maps.numpy(), masks, strict=True)]
    assert summary["map"] == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_cells_lie_where_the_grid_says(network, images, masks):
    maps = maps_of(network, images, [0, 1, 2, 3])
    grid = mx.CamGrid(masks.shape[-1] / maps.shape[-1], 0, masks.shape[-1])
    with GradCAM(network, network[2]) as extractor:
        metric = MembraneActivationPrecision(extractor, grid=grid)
        metric.update(images, masks, [0, 1, 2, 3])
    expected = mx.alignment(maps, masks, grid=grid)
    assert metric.summary()["map"] == pytest.approx(float(expected.map.mean()), rel=1e-5)
    assert abs(expected.map - mx.map_score(maps, masks)).max() > 1e-3


@pytest.mark.parametrize("method", [GradCAM, LayerCAM, ScoreCAM])
def test_it_is_used_like_the_library_s_metrics(network, images, masks, method):
    softmax = torch.nn.Softmax(dim=-1)
    with method(network, network[2]) as extractor:
        for metric, rest in [
            (ClassificationMetric(extractor, softmax), ()),
            (MembraneActivationPrecision(extractor, softmax), (masks,)),
        ]:
            metric.update(images, *rest)
            assert metric.summary()


def test_the_scores_of_the_network_pass_through_logits_fn(network, images, masks):
    with ScoreCAM(network, network[2]) as extractor:
        metric = MembraneActivationPrecision(extractor, lambda x: -x)
        metric.update(images, masks)
        lowest = network(images).argmin(1).tolist()
        cams = extractor(lowest, -network(images), normalized=False)
    expected = mx.map_score(to_maps(cams), masks).nanmean()
    assert metric.summary()["map"] == pytest.approx(float(expected), nan_ok=True)


def test_undefined_samples_are_counted_and_left_out(network, images, masks):
    masks[0] = False
    with torch.no_grad():
        network[0].bias.zero_()
        network[2].bias.zero_()
        images[1] = 0  # nothing goes in, so nothing is activated
    with GradCAM(network, network[2]) as extractor:
        metric = MembraneActivationPrecision(extractor)
        metric.update(images, masks, 1)
        status = mx.alignment(maps_of(network, images, 1), masks).status
        summary = metric.summary()
        scores = mx.map_score(maps_of(network, images, 1), masks)
        assert summary["scored"] == int((status == "ok").sum()) == 2
        assert (summary["rows"], summary["empty_mask"], summary["no_activation"]) == (4, 1, 1)
        assert summary["chance"] == pytest.approx(masks[2:].mean())  # of the same samples
        assert summary["map"] == pytest.approx(float(scores.nanmean()))
        metric.reset()
        with pytest.raises(UndefinedScoreError, match="no sample so far: call update"):
            metric.summary()
        metric.update(images[:1], masks[:1], 1)
        assert np.isnan(metric.summary()["map"])


def test_groups_give_the_intervals_of_summarize(network, images, masks):
    with GradCAM(network, network[2]) as extractor:
        metric = MembraneActivationPrecision(extractor)
        metric.update(images[:1], masks[:1], 1, groups=["a"])
        metric.update(images[1:], masks[1:], 1, groups=["b", "c", "c"])
    scores = mx.map_score(maps_of(network, images, 1), masks).numpy()
    expected = mx.summarize(scores, list("abcc"), draws=200, seed=4)
    found = metric.summary(draws=200, seed=4)
    assert (found["groups"], found["map_note"]) == (3, "small_sample") == (3, expected.note)
    ends = (expected.low, expected.high)
    assert (found["map_low"], found["map_high"]) == pytest.approx(ends, rel=1e-5)


def test_region_and_negative_are_passed_on(network, images, masks, rng):
    region = rng.random((4, SIDE, SIDE)) < 0.5
    with ScoreCAM(network, network[2]) as extractor:
        extractor._relu = False
        metric = MembraneActivationPrecision(extractor, negative="abs")
        metric.update(images, masks, 0, region=region)
        cams = extractor(0, network(images), normalized=False)
    expected = mx.map_score(to_maps(cams), masks, region=region, negative="abs")
    assert metric.summary()["map"] == pytest.approx(float(expected.mean()))
    assert (to_maps(cams) < 0).any()


def test_one_layer_of_several(network, images, masks):
    with GradCAM(network, [network[0], network[2]]) as extractor:
        metric = MembraneActivationPrecision(extractor, layer=0)
        metric.update(images, masks, 1)
        with pytest.raises(InvalidInputError, match="cams has 2 layers"):
            MembraneActivationPrecision(extractor).update(images, masks, 1)
    expected = mx.map_score(maps_of(network, images, 1, layer=0), masks)
    assert metric.summary()["map"] == pytest.approx(float(expected.mean()))


def test_modules_get_their_modes_back(network, images, masks):
    network.train()
    network[0].eval()  # some part is frozen
    before = network[1].running_mean.clone()
    modes = [module.training for module in network.modules()]
    with GradCAM(network, network[2]) as extractor:
        MembraneActivationPrecision(extractor).update(images, masks, 1)
    assert [module.training for module in network.modules()] == modes
    assert torch.equal(network[1].running_mean, before)


def test_something_that_is_no_extractor(network):
    with pytest.raises(InvalidInputError, match="cam_extractor is a Sequential"):
        MembraneActivationPrecision(network)
    with GradCAM(network, network[2]) as extractor, pytest.raises(InvalidInputError):
        MembraneActivationPrecision(extractor, negative="keep")
