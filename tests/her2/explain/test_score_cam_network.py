"""Score-CAM and its network: what is folded, what is left as it was, what is not taken."""

import re
import subprocess
import sys

import numpy as np
import pytest

from membrane_xai.errors import InvalidInputError

torch = pytest.importorskip("torch")
pytorch_grad_cam = pytest.importorskip("pytorch_grad_cam")
timm = pytest.importorskip("timm")

from score_cam_subjects import (  # noqa: E402
    VARIANTS,
    chosen,
    close,
    image,
    library_map,
    small_network,
    timm_network,
    with_statistics,
)
from torch import nn  # noqa: E402

from her2_models.score_cam import ScoreCAM  # noqa: E402
from her2_models.score_cam._fold import BatchNormWatch, fold_batch_norms  # noqa: E402


@pytest.fixture
def small():
    return small_network()


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


def test_progress_is_drawn_on_demand(small, monkeypatch, capfd):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
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
inputs = torch.rand(1, 3, 144, 144)
ScoreCAM(network, [layer], batch_size=8, max_channels=8)(inputs)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ScoreCAM(network, [layer], batch_size=8)(inputs)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_does_not_grow_with_the_channels():
    """All 512 masked images at once would take 127 MB."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True)
    grown = int(done.stdout) * (1 if sys.platform == "darwin" else 1024)
    assert grown < 30e6


# What is not taken

BAD = {
    "variant": ("captum", "variant is 'captum'; it takes one of 'pytorch-grad-cam', 'torchcam'"),
    "precision": ("fp8", "precision is 'fp8'; it takes one of 'fp32', 'bf16', 'auto'"),
    "batch_size": (0, 'batch_size is 0; it takes a positive integer, or "auto"'),
    "max_channels": (True, "max_channels is True; it takes a positive integer, or None"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_setting_that_is_not_taken(small, name):
    before = state(small)
    value, message = BAD[name]
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        ScoreCAM(small, [small[1]], **{name: value})
    assert state(small) == before


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
