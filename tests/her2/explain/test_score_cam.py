"""Score-CAM against each library it is named after: channels, batches, classes, grid."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
timm = pytest.importorskip("timm")

from score_cam_subjects import (  # noqa: E402
    CLASSES,
    NETWORKS,
    VARIANTS,
    chosen,
    close,
    image,
    library_map,
    official_map,
    small_network,
    timm_network,
    torchcam_map,
)
from torch import nn  # noqa: E402

from her2_models.score_cam import ScoreCAM, approximation_error  # noqa: E402
from her2_models.score_cam._forward import BatchSizes  # noqa: E402


@pytest.fixture
def small():
    return small_network()


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


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_layer_that_the_next_one_writes_into(small, variant):
    """The map is of the layer's own output, as where the next one does not write into it."""
    layer = small[0][1]
    if variant == "pytorch-grad-cam":
        expected = library_map(small, layer, image(), chosen([1]))
    elif variant == "torchcam":
        expected = torchcam_map(small, layer, image(), [1])
    else:
        expected = official_map(small, layer, image(), 1)
    small[0][2] = nn.ReLU(inplace=True)
    cam = ScoreCAM(small, [layer], variant=variant)
    close((cam.native if variant == "torchcam" else cam)(image(), chosen([1])), expected)


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


@pytest.mark.parametrize("most", [None, 5])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_dead_layer_gives_zeros(small, variant, most):
    silence(small, dead=range(12))
    cam = ScoreCAM(small, [small[0]], variant=variant, max_channels=most)
    found = cam(image(2))
    assert found.shape == (2, 24, 24)
    assert not found.any()
    assert np.isnan(approximation_error(cam, image(2)).pearson).all()


# Batches, classes, grid


@pytest.mark.parametrize("batch_size", [1, 7, 100, "auto"])
def test_the_batch_size_changes_nothing(small, batch_size):
    expected = ScoreCAM(small, [small[1]]).native(image(3))
    close(ScoreCAM(small, [small[1]], batch_size=batch_size).native(image(3)), expected)


@pytest.mark.parametrize(("side", "largest"), [(224, 64), (448, 16), (1024, 3), (4096, 1)])
def test_auto_takes_fewer_of_large_images(side, largest):
    assert BatchSizes("auto", torch.empty(1, 3, side, side, device="cpu")).largest == largest


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
