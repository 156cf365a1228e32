"""Where a network's cells lie, by gradients and by arithmetic, against counting and each other."""

import copy

import numpy as np
import pytest
import timm
import torch
from symmetric_networks import FAMILIES, activation_sums, symmetric_network

from membrane_xai import CamGrid, perturbation_consistency
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import measured_grid, receptive_field_grid
from membrane_xai.perturb import horizontal_flip, rotation, vertical_flip

FLIPS = (horizontal_flip(), vertical_flip(), rotation(90))


def network_of(name):
    torch.manual_seed(0)
    network = timm.create_model(name, num_classes=4)
    return network, network.get_submodule(network.feature_info[-1]["module"])


def of_layers(*layers):
    torch.manual_seed(0)
    network = torch.nn.Sequential(*layers)
    return network, network[-1]


class Calling(torch.nn.Module):
    """A layer of one function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def picture(size, narrow=1.6):
    """Return a smooth pattern amid grey that the networks take for nothing."""
    from scipy import ndimage

    noise = np.random.default_rng(0).standard_normal((size, size, 3))
    smooth = ndimage.gaussian_filter(noise, (24, 24, 0))
    fade = np.cos(np.clip(np.linspace(-1, 1, size) * narrow, -1, 1) * np.pi / 2) ** 2
    values = 128 + 40 * smooth / smooth.std() * np.outer(fade, fade)[..., None]
    return values.clip(0, 255).round().astype(np.uint8)


@pytest.mark.parametrize(
    ("layers", "spacing", "offset"),
    [
        # The middle of the kernel, less the padding.
        ([torch.nn.Conv2d(3, 8, 3, stride=2, padding=1)], 2, 0),
        ([torch.nn.Conv2d(3, 8, 4, stride=4)], 4, 1.5),
        ([torch.nn.Conv2d(3, 8, 3, stride=2, dilation=2)], 2, 2),
        ([torch.nn.Conv2d(3, 8, 5, padding="same")], 1, 0),
        ([torch.nn.MaxPool2d(3, 2, 1), torch.nn.AvgPool2d(2)], 4, 1),
        # Its second kernel is three cells of 2 pixels, the first of them on pixel 0.
        (
            [torch.nn.Conv2d(3, 8, 7, 2, 3), torch.nn.ReLU(inplace=True), torch.nn.Conv2d(8, 8, 3)],
            2,
            2,
        ),
        # As TensorFlow pads an even input: at its end alone.
        ([torch.nn.ZeroPad2d((0, 1, 0, 1)), torch.nn.Conv2d(3, 8, 3, stride=2)], 2, 1),
        # What is odd of the padding goes to the end.
        pytest.param(
            [torch.nn.Conv2d(3, 8, 4, padding="same")],
            1,
            0.5,
            marks=pytest.mark.filterwarnings("ignore:Using padding='same' with even"),
        ),
        ([torch.nn.ZeroPad2d((1, 0, 3, 0)), torch.nn.Conv2d(3, 8, 8)], 1, (0.5, 2.5)),
        ([torch.nn.Conv2d(3, 8, 3, padding="same", dilation=2)], 1, 0),
        ([torch.nn.Conv2d(3, 8, 3, padding="valid")], 1, 1),
        ([torch.nn.MaxPool2d(3, 2, dilation=2)], 2, 2),
        ([torch.nn.AvgPool2d(3, 2, padding=1)], 2, 0),
        # Without a stride windows lie side by side.
        ([Calling(lambda x: torch.nn.functional.max_pool2d(x, (4,)))], 4, 1.5),
        ([Calling(lambda x: torch.nn.functional.avg_pool2d(x, 4))], 4, 1.5),
        ([Calling(lambda x: torch.nn.functional.adaptive_avg_pool2d(x, x.shape[-2:]))], 1, 0),
        ([Calling(lambda x: x * x.mean(1, keepdim=True) * x.mean((2, 3), keepdim=True))], 1, 0),
    ],
)
def test_arithmetic_is_what_counting_gives(layers, spacing, offset):
    network, layer = of_layers(*layers)
    assert receptive_field_grid(network, layer, 64) == CamGrid(spacing, offset, 64)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: torch.nn.functional.adaptive_avg_pool2d(x, 5), "adaptive pooling resizes"),
        (lambda x: x * x.mean(3, keepdim=True), "leaves one axis of two"),
        (lambda x: x * x.mean(1), "leaves one axis of two"),
        (lambda x: torch.nn.functional.linear(x, torch.eye(64)), "linear mixes the places"),
        (lambda x: torch.nn.functional.layer_norm(x, (64, 64)), "layer_norm mixes places"),
        (lambda x: x + x.permute(0, 1, 3, 2), "add joins paths"),
        # Both begin on pixel 0 and have 32 cells, of one and of two pixels.
        (
            lambda x: (
                torch.nn.functional.pad(x, (0, -32, 0, -32))
                + torch.nn.functional.avg_pool2d(x, 1, 2)
            ),
            "add joins paths",
        ),
        (lambda x: x + x.flip(3), "flip is none of the operations"),
    ],
)
def test_arithmetic_refuses_what_moves_places(function, words):
    network, layer = of_layers(Calling(function))
    with pytest.raises(InvalidInputError, match=words):
        receptive_field_grid(network, layer, 64)


def test_arithmetic_agrees_with_the_support_of_the_gradient():
    network, layer = of_layers(
        torch.nn.Conv2d(3, 4, 5, stride=3, padding=1), torch.nn.Conv2d(4, 4, 4, stride=2, padding=1)
    )
    inputs = torch.randn(1, 3, 61, 61, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(inputs)[0, :, 4, 4].sum(), inputs)
    seen = gradient[0].abs().sum((0, 2)).nonzero().ravel()
    middle = (seen.min() + seen.max()).item() / 2
    found = receptive_field_grid(network, layer, 61)
    assert found.offset[0] + 4 * found.spacing[0] == middle


@pytest.mark.parametrize(
    ("name", "size", "shift"),
    [
        ("resnet18", 224, -31 / 64),
        ("resnet18", 225, -31 / 64),
        ("densenet121", 224, -1.5 / 32),
        ("convnext_atto", 224, 0),
        ("test_efficientnet", 224, -31 / 64),
        # Padded as by TensorFlow: at the end of even inputs, on both sides of odd ones.
        ("tf_efficientnet_lite0", 224, 31 / 64),
        ("tf_efficientnet_lite0", 225, -31 / 64),
    ],
)
def test_arithmetic_of_networks_of_timm(name, size, shift):
    network, layer = network_of(name)
    found = receptive_field_grid(network, layer, size)
    assert found.spacing == (32, 32)
    assert found.shift == pytest.approx((shift, shift), abs=1e-12)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "convnext_atto", "test_efficientnet"])
def test_gradients_agree_with_arithmetic_to_a_twentieth_of_a_cell(name):
    network, layer = network_of(name)
    told, seen = receptive_field_grid(network, layer, 96), measured_grid(network, layer, 96)
    assert seen.spacing == told.spacing
    np.testing.assert_allclose(seen.shift, told.shift, atol=0.05)


def test_both_on_an_input_that_is_not_square():
    layers = [torch.nn.Conv2d(3, 32, 7, stride=4, padding=3), torch.nn.ReLU()]
    network, layer = of_layers(*layers)
    told = receptive_field_grid(network, layer, (64, 96))
    assert told == CamGrid(4, 0, (64, 96))
    seen = measured_grid(network, layer, (64, 96))
    assert (seen.spacing, seen.size) == ((4, 4), (64, 96))
    np.testing.assert_allclose(seen.shift, told.shift, atol=0.05)


def test_measuring_goes_on_until_the_offset_is_known():
    # Two channels that see one pixel each, a cell before and a cell after the middle: with weights
    # a and b a cell is centred at (b^2 - a^2) / (a^2 + b^2) cells, whose standard deviation is
    # 0.71. So 128 of them have a standard error of 0.06 or so, and 200 one of 0.05.
    layer = torch.nn.Conv2d(3, 2, 17, stride=8, padding=8, bias=False)
    torch.nn.init.zeros_(layer.weight)
    layer.weight.data[0, :, 0, 0] = layer.weight.data[1, :, 16, 16] = 1
    network = torch.nn.Sequential(layer, torch.nn.Tanh())
    with pytest.raises(InvalidInputError, match=r"128 gradients tell to 0\.07 cells only"):
        measured_grid(network, layer, 64, most=128)
    found = measured_grid(network, layer, 64)
    np.testing.assert_allclose(found.shift, -7 / 16, atol=0.1)  # of pixel 0 from pixel 3.5


def test_paths_that_differ_are_measured_only():
    network, layer = network_of("test_resnet")  # a ResNet-D: its shortcuts average over 2x2
    with pytest.raises(InvalidInputError, match=r"add joins paths that lie 0\.25 cells apart"):
        receptive_field_grid(network, layer, 160)
    assert -0.484 < measured_grid(network, layer, 160).shift[0] < 0


def test_tokens_of_a_transformer():
    network, _ = network_of("test_vit")
    layer = network.blocks[-1].norm1

    def to_map(tokens):
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (10, 10))

    found = measured_grid(network, layer, 160, reshape=to_map)
    assert found.spacing == (16, 16)
    np.testing.assert_allclose(found.shift, 0, atol=0.05)
    told = measured_grid(network, layer, 160)  # as timm says how its tokens lie
    assert told.spacing == (16, 16)
    np.testing.assert_allclose(told.shift, 0, atol=0.05)
    with pytest.raises(InvalidInputError, match="use measured_grid"):
        receptive_field_grid(network, layer, 160)


def test_channels_last_are_told_and_taken():
    class Last(torch.nn.Module):
        def forward(self, x):
            return x.permute(0, 2, 3, 1)

    network, layer = of_layers(torch.nn.Conv2d(3, 64, 8, stride=8), Last())
    for find in (measured_grid, receptive_field_grid):
        with pytest.raises(InvalidInputError, match="pass reshape= if channels are last"):
            find(network, layer, 64)
    found = measured_grid(network, layer, 64, reshape=lambda x: x.permute(0, 3, 1, 2))
    np.testing.assert_allclose(found.shift, 0, atol=0.05)


def test_the_network_is_left_as_it_was():
    network, layer = network_of("test_efficientnet")
    network.train()
    network.bn1.eval()
    network.requires_grad_(False)
    modes = [module.training for module in network.modules()]
    before = copy.deepcopy(network.state_dict())
    torch.manual_seed(1)
    drawn = torch.rand(())
    torch.manual_seed(1)
    first = measured_grid(network, layer, 96)
    receptive_field_grid(network, layer, 96)
    assert torch.rand(()) == drawn  # the generator of others was not touched
    assert [module.training for module in network.modules()] == modes
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(now, before[name]) for name, now in network.state_dict().items())
    assert not any(module._forward_hooks for module in network.modules())
    assert measured_grid(network, layer, 96) == first
    assert measured_grid(network, layer, 96, seed=1) != first


def test_what_follows_a_layer_may_overwrite_its_output():
    class Overwriting(torch.nn.Module):
        def forward(self, x):
            return x.zero_()

    network, _ = of_layers(torch.nn.Conv2d(3, 8, 4, stride=4), Overwriting())
    np.testing.assert_allclose(measured_grid(network, network[0], 32).shift, 0, atol=0.05)


def test_cells_that_see_everything_alike_have_no_grid():
    class Mixed(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3), keepdim=True).expand(x.shape)

    network, layer = of_layers(torch.nn.Conv2d(3, 4, 4, stride=4), Mixed())
    with pytest.raises(InvalidInputError, match=r"tell to .* cells only \(standard error\)"):
        measured_grid(network, layer, 64, most=16)
    with pytest.raises(InvalidInputError, match="places that receptive fields do not tell"):
        receptive_field_grid(network, layer, 64)


def test_errors_name_the_argument():
    network, layer = of_layers(torch.nn.Conv2d(3, 4, 64))
    other = torch.nn.ReLU()
    with pytest.raises(InvalidInputError, match="layer is a ReLU that network does not have"):
        measured_grid(network, other, 64)
    with pytest.raises(
        InvalidInputError, match=r"size is \(0, 0\); it takes two positive integers"
    ):
        receptive_field_grid(network, layer, 0)
    with pytest.raises(InvalidInputError, match="most is 2; it takes integers from 8"):
        measured_grid(network, layer, 64, most=2)
    shared, idle = torch.nn.ReLU(), torch.nn.ReLU()
    twice = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4), shared, torch.nn.Conv2d(4, 4, 1), shared)
    with pytest.raises(InvalidInputError, match="layer ran 2 times in one pass"):
        receptive_field_grid(twice, shared, 64)
    twice.append(torch.nn.ModuleList([idle])).forward = lambda x: x
    with pytest.raises(InvalidInputError, match="layer ran 0 times in one pass"):
        receptive_field_grid(twice, idle, 64)
    with pytest.raises(InvalidInputError, match="network is a str; it takes a torch"):
        measured_grid("resnet18", layer, 64)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu():
    network, layer = network_of("test_efficientnet")
    here = receptive_field_grid(network, layer, 96)
    network.cuda()
    assert receptive_field_grid(network, layer, 96) == here
    np.testing.assert_allclose(measured_grid(network, layer, 96).shift, here.shift, atol=0.05)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_network_of_symmetric_kernels_is_equivariant_once_registered(name):
    network, layer = symmetric_network(name)
    # Fields of a Lite0 that has learned nothing are wide: its picture stays away from the border.
    size, narrow = (608, 4) if name == "tf_efficientnet_lite0" else (224, 1.6)
    explain, image = activation_sums(network, layer), picture(size, narrow)
    try:
        grid = receptive_field_grid(network, layer, size)
    except InvalidInputError:
        grid = measured_grid(network, layer, size)
    registered = perturbation_consistency(explain, [image], FLIPS, grid=grid)
    assert registered.valid_share.min() > 0.7
    # The paths of a ResNet-D lie a quarter of a cell apart: no one grid is all of it. In others, an
    # even input's flip meets strides a pixel off.
    least = 0.997 if name == "test_resnet" else 0.9985
    assert registered.similarity.min() > least
    assert registered.ec[0] > (0.998 if name == "test_resnet" else 0.999)
    if abs(grid.shift[0]) > 0.4 and size == 224:
        assert perturbation_consistency(explain, [image], FLIPS).ec[0] < 0.8


@pytest.mark.parametrize("name", ["resnet18", "test_efficientnet", "tf_efficientnet_lite0"])
def test_inputs_of_32_k_and_1_need_no_registration(name):
    network, layer = symmetric_network(name)
    explain, image = activation_sums(network, layer), picture(225)
    assert perturbation_consistency(explain, [image], FLIPS).ec[0] == pytest.approx(1, abs=1e-6)
    grid = receptive_field_grid(network, layer, 225)
    ends = [first + 32 * 7 for first in grid.offset]  # as far from the end as from the beginning
    assert [224 - end for end in ends] == list(grid.offset)
