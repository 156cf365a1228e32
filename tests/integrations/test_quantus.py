"""MAP and EC as metrics of Quantus: run by it, equal to the functions and to its own."""

import itertools
import re

import numpy as np
import pytest
import reference

import membrane_xai as mx
from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
quantus = pytest.importorskip("quantus")

from membrane_xai.integrations.quantus import (  # noqa: E402
    ExplanationConsistency,
    MembraneActivationPrecision,
    gaussian_noise,
)

SIDE, COUNT = 12, 5


@pytest.fixture
def network():
    torch.manual_seed(0)
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 3)]
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Tanh(), *head).eval()


@pytest.fixture
def batch(rng):
    """Images, labels, masks (N, 1, H, W)."""
    images = rng.normal(size=(COUNT, 3, SIDE, SIDE)).astype(np.float32)
    masks = rng.random((COUNT, 1, SIDE, SIDE)) < 0.3
    return images, rng.integers(0, 3, COUNT), masks


def gradient(model, inputs, targets, **_):
    """Return the gradient of the class score, its colours added up."""
    x = torch.tensor(np.asarray(inputs), requires_grad=True)
    model(x)[torch.arange(len(x)), torch.tensor(np.asarray(targets))].sum().backward()
    return x.grad.sum(1).numpy()


@pytest.mark.parametrize("shape", [(COUNT, SIDE, SIDE), (COUNT, 1, SIDE, SIDE), (COUNT, 3, 4)])
@pytest.mark.parametrize("batch_size", [2, 64])
def test_scores_are_those_of_the_function_and_of_the_definition(rng, batch, shape, batch_size):
    maps = rng.normal(size=shape)
    scores = MembraneActivationPrecision()(None, *batch[:2], maps, batch[2], batch_size=batch_size)
    np.testing.assert_allclose(scores, mx.map_score(maps, batch[2]), rtol=1e-12)
    grids = maps.reshape(COUNT, *shape[-2:])
    by_hand = [reference.map_score(c, m) for c, m in zip(grids, batch[2][:, 0], strict=True)]
    np.testing.assert_allclose(scores, by_hand)


@pytest.mark.parametrize("score", ["chance", "enrichment", "skill", "ideal", "toward_ideal"])
def test_other_scores(rng, batch, score):
    maps = rng.normal(size=(COUNT, 3, 4))
    metric = MembraneActivationPrecision(score, negative="abs")
    expected = getattr(mx.alignment(maps, batch[2], negative="abs"), score)
    np.testing.assert_array_equal(metric(None, *batch[:2], maps, batch[2]), expected)


def test_cells_lie_where_the_grid_says(rng, batch):
    maps, grid = rng.random((COUNT, 3, 4)), mx.CamGrid((SIDE / 3, SIDE / 4), 0, SIDE)
    found = MembraneActivationPrecision(grid=grid)(None, *batch[:2], maps, batch[2])
    np.testing.assert_array_equal(found, mx.map_score(maps, batch[2], grid=grid))
    assert not np.allclose(found, mx.map_score(maps, batch[2]), equal_nan=True)


def test_channels_last_and_fractional_masks_on_another_grid(rng, batch):
    images, labels, _ = batch
    maps, masks = rng.random((COUNT, 3, 4)), rng.random((COUNT, 7, 9))
    last = images.transpose(0, 2, 3, 1)
    scores = MembraneActivationPrecision()(None, last, labels, maps, masks, channel_first=False)
    np.testing.assert_array_equal(scores, mx.map_score(maps, masks))


def test_evaluate_runs_it_beside_the_library_s_own(rng, network, batch):
    images, labels, masks = batch
    maps = rng.random((COUNT, 1, SIDE, SIDE))
    found = quantus.evaluate(
        metrics={
            "MAP": MembraneActivationPrecision(),
            "RMA": quantus.RelevanceMassAccuracy(disable_warnings=True),
        },
        xai_methods={"gradient": gradient, "given": maps},
        model=network,
        x_batch=images,
        y_batch=labels,
        s_batch=masks,
        explain_func_kwargs={},
        agg_func=np.asarray,
    )
    np.testing.assert_allclose(found["given"]["MAP"], found["given"]["RMA"])
    np.testing.assert_allclose(found["given"]["MAP"], mx.map_score(maps, masks))
    explained = gradient(network, images, labels)
    np.testing.assert_allclose(found["gradient"]["MAP"], mx.map_score(explained, masks), rtol=1e-6)


