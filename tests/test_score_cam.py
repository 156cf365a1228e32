"""Score-CAM against each library it is named after, and the network as it was afterwards."""

import re
import subprocess
import sys

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
timm = pytest.importorskip("timm")

from pytorch_grad_cam import score_cam as library  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402
from torch import nn  # noqa: E402

from her2_models._fold import BatchNormWatch, fold_batch_norms  # noqa: E402
from her2_models.score_cam import ScoreCAM, approximation_error  # noqa: E402

CLASSES = 4
VARIANTS = ("pytorch-grad-cam", "torchcam", "official")


class Residual(nn.Module):
    """A branch whose first convolution is used twice, so that its batch norm must stay."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))

    def forward(self, x):
        once = self.first(x)
        branch = self.norms[1](self.second(torch.relu(self.norms[0](once))))
        return nn.functional.gelu(once + branch)


def small_network():
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(3, 12, 5, stride=4, padding=2), nn.BatchNorm2d(12), nn.ReLU())
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, CLASSES)]
    return decided(nn.Sequential(stem, Residual(12), *head), head[-1])


def decided(network, head):
    """Let scores vary between masks: weights that are all alike would hide wrong ones."""
    head.weight.data *= 30
    return with_statistics(network)


def with_statistics(network):
    """Give batch norms means, variances and affine parts that are not those of a new network."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network.eval()


def image(count=1, height=24, width=24, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small():
    return small_network()


def tokens(side):
    return lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (side, side))


def little_densenet(**kwargs):
    return timm.models.densenet.DenseNet(8, (2, 2), **kwargs)


NETWORKS = {
    "resnet18": lambda m: (m.layer1, None),
    "densenet": lambda m: (m.features, None),
    "convnext_atto": lambda m: (m.stages[1], None),
    "tf_efficientnet_lite0": lambda m: (m.blocks[3], None),
    "vit_tiny_patch16_224": lambda m: (m.blocks[-1].norm1, tokens(4)),
}
SETTINGS = {"vit_tiny_patch16_224": {"img_size": 64, "depth": 3}}


def timm_network(name):
    """Return a network with its target layer and the transform that goes with it."""
    torch.manual_seed(0)
    if name == "densenet":
        network = little_densenet(num_classes=CLASSES)
    else:
        network = timm.create_model(name, num_classes=CLASSES, **SETTINGS.get(name, {}))
    return decided(network, network.get_classifier()), *NETWORKS[name](network)


def library_map(network, layer, inputs, targets, transform=None, **kwargs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library.tqdm, "tqdm", lambda batches: batches)
        with pytorch_grad_cam.ScoreCAM(network, [layer], transform) as cam:
            cam.batch_size = 64
            return cam(inputs, targets, **kwargs)


def torchcam_map(network, layer, inputs, classes, transform=None):
    torchcam = pytest.importorskip("torchcam.methods")
    with torchcam.ScoreCAM(network, layer, batch_size=64, reshape_transform=transform) as cam:
        with torch.no_grad():
            scores = network(inputs)
        return cam(classes, scores, normalized=False)[0].numpy()


def official_map(network, layer, inputs, category, transform=None):
    """Follow the publication's code for one image, channel by channel."""
    kept = []
    with layer.register_forward_hook(lambda *a: kept.append(a[-1])), torch.no_grad():
        network(inputs)
    activations = kept[0] if transform is None else transform(kept[0])
    total = torch.zeros(1, 1, *inputs.shape[2:])
    for k in range(activations.shape[1]):
        up = nn.functional.interpolate(
            activations[:, [k]], inputs.shape[2:], mode="bilinear", align_corners=False
        )
        if up.max() == up.min():
            continue
        mask = (up - up.min()) / (up.max() - up.min())
        with torch.no_grad():
            score = torch.softmax(network(inputs * mask), 1)[0, category]
        total += score * up
    total = torch.relu(total)
    return ((total - total.min()) / (total.max() - total.min()))[:, 0].numpy()


def chosen(classes):
    return [ClassifierOutputTarget(one) for one in classes]


def close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


