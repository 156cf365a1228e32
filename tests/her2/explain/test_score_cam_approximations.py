"""Score-CAM in low precision and of fewer channels: how close, and of which."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
timm = pytest.importorskip("timm")

from score_cam_subjects import chosen, close, image, masked, small_network, timm_network  # noqa: E402

from her2_models.score_cam import ScoreCAM, approximation_error  # noqa: E402
from her2_models.score_cam._settings import low_precision  # noqa: E402


@pytest.fixture
def small():
    return small_network()


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


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, native):
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: native, raising=False)
    assert low_precision("auto", torch.device("cpu")) is native
    assert low_precision("bf16", torch.device("cpu"))
    assert not low_precision("fp32", torch.device("cpu"))


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_network_in_half_precision(small, kind):
    exact = ScoreCAM(small, [small[1]]).native(image())
    found = ScoreCAM(small.to(kind), [small[1]]).native(image().to(kind))
    assert found.dtype == np.float32
    assert np.corrcoef(found.ravel(), exact.ravel())[0, 1] > 0.999


def test_fewer_channels(small):
    cam = ScoreCAM(small, [small[1]], max_channels=5)
    approximate = cam.native(image(2))
    exact = ScoreCAM(small, [small[1]]).native(image(2))
    found = approximation_error(cam, image(2))
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
