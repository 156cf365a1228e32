"""Native maps of pytorch-grad-cam, and MAP called like its metrics."""

import re

import numpy as np
import pytest
import reference

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_grad_cam")

from pytorch_grad_cam import FullGrad, GradCAM, LayerCAM  # noqa: E402
from pytorch_grad_cam.metrics.perturbation_confidence import (  # noqa: E402
    PerturbationConfidenceMetric,
)
from pytorch_grad_cam.metrics.road import ROADMostRelevantFirst  # noqa: E402
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget  # noqa: E402

from membrane_xai.integrations.pytorch_grad_cam import (  # noqa: E402
    MembraneActivationPrecision,
    native_grid,
)

SIDE = 24


@pytest.fixture
def network():
    torch.manual_seed(3)
    layer = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 5, stride=4, padding=2), torch.nn.Tanh())
    head = [torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(24, 4)]
    return torch.nn.Sequential(layer, *head).eval()


@pytest.fixture
def images():
    return torch.randn(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masks(rng):
    return rng.random((3, SIDE, SIDE)) < 0.2


TARGETS = [ClassifierOutputTarget(1)] * 3


def grad_cam_by_hand(network, images, target):
    kept = []
    with network[0].register_forward_hook(lambda *a: kept.append(a[-1])):
        scores = network(images)
    (gradients,) = torch.autograd.grad(scores[:, target].sum(), kept[0])
    return torch.relu((gradients.mean((2, 3), keepdim=True) * kept[0]).sum(1)).detach().numpy()


def test_native_maps_are_grad_cam_by_hand(network, images):
    with GradCAM(network, [network[0]]) as cam, native_grid(cam) as same:
        assert same is cam
        maps = cam(images, TARGETS)
    assert maps.shape == (3, 6, 6)
    expected = grad_cam_by_hand(network, images, 1)
    np.testing.assert_allclose(maps, expected, atol=1e-6 * expected.max())


def test_after_the_context_the_library_s_own_map_is_back(network, images):
    with GradCAM(network, [network[0]]) as cam:
        before = cam(images, TARGETS)
        attributes = set(vars(cam))
        with native_grid(cam):
            first = cam(images, TARGETS)
            with native_grid(cam):
                np.testing.assert_array_equal(cam(images, TARGETS), first)
            np.testing.assert_array_equal(cam(images, TARGETS), first)
        with pytest.raises(ZeroDivisionError), native_grid(cam):
            raise ZeroDivisionError
        np.testing.assert_array_equal(cam(images, TARGETS), before)
        assert set(vars(cam)) - attributes <= {"outputs"}
    assert before.shape == (3, SIDE, SIDE)


def test_smoothing_over_augmented_views_stays_on_the_grid(network, images):
    with LayerCAM(network, [network[0]]) as cam, native_grid(cam):
        assert cam(images, TARGETS, aug_smooth=True).shape == (3, 6, 6)
        assert cam(images, TARGETS, eigen_smooth=True).shape == (3, 6, 6)


def test_several_layers_and_full_grad_are_refused(network, images):
    with GradCAM(network, [network[0], network[0][0]]) as cam:
        message = "cam has 2 target layers; each layer has a grid of its own"
        with pytest.raises(InvalidInputError, match=message), native_grid(cam):
            pass
    with FullGrad(network, []) as cam:
        message = re.escape("cam is a FullGrad; it takes a method of pytorch-grad-cam other than")
        with pytest.raises(InvalidInputError, match=message), native_grid(cam):
            pass
    with pytest.raises(InvalidInputError, match="cam is a Sequential"), native_grid(network):
        pass


def test_scores_are_those_of_the_function_and_of_the_definition(network, images, masks):
    with GradCAM(network, [network[0]]) as cam, native_grid(cam):
        maps = cam(images, TARGETS)
    scores = MembraneActivationPrecision(masks)(images, maps, TARGETS, network)
    assert (type(scores), scores.shape, scores.dtype) == (np.ndarray, (3,), np.float64)
    np.testing.assert_array_equal(scores, mx.map_score(maps, masks))
    expected = [reference.map_score(cam, mask) for cam, mask in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


@pytest.mark.parametrize("score", ["chance", "enrichment", "skill", "ideal", "toward_ideal"])
def test_other_scores(rng, images, masks, score):
    maps = rng.normal(size=(3, 6, 6))
    region = rng.random((3, SIDE, SIDE)) < 0.7
    metric = MembraneActivationPrecision(masks, region=region, score=score, negative="abs")
    expected = getattr(mx.alignment(maps, masks, region=region, negative="abs"), score)
    np.testing.assert_array_equal(metric(images, maps), expected)


def test_cells_lie_where_the_grid_says(rng, images, masks):
    maps, grid = rng.random((3, 6, 6)), mx.CamGrid(SIDE / 6, 0, SIDE)
    metric = MembraneActivationPrecision(masks, grid=grid)
    found, shown = metric(images, maps, return_visualization=True)
    np.testing.assert_array_equal(found, mx.map_score(maps, masks, grid=grid))
    assert not np.allclose(found, mx.map_score(maps, masks), equal_nan=True)
    ones = torch.ones_like(images)
    _, weight = metric(ones, maps, return_visualization=True)
    whole = MembraneActivationPrecision(np.ones((SIDE, SIDE)), grid=grid)
    _, all_of_it = whole(ones, maps, return_visualization=True)
    shares = weight.sum((1, 2, 3)) / all_of_it.sum((1, 2, 3))  # what is drawn is what is scored
    np.testing.assert_allclose(shares, found, rtol=1e-5)
    torch.testing.assert_close(shown, images * weight)


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # ROAD's
def test_it_is_called_where_the_library_s_metrics_are(network, images, masks):
    with GradCAM(network, [network[0]]) as cam:
        maps = cam(images, TARGETS)
    metrics = [ROADMostRelevantFirst(percentile=50), MembraneActivationPrecision(masks)]
    for metric in metrics:
        assert metric(images, maps, TARGETS, network).shape == (3,)
    theirs = PerturbationConfidenceMetric(lambda x, cam: x * cam)
    _, shown = theirs(images, maps, TARGETS, network, return_visualization=True)
    _, ours = metrics[1](images, maps, TARGETS, network, return_visualization=True)
    assert (ours.shape, ours.dtype, ours.device) == (shown.shape, shown.dtype, shown.device)


def test_the_visualization_is_the_activation_on_the_membrane(rng, images, masks):
    maps = rng.normal(size=(3, 6, 6)).astype(np.float32)
    _, shown = MembraneActivationPrecision(masks)(images, maps, return_visualization=True)
    for image, cam, mask, found in zip(images.numpy(), maps, masks, shown.numpy(), strict=True):
        up = reference.upsample(cam.clip(min=0).astype(float), mask.shape)
        np.testing.assert_allclose(found, image * (up / up.max() * mask), atol=1e-5)


def test_a_shared_mask_finer_than_the_image(rng, images):
    mask = np.repeat(np.repeat(rng.random((SIDE, SIDE)) < 0.2, 2, 0), 2, 1)
    maps = rng.random((3, 6, 6))
    scores, shown = MembraneActivationPrecision(mask)(images, maps, return_visualization=True)
    np.testing.assert_allclose(scores, mx.map_score(maps, mask))
    share = mx.pool_mask(mask, (SIDE, SIDE)).mask
    for image, cam, found in zip(images.numpy(), maps, shown.numpy(), strict=True):
        up = reference.upsample(cam, share.shape)
        np.testing.assert_allclose(found, image * (up / up.max() * share), atol=1e-5)


def test_undefined_images(images, masks):
    masks[0] = False
    maps = np.ones((3, 6, 6), np.float32)
    maps[1] = -1
    maps[2, 0, 0] = np.nan
    scores, shown = MembraneActivationPrecision(masks)(images, maps, return_visualization=True)
    assert np.isnan(scores).all()
    assert shown[:2].abs().max() == 0


@pytest.mark.parametrize(
    ("maps", "message"),
    [
        (np.ones((2, 6, 6)), "cams has shape (2, 6, 6) for 3 images; it takes (N, h, w)"),
        (np.ones((3, 6)), "cams has shape (3, 6) for 3 images"),
    ],
)
def test_bad_input(images, masks, maps, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        MembraneActivationPrecision(masks)(images, maps)
    with pytest.raises(InvalidInputError, match="score is 'precision'; it takes one of 'map'"):
        MembraneActivationPrecision(masks, score="precision")


def test_masks_and_maps_that_are_tensors(images, masks):
    maps = np.abs(images.numpy()).mean(1)
    expected = mx.map_score(maps, masks)
    of_tensors = MembraneActivationPrecision(torch.tensor(masks), region=torch.ones(masks.shape))
    for cams in (maps, torch.tensor(maps, requires_grad=True)):
        np.testing.assert_allclose(of_tensors(images, cams), expected)
        np.testing.assert_allclose(MembraneActivationPrecision(masks)(images, cams), expected)
    scores, shown = of_tensors(images, maps, return_visualization=True)
    _, by_numpy = MembraneActivationPrecision(masks)(images, maps, return_visualization=True)
    torch.testing.assert_close(shown, by_numpy)
    np.testing.assert_allclose(scores, expected)