# Each variant against its library


@pytest.mark.parametrize("classes", [None, [2, 0]])
@pytest.mark.parametrize("size", [(24, 24), (24, 36)])
def test_pytorch_grad_cam_on_a_small_network(small, classes, size):
    inputs = image(2, *size)
    targets = classes and chosen(classes)
    expected = library_map(small, small[1], inputs, targets)
    with ScoreCAM(small, [small[1]], batch_size=5) as cam:
        found = cam(inputs, targets)
        outputs = cam.outputs
    assert found.dtype == expected.dtype == np.float32
    close(found, expected)
    assert torch.allclose(outputs, small(inputs))


@pytest.mark.parametrize("size", [(24, 24), (24, 36)])
def test_torchcam_on_a_small_network(small, size):
    inputs = image(2, *size)
    expected = torchcam_map(small, small[1], inputs, [2, 0])
    found = ScoreCAM(small, [small[1]], variant="torchcam").native(inputs, chosen([2, 0]))
    close(found, expected)


@pytest.mark.parametrize("size", [(24, 24), (24, 36)])
def test_official_on_a_small_network(small, size):
    inputs = image(2, *size)
    found = ScoreCAM(small, [small[1]], variant="official")(inputs, chosen([2, 0]))
    for one, alone, category in zip(found, inputs, [2, 0], strict=True):
        close(one[None], official_map(small, small[1], alone[None], category))


def test_official_sets_negative_values_to_0_once_upsampled(small):
    layer = small[0][1]  # has negative values
    found = ScoreCAM(small, [layer], variant="official")(image(), chosen([1]))
    close(found, official_map(small, layer, image(), 1))


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_grad_cam_on_networks(name):
    network, layer, transform = timm_network(name)
    expected = library_map(network, layer, image(1, 64, 64), chosen([1]), transform)
    found = ScoreCAM(network, [layer], transform)(image(1, 64, 64), chosen([1]))
    close(found, expected, 1e-4)