def test_evaluate_runs_both_on_explanations_it_makes(network, batch):
    images, labels, masks = batch
    found = quantus.evaluate(
        metrics={"MAP": MembraneActivationPrecision(), "EC": ExplanationConsistency(n_views=2)},
        xai_methods={"gradient": gradient},
        model=network,
        x_batch=images,
        y_batch=labels,
        s_batch=masks,
        explain_func_kwargs={},
        agg_func=np.asarray,
    )
    assert found["gradient"]["MAP"].shape == (COUNT,)
    alone = ExplanationConsistency(n_views=2)(network, images, labels, explain_func=gradient)
    np.testing.assert_allclose(found["gradient"]["EC"], alone, rtol=1e-5)


def test_evaluate_runs_the_methods_of_captum(network, batch):
    pytest.importorskip("captum")
    images, labels, masks = batch
    found = quantus.evaluate(
        metrics={"MAP": MembraneActivationPrecision(), "EC": ExplanationConsistency()},
        xai_methods={"Saliency": {"xai_lib": "captum", "method": "Saliency"}},
        model=network,
        x_batch=images,
        y_batch=labels,
        s_batch=masks,
        call_kwargs={"one": {"batch_size": 3}},
    )
    for metric in ("MAP", "EC"):
        scores = np.array(found["Saliency"][metric])
        assert scores.shape == (COUNT,)
        assert ((scores > 0) & (scores < 1)).all()


def test_undefined_images(rng, batch):
    images, labels, masks = batch
    maps = rng.random((COUNT, 3, 4))
    masks[0], maps[1], maps[2, 0, 0] = False, 0, np.nan
    scores = MembraneActivationPrecision()(None, images, labels, maps, masks)
    np.testing.assert_array_equal(np.isnan(scores), [True, True, True, False, False])
    mean = MembraneActivationPrecision(return_aggregate=True)
    assert mean(None, images, labels, maps, masks) == [pytest.approx(np.nanmean(scores))]
    none = mean(None, images[:2], labels[:2], maps[:2], masks[:2])
    assert np.isnan(none).tolist() == [True]
    assert len(mean.all_evaluation_scores) == 2


def test_flat_maps_of_the_image_s_grid(batch):
    """Quantus refuses flat attributions; here they are scored: MAP is then chance."""
    images, labels, masks = batch
    scores = MembraneActivationPrecision()(None, images, labels, np.ones(masks.shape), masks)
    np.testing.assert_allclose(scores, masks.mean((1, 2, 3)))


@pytest.mark.parametrize("similarity", ["pearson", "ssim"])
def test_ec_is_the_function_on_the_views(network, batch, similarity):
    images, labels, _ = batch
    scales = itertools.cycle([0.5, 2.0, -1.0])  # of the views of one image after another

    def scale(x, rng):
        return x * np.float32(next(scales))

    metric = ExplanationConsistency(similarity, perturb=scale, n_views=3)
    scores = metric(network, images, labels, explain_func=gradient)
    sets = [gradient(network, images * np.float32(s), labels) for s in (1, 0.5, 2.0, -1.0)]
    views = np.stack(sets, axis=1)
    expected = [mx.ec_score(maps, similarity=similarity) for maps in views]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "perturb",
    [
        gaussian_noise,
        lambda x, rng: x * np.float32(rng.uniform(0.5, 1.5)),  # one number a call
        lambda x, rng: x + rng.normal(0, 0.5, x.shape).astype(x.dtype),
    ],
)
def test_ec_of_an_image_does_not_depend_on_its_batch_mates(network, batch, perturb):
    images, labels, _ = batch
    metric = ExplanationConsistency(perturb=perturb, n_views=2, seed=3)

    def scores(which, **options):
        return metric(network, images[which], labels[which], explain_func=gradient, **options)

    whole = scores(slice(None))
    assert len(set(whole)) == COUNT
    np.testing.assert_allclose(scores(slice(None), batch_size=2), whole, rtol=1e-4)
    np.testing.assert_allclose(scores(slice(None), batch_size=1), whole, rtol=1e-4)
    np.testing.assert_allclose(scores([3, 0]), np.array(whole)[[3, 0]], rtol=1e-4)
    np.testing.assert_allclose(scores([4]), whole[4:], rtol=1e-4)


