"""Augmentation of the published protocol, against torchvision's own transforms."""

import dataclasses

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from torchvision.transforms import v2  # noqa: E402

from her2_models.config import load_config  # noqa: E402
from her2_models.train import Augmentation  # noqa: E402


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (3, 24, 24), generator=torch.Generator().manual_seed(0)).byte()


def after(seed, vary, pixels):
    torch.manual_seed(seed)
    return vary(pixels)


@pytest.mark.parametrize("name", ["paper_40x_patch", "paper_40x_wsi", "paper_bci"])
def test_the_published_protocol_varies_as_the_notebook_does(name, pixels):
    """Its three transforms, but that rotated pixels are interpolated; its jitter does nothing."""
    bilinear = v2.InterpolationMode.BILINEAR
    notebook = v2.Compose([
        v2.RandomHorizontalFlip(), v2.RandomRotation(20, interpolation=bilinear), v2.ColorJitter(),
    ])  # fmt: skip
    ours = Augmentation(load_config(name).augment)
    for seed in range(20):
        assert torch.equal(after(seed, ours, pixels), after(seed, notebook, pixels))


def test_vertical_flips_can_be_left_out(pixels):
    told = dataclasses.replace(load_config("paper_bci").augment, rotation=0.0)
    across, down = pixels.flip(2), pixels.flip(1)
    for vertical, expected in ((False, [pixels, across]), (True, [pixels, across, down])):
        vary = Augmentation(dataclasses.replace(told, vertical_flips=vertical))
        found = [after(seed, vary, pixels) for seed in range(40)]
        assert all(any(torch.equal(one, other) for one in found) for other in expected)
        assert vertical == any(torch.equal(one, down) for one in found)
    still = Augmentation(dataclasses.replace(told, flips=False, vertical_flips=True))
    assert all(torch.equal(after(seed, still, pixels), pixels) for seed in range(10))