@pytest.mark.parametrize("name", ["densenet", "vit_tiny_patch16_224"])
def test_the_others_on_networks(name):
    network, layer, transform = timm_network(name)
    inputs, target = image(1, 64, 64), chosen([1])
    torchcam = ScoreCAM(network, [layer], transform, variant="torchcam")
    expected = torchcam_map(network, layer, inputs, [1], transform)
    close(torchcam.native(inputs, target), expected, 1e-4)
    official = ScoreCAM(network, [layer], transform, variant="official")
    close(official(inputs, target), official_map(network, layer, inputs, 1, transform), 1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_matter_on_these_networks(name):
    """Otherwise the tests above would pass with any scores."""
    network, layer, transform = timm_network(name)
    cam = ScoreCAM(network, [layer], transform)
    maps = cam.for_classes(image(1, 64, 64), range(CLASSES))[0]
    assert np.ptp(maps, axis=0).max() > 0.05 * maps.max()


def test_variants_differ(small):
    maps = [ScoreCAM(small, [small[1]], variant=v)(image(), chosen([1])) for v in VARIANTS]
    for i in range(3):
        assert np.abs(maps[i] - maps[i - 1]).max() > 1e-3


def test_several_layers_and_smoothing_are_those_of_the_library(small):
    inputs = image()
    for kwargs in ({"eigen_smooth": True}, {"aug_smooth": True}):
        expected = library_map(small, small[1], inputs, chosen([1]), **kwargs)
        close(ScoreCAM(small, [small[1]])(inputs, chosen([1]), **kwargs), expected, 1e-4)
    layers = [small[0], small[1]]
    with pytorch_grad_cam.ScoreCAM(small, layers) as cam:
        expected = cam(inputs, chosen([1]))
    close(ScoreCAM(small, layers)(inputs, chosen([1])), expected)


def test_a_target_may_be_any_function(small):
    targets = [lambda output: output[1] - output[0], lambda output: output.sum()]
    expected = library_map(small, small[1], image(2), targets)
    close(ScoreCAM(small, [small[1]])(image(2), targets), expected)


# Channels without range


def silence(network, *, dead=(), constant=()):
    """Make channels of the stem 0, or the same number everywhere."""
    norm = network[0][1]
    for channels, value in ((dead, -1.0), (constant, 2.0)):
        norm.weight.data[list(channels)] = 0.0
        norm.bias.data[list(channels)] = value
    return network


@pytest.mark.parametrize("variant", VARIANTS)
def test_channels_without_range_count_as_in_the_library(small, variant):
    silence(small, dead=[0, 3, 4], constant=[7, 8])
    found = ScoreCAM(small, [small[0]], variant=variant)
    inputs, targets = image(2), chosen([1, 2])
    if variant == "pytorch-grad-cam":
        close(found(inputs, targets), library_map(small, small[0], inputs, targets))
    elif variant == "torchcam":
        close(found.native(inputs, targets), torchcam_map(small, small[0], inputs, [1, 2]))
    else:
        each = [official_map(small, small[0], inputs[[i]], i + 1)[0] for i in range(2)]
        close(found(inputs, targets), np.stack(each))


@pytest.mark.parametrize(("variant", "passes"), [("torchcam", 10), ("official", 9)])
def test_channels_without_range_share_one_pass_or_need_none(small, variant, passes):
    silence(small, dead=[0, 3, 4])
    error = approximation_error(ScoreCAM(small, [small[0]], variant=variant), image())
    assert error.forwards == error.exact_forwards == passes
    assert error.pearson == pytest.approx(1)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_dead_layer_gives_zeros(small, variant):
    silence(small, dead=range(12))
    cam = ScoreCAM(small, [small[0]], variant=variant, compare_exact=True)
    found = cam(image(2))
    assert found.shape == (2, 24, 24)
    assert not found.any()
    assert np.isnan(cam.approximation.pearson).all()


# Batches, classes, grid


@pytest.mark.parametrize("batch_size", [1, 7, 100, "auto"])
def test_the_batch_size_changes_nothing(small, batch_size):
    expected = ScoreCAM(small, [small[1]]).native(image(3))
    close(ScoreCAM(small, [small[1]], batch_size=batch_size).native(image(3)), expected)


def test_every_batch_but_the_last_is_full(small):
    sizes = []
    small.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    cam = ScoreCAM(small, [small[1]])
    cam.batch_size = 10
    cam(image(3))
    assert sizes == [3, 10, 10, 10, 6]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("upsampled", [False, True])
def test_several_classes_are_each_alone(small, variant, upsampled):
    cam = ScoreCAM(small, [small[1]], variant=variant)
    found = cam.for_classes(image(2), [3, 0, 1], upsampled=upsampled)
    explain = cam if upsampled else cam.native
    for k, category in enumerate([3, 0, 1]):
        close(found[:, k], explain(image(2), chosen([category] * 2)))


def test_several_classes_cost_the_passes_of_one(small):
    sizes = []
    small.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    ScoreCAM(small, [small[1]]).for_classes(image(), range(CLASSES))
    assert sizes == [1, 12]


@pytest.mark.parametrize("variant", VARIANTS[:2])
def test_the_map_is_the_native_one_upsampled(small, variant):
    cam = ScoreCAM(small, [small[1]], variant=variant)
    native = torch.tensor(cam.native(image()))[:, None]
    up = nn.functional.interpolate(native, (24, 24), mode="bilinear")[:, 0]
    low, high = up.min(), up.max()
    close(cam(image()), ((up - low) / (high - low)).numpy(), 1e-4)


# Masked pixels


def masked(cam, network, inputs):
    """Return what the network was shown."""
    shown = []
    with network.register_forward_pre_hook(lambda _, given: shown.append(given[0].clone())):
        cam(inputs)
    return torch.cat(shown[1:])


def test_white_is_what_masked_pixels_become(small):
    statistics = {"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.5, 0.25)}
    zero = masked(ScoreCAM(small, [small[1]]), small, image())
    white = masked(ScoreCAM(small, [small[1]], baseline="white", **statistics), small, image())
    mask = zero / image()
    glass = torch.tensor([1.0, 1.5, 4.0])[:, None, None]
    assert torch.allclose(white, mask * image() + (1 - mask) * glass, atol=1e-4)


def test_blur_leaves_a_plain_image_alone_and_smooths_another(small):
    cam = ScoreCAM(small, [small[1]], baseline="blur")
    plain = torch.ones(1, 3, 24, 24)
    assert torch.allclose(masked(cam, small, plain), plain, atol=1e-5)
    shown, whole = masked(cam, small, image(2)), image(2).repeat_interleave(12, 0)
    assert (shown.var((2, 3)) < whole.var((2, 3))).all()
    assert torch.allclose(masked(cam, small, image(2)[1:]), shown[12:], atol=1e-6)


# Precision and approximations


def test_bfloat16_is_close_on_a_network():
    network, layer, _ = timm_network("resnet18")
    network.fc.weight.data /= 30  # as a new network has it
    error = approximation_error(ScoreCAM(network, [layer], precision="bf16"), image(1, 96, 96))
    assert 0.999 <= error.pearson[0] < 1
    assert error.forwards == error.exact_forwards == 64
    assert next(network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("precision", ["bf16", "auto"])
def test_bfloat16_with_hooks(small, precision):
    exact = ScoreCAM(small, [small[1]]).native(image())
    seen = []
    small[2].register_forward_hook(lambda *a: seen.append(a[-1].dtype))
    found = ScoreCAM(small, [small[1]], precision=precision).native(image())
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999
    if precision == "bf16":
        assert seen == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision(small, kind):
    exact = ScoreCAM(small, [small[1]]).native(image())
    found = ScoreCAM(small.to(kind), [small[1]]).native(image().to(kind))
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("rank_by", ["mass", "variance"])
def test_fewer_channels(small, rank_by):
    cam = ScoreCAM(small, [small[1]], max_channels=5, rank_by=rank_by, compare_exact=True)
    approximate = cam.native(image(2))
    exact = ScoreCAM(small, [small[1]]).native(image(2))
    found = cam.approximation
    assert (found.forwards, found.exact_forwards) == (10, 24)
    expected = [
        np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(approximate, exact, strict=True)
    ]
    np.testing.assert_allclose(found.pearson, expected)
    assert (found.pearson < 1).all()
    assert (found.pearson > 0.9).all()


def test_the_channels_are_those_of_highest_rank_and_the_others_take_the_mean(small):
    """By hand: softmax over the scores of 5 channels and their mean for 7."""
    kept = []
    with small[1].register_forward_hook(lambda *a: kept.append(a[-1].detach())):
        small(image())
    order = kept[0].abs().sum((2, 3))[0].argsort(descending=True)[:5]
    shown = masked(ScoreCAM(small, [small[1]]), small, image())
    with torch.no_grad():
        scores = small(shown)[:, 1]
    taken = scores[order].mean().repeat(12)
    taken[order] = scores[order]
    expected = torch.relu((torch.softmax(taken, 0)[:, None, None] * kept[0][0]).sum(0))
    found = ScoreCAM(small, [small[1]], max_channels=5).native(image(), chosen([1]))
    close(found[0], expected.numpy())


def test_all_channels_are_exact(small):
    exact = ScoreCAM(small, [small[1]]).native(image())
    close(ScoreCAM(small, [small[1]], max_channels=12).native(image()), exact)


def test_channels_that_are_alike_share_a_score(small):
    conv, norm = small[0][0], small[0][1]
    for channel in (5, 6):  # three channels with one mask, at different strength
        conv.weight.data[channel], conv.bias.data[channel] = conv.weight[2], conv.bias[2]
        for tensor in (norm.running_mean, norm.running_var):
            tensor[channel] = tensor[2]
        for tensor in (norm.weight.data, norm.bias.data):
            tensor[channel] = tensor[2] * channel
    exact = ScoreCAM(small, [small[0]]).native(image())
    cam = ScoreCAM(small, [small[0]], cluster=0.9999)
    close(cam.native(image()), exact)
    assert approximation_error(cam, image()).forwards == 10
    few = approximation_error(ScoreCAM(small, [small[0]], cluster=0.9999, max_channels=4), image())
    assert (few.forwards, few.exact_forwards) == (4, 12)
    assert approximation_error(ScoreCAM(small, [small[0]], cluster=0.3), image()).forwards < 6


# Folding


def test_batch_norms_are_folded_where_nothing_else_sees_the_convolution(small):
    watch = BatchNormWatch(small)
    with watch:
        before = small(image())
    pairs = watch.pairs()
    assert pairs == [("0.0", "0.1"), ("1.second", "1.norms.1")]
    fold_batch_norms(small, pairs)
    assert [type(small[0][1]), type(small[1].norms[0])] == [nn.Identity, nn.BatchNorm2d]
    assert torch.allclose(small(image()), before, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "count", "kept"),
    [("resnet18", 20, 0), ("tf_efficientnet_lite0", 49, 0), ("densenet", 5, 6)],
)
def test_batch_norms_of_timm_are_folded(name, count, kept):
    network = timm_network(name)[0]
    watch = BatchNormWatch(network)
    with watch, torch.no_grad():
        before = network(image(1, 64, 64))
    fold_batch_norms(network, watch.pairs())
    left = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert len(watch.pairs()) == count
    assert left == kept
    with torch.no_grad():
        assert torch.allclose(network(image(1, 64, 64)), before, rtol=1e-4, atol=1e-4)


class Twice(nn.Module):
    """One convolution with one batch norm, run twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(self.conv(self.norm(self.conv(x))))


def test_a_convolution_that_runs_twice_is_left_alone():
    network = with_statistics(Twice())
    watch = BatchNormWatch(network)
    with watch:
        network(image())
    assert watch.pairs() == []


def test_a_fold_that_is_wrong_is_noticed(small, monkeypatch):
    expected = ScoreCAM(small, [small[1]]).native(image())
    monkeypatch.setattr(BatchNormWatch, "pairs", lambda self: [("1.first", "1.norms.0")])
    close(ScoreCAM(small, [small[1]]).native(image()), expected)


# The network as it was


def state(network):
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return (
        [(id(module), module.training) for module in network.modules()],
        [(id(p), p.requires_grad, p.stride(), p.dtype, p._version) for p in network.parameters()],
        [(id(b), b._version) for b in network.buffers()],
        [len(getattr(module, kind)) for module in network.modules() for kind in kinds],
    )


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_network_is_left_as_it_was(small, variant, precision):
    small.train()
    small[0][1].eval()
    before, inputs = state(small), image()
    with ScoreCAM(small, [small[1]], variant=variant, precision=precision) as cam:
        cam(inputs)
        assert state(small) == before
    assert torch.equal(inputs, image())
    small(image(2)).sum().backward()  # still to be trained


class Fails:
    """A target that fails on the second image it is shown."""

    calls = 0

    def __call__(self, output):
        self.calls += 1
        if self.calls > 1:
            raise IndexError("stop")
        return output[0]


def test_an_exception_comes_through_and_leaves_no_trace(small):
    small.train()
    before = state(small)
    with pytest.raises(IndexError, match="stop"), ScoreCAM(small, [small[1]]) as cam:
        cam(image(), [Fails()])
    assert state(small) == before


def test_a_network_that_cannot_be_copied_runs_itself(small):
    expected = ScoreCAM(small, [small[1]]).native(image())
    small.other = torch.ones(1, requires_grad=True) * 2  # no leaf
    close(ScoreCAM(small, [small[1]]).native(image()), expected)


def test_gradients_are_neither_needed_nor_made(small):
    ScoreCAM(small, [small[1]])(image().requires_grad_())
    assert all(p.grad is None for p in small.parameters())


def test_progress_is_drawn_on_demand(small, capfd):
    ScoreCAM(small, [small[1]])(image())
    assert capfd.readouterr().err == ""
    ScoreCAM(small, [small[1]], progress=True)(image())
    assert "12/12" in capfd.readouterr().err


# Memory

PEAK = """
import resource, sys, torch
from torch import nn
from her2_models.score_cam import ScoreCAM
torch.manual_seed(0)
layer = nn.Sequential(nn.Conv2d(3, 512, 8, stride=8), nn.ReLU())
network = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 4)).eval()
inputs = torch.rand(1, 3, 224, 224)
ScoreCAM(network, [layer], batch_size=8, max_channels=8)(inputs)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ScoreCAM(network, [layer], batch_size=8)(inputs)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_does_not_grow_with_the_channels():
    """All 512 masked images at once would take 308 MB."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 30e6


# What is not taken

BAD = {
    "variant": ("captum", "variant is 'captum'; it takes one of 'pytorch-grad-cam', 'torchcam'"),
    "precision": ("fp8", "precision is 'fp8'; it takes one of 'fp32', 'bf16', 'auto'"),
    "baseline": ("grey", "baseline is 'grey'; it takes one of 'zero', 'white', 'blur'"),
    "rank_by": ("size", "rank_by is 'size'; it takes one of 'mass', 'variance'"),
    "batch_size": (0, 'batch_size is 0; it takes a whole number from 1, or "auto"'),
    "max_channels": (True, "max_channels is True; it takes a whole number from 1, or None"),
    "cluster": (1.5, "cluster is 1.5; it takes a cosine above 0 and at most 1, or None"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_setting_that_is_not_taken(small, name):
    before = state(small)
    value, message = BAD[name]
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        ScoreCAM(small, [small[1]], **{name: value})
    assert state(small) == before


def test_white_needs_the_statistics(small):
    with pytest.raises(InvalidInputError, match='mean is None; baseline "white" takes'):
        ScoreCAM(small, [small[1]], baseline="white")
    cam = ScoreCAM(small, [small[1]], baseline="white", mean=[0.5], std=[0.5])
    with pytest.raises(InvalidInputError, match="1 and 1 numbers; the input has 3 channels"):
        cam(image())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (np.zeros((1, 3, 24, 24)), "input_tensor is a ndarray; it takes a tensor"),
        (torch.zeros(3, 24, 24), r"shape (3, 24, 24) and dtype torch.float32; it takes"),
        (torch.zeros(0, 3, 24, 24), "shape (0, 3, 24, 24)"),
        (torch.zeros(1, 3, 24, 24, dtype=torch.uint8), "dtype torch.uint8"),
        (torch.full((1, 3, 24, 24), float("nan")), "input_tensor has NaN or infinity"),
    ],
)
def test_an_input_that_is_not_taken(small, inputs, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        ScoreCAM(small, [small[1]])(inputs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c(image(2), chosen([1])), "targets has 1 elements; it takes one for each of 2"),
        (lambda c: c(image(), chosen([4])), "targets has category 4; the network has classes 0 to"),
        (lambda c: c.for_classes(image(), [0, -1]), "classes has -1; the network has classes 0"),
        (lambda c: c.for_classes(image(), []), "classes is []; it takes at least one class"),
    ],
)
def test_a_class_that_is_not_there(small, call, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        call(ScoreCAM(small, [small[1]]))


def test_a_layer_that_does_not_do(small):
    with pytest.raises(InvalidInputError, match=r"target_layers\[0\] gives \(1, 4\); it takes"):
        ScoreCAM(small, [small[-1]])(image())
    with pytest.raises(InvalidInputError, match=r"target_layers\[1\] is not run by the network"):
        ScoreCAM(small, [small[1], nn.ReLU()])(image())
    with pytest.raises(InvalidInputError, match="target_layers has 2 layers"):
        ScoreCAM(small, [small[0], small[1]]).native(image())


def test_a_network_without_logits(small):
    network = nn.Sequential(*list(small)[:2])
    with pytest.raises(InvalidInputError, match=r"logits of shape \(N, classes\), not \(1, 12, 6"):
        ScoreCAM(network, [network[1]])(image())
    found = ScoreCAM(network, [network[1]])(image(), [lambda output: output[0].mean()])
    close(found, library_map(network, network[1], image(), [lambda output: output[0].mean()]))