def test_ec_repeats_itself_and_follows_its_seed(network, batch):
    images, labels, _ = batch
    given = gradient(network, images, labels)
    metric = ExplanationConsistency(n_views=2, seed=1)
    first = metric(network, images, labels, explain_func=gradient)
    assert metric(network, images, labels, explain_func=gradient) == first
    assert metric(network, images, labels, given, explain_func=gradient) == pytest.approx(first)
    other = ExplanationConsistency(n_views=2, seed=2)
    assert other(network, images, labels, explain_func=gradient) != first


def test_ec_of_flat_explanations_is_undefined(network, batch):
    images, labels, _ = batch

    def flat(model, inputs, targets, **_):
        maps = gradient(model, inputs, targets)
        maps[1] = 1  # one of the batch: Quantus refuses a batch of nothing else
        return maps

    scores = ExplanationConsistency(n_views=2)(network, images, labels, explain_func=flat)
    assert np.isnan(scores).tolist() == [False, True, False, False, False]


def test_noise_has_the_size_it_says(rng):
    images = rng.random((2, 3, 64, 64)) * np.array([1, 10])[:, None, None, None]
    images = images.astype(np.float32)
    noisy = gaussian_noise(images, rng)
    assert (noisy.dtype, noisy.shape) == (np.float32, images.shape)
    np.testing.assert_allclose((noisy - images).std((1, 2, 3)), [0.05, 0.5], rtol=0.05)


def test_bad_input(rng, network, batch):
    images, labels, masks = batch
    maps = rng.random((COUNT, 3, 4))
    metric = MembraneActivationPrecision()
    with pytest.raises(InvalidInputError, match="s_batch is None; it takes the membrane masks"):
        metric(None, images, labels, maps)
    with pytest.raises(InvalidInputError, match="a_batch has 4 maps for 5 images; it takes one"):
        metric(None, images, labels, maps[1:], masks)
    with pytest.raises(InvalidInputError, match="model and explain_func are needed"):
        ExplanationConsistency()(None, images, labels, maps)
    message = re.escape("a_batch has shape (5, 3, 12, 12)")
    with pytest.raises(InvalidInputError, match=message):
        ExplanationConsistency()(network, images, labels, images, explain_func=gradient)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MembraneActivationPrecision("precision"), "score is 'precision'"),
        (lambda: MembraneActivationPrecision(negative="keep"), "negative is 'keep'"),
        (lambda: ExplanationConsistency("dice"), "similarity is 'dice'; it takes one of"),
        (lambda: ExplanationConsistency(n_views=0), "n_views is 0; it takes a positive integer"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        make()


def test_what_quantus_reads_of_a_metric():
    metric = MembraneActivationPrecision()
    assert metric.name == "Membrane Activation Precision"
    found = (metric.score_direction.value, metric.evaluation_category.value)
    assert found == ("higher", "Localisation")
    assert metric.get_params["score"] == "map"
    assert ExplanationConsistency().evaluation_category.value == "Robustness"


def test_arrays_that_torch_refuses_are_explained(network, batch):
    """Images whose order is turned by steps backwards, and tensors as maps and masks."""
    images, labels, masks = batch
    metric = ExplanationConsistency(n_views=2)
    turned = metric(network, images[::-1], labels[::-1], explain_func=gradient)
    straight = metric(network, images, labels, explain_func=gradient)
    assert turned == pytest.approx(straight[::-1])
    foreign = metric(network, images.astype(">f4"), labels, explain_func=gradient)
    assert foreign == pytest.approx(straight)
    maps = np.abs(images).mean(1)
    given = (torch.tensor(maps, requires_grad=True), torch.tensor(masks))
    found = MembraneActivationPrecision()(None, torch.tensor(images), labels, *given)
    assert found == pytest.approx(MembraneActivationPrecision()(None, images, labels, maps, masks))


@pytest.mark.parametrize("seed", ["a", -1, 1.5, True])
def test_a_seed_that_is_none(seed):
    with pytest.raises(InvalidInputError, match=re.escape(f"seed is {seed!r}; it takes an integ")):
        ExplanationConsistency(seed=seed)
