"""``measured_grid``: where the cells of a layer look, by gradients."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._backend.checks import check_seed, is_count
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch._layer import (
    Reshape,
    check_layer,
    check_size,
    kept_output,
    map_of,
)
from membrane_xai.integrations.pytorch._network import differentiable, unchanged

__all__ = ["measured_grid"]

Floats = NDArray[np.float64]

_AT_ONCE = 4  # inputs of a pass; each has a cell of its own, so that one gradient serves all
# Standard error, in cells, at which measuring ends, and above which there is no grid: set by hand,
# the second so that two of them are the least that a score shows.
_ENOUGH, _TOO_LARGE = 0.015, 0.05
_FEWEST = 8  # receptive fields behind a standard error
_USUAL = 128  # of them, from which on any standard error that gives a grid is enough: some seconds
# Inputs that differ by this are padded alike, as strides are powers of two up to it; and with it
# receptive fields of a few cells of 32 pixels lie within the input.
_MORE = 128
# Cells this share of the input away from its border, where receptive fields are cut off.
_MARGIN = 0.4
_STEPS = 200  # of a fixed point; some 30 bring it to a hundredth of a pixel
_STILL = 1e-3  # pixels that a step of it moves at the end
# What networks raise for inputs of a size that they do not take.
_REFUSALS = (AssertionError, IndexError, RuntimeError, ValueError)


class _Field(NamedTuple):
    """A cell by row and column, and the pixel on which its receptive field is centred."""

    cell: tuple[int, int]
    centre: tuple[float, float]


class _Stage(NamedTuple):
    """At which size of the input the cells are measured, and how far they are apart."""

    pixels: tuple[int, int]
    cells: tuple[int, int]
    spacing: tuple[float, float]


def measured_grid(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    size: int | tuple[int, int],
    *,
    reshape: Reshape | None = None,
    channels: int = 3,
    most: int = 1024,
    seed: int = 0,
) -> CamGrid:
    """Measure where the cells of a layer lie on the network's input.

    Of random inputs, the squared gradient of a cell's activations is its effective receptive field;
    the cell lies where that is centred. The mean over inputs and cells away from the border is the
    offset of the grid.

    Parameters
    ----------
    network : torch.nn.Module
        On any device, frozen or not; measured in evaluation mode, and left as it was.
    layer : torch.nn.Module
        Of the network, whose maps are explained.
    size : int or (int, int)
        Rows and columns of the input, as in use: where a network pads may depend on it.
    reshape : callable, optional
        From the layer's output to maps (N, C, h, w), for layers that give tokens or have channels
        last, as `reshape_transform` of pytorch-grad-cam. Networks of timm and torchvision need
        none, see :func:`as_maps`.
    channels : int
        Of the input.
    most : int
        Receptive fields at most, at least 8, four to a pass; measuring ends earlier once the
        offset is known to 0.015 cells, and from 128 on once it is known to 0.05.
    seed : int
        Of the inputs: the same network and seed give the same grid.

    Returns
    -------
    CamGrid
        For ``grid=`` of the metrics.

    Raises
    ------
    InvalidInputError
        A layer that the network does not run or whose output is no map, fewer than 2 rows or
        columns of cells, or cells whose places cannot be told to 0.05 cells, as where each sees the
        whole input alike.

    See Also
    --------
    receptive_field_grid : The same by arithmetic, where the network is plain.

    Notes
    -----
    Receptive fields are wide, and the border of the input cuts them off, so they are measured on an
    input 128 pixels larger, which is padded alike; how many cells it has more gives the spacing.
    For a network of one size, cells that tile its input are taken for granted, and their receptive
    fields show where the first one lies.

    What a network has learned can move the centre of what it sees, so that trained weights measure
    something else than arithmetic says: a little in a ResNet18, most of half a cell in an
    EfficientNet-Lite0.

    Examples
    --------
    A convolution of stride 8 with symmetric padding has its first cell on the first pixel:

    >>> import torch
    >>> from membrane_xai.integrations.pytorch import measured_grid
    >>> _ = torch.manual_seed(0)
    >>> layer = torch.nn.Conv2d(3, 64, 9, stride=8, padding=4)
    >>> grid = measured_grid(torch.nn.Sequential(layer, torch.nn.ReLU()), layer, 64)
    >>> grid.spacing, grid.cells, [round(shift, 1) for shift in grid.shift]
    ((8.0, 8.0), (8, 8), [-0.4, -0.4])

    Tokens and features need to be laid out as maps:

    >>> tokens = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 8, stride=8), torch.nn.Flatten(2))
    >>> measured_grid(tokens, tokens[1], 64)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: layer gives (1, 8, 64); it takes maps (N, C, h, w): ...
    >>> measured_grid(tokens, tokens[1], 64, reshape=lambda x: x.unflatten(2, (8, 8))).spacing
    (8.0, 8.0)
    """
    check_layer(network, layer)
    pixels = check_size(size)
    _check_counts(channels, most)
    random = torch.Generator().manual_seed(check_seed(seed))
    with unchanged(network), differentiable():
        stage = _stage(network, layer, reshape, channels, pixels)
        found: list[_Field] = []
        while True:
            inputs = torch.randn((_AT_ONCE, channels, *stage.pixels), generator=random)
            found += _fields(network, layer, inputs, reshape, random, _chosen(stage, len(found)))
            offsets, errors = _offsets(found, stage)
            if _known(len(found), max(errors)) or len(found) + _AT_ONCE > most:
                break
    if not max(errors) <= _TOO_LARGE:
        raise InvalidInputError(
            f"layer has cells whose places {len(found)} gradients tell to {max(errors):.2f} cells "
            f"only (standard error); it takes {_TOO_LARGE} or less: more with most=, or an earlier "
            f"layer"
        )
    return CamGrid(stage.spacing, offsets, pixels)


def _known(count: int, error: float) -> bool:
    """Tell whether `count` receptive fields tell the offset well enough to stop."""
    return error <= _TOO_LARGE if count >= _USUAL else count >= _FEWEST and error <= _ENOUGH


def _check_counts(channels: Any, most: Any) -> None:
    for name, value, least in (("channels", channels, 1), ("most", most, _FEWEST)):
        if not is_count(value) or value < least:
            raise InvalidInputError(f"{name} is {value!r}; it takes integers from {least}")


def _stage(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    reshape: Reshape | None,
    channels: int,
    pixels: tuple[int, int],
) -> _Stage:
    """Choose a larger input, or this one for a network that takes no other."""

    def cells_of(size: tuple[int, int]) -> tuple[int, int]:
        with torch.no_grad():
            maps = _maps(network, layer, torch.zeros(1, channels, *size), reshape)
        return int(maps.shape[-2]), int(maps.shape[-1])

    cells = cells_of(pixels)
    tiling = pixels[0] / cells[0], pixels[1] / cells[1]
    larger = pixels[0] + _MORE, pixels[1] + _MORE
    try:
        counts = cells_of(larger)
    except _REFUSALS:
        return _Stage(pixels, cells, tiling)
    added = counts[0] - cells[0], counts[1] - cells[1]
    if min(added) < 1:  # a layer that makes the same grid of any input
        return _Stage(pixels, cells, tiling)
    return _Stage(larger, counts, (_MORE / added[0], _MORE / added[1]))


def _maps(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    inputs: torch.Tensor,
    reshape: Reshape | None,
) -> torch.Tensor:
    """Return the layer's maps of inputs, which are brought to the network's device and dtype."""
    like = next(network.parameters(), inputs)
    with kept_output(layer) as kept:
        network(inputs.to(device=like.device, dtype=like.dtype))
    return map_of(kept, reshape, (inputs.shape[-2], inputs.shape[-1]), network, layer)


def _chosen(stage: _Stage, turn: int) -> list[tuple[int, int]]:
    """Return cells away from the border, one for each input of a pass."""
    rows, columns = (_inner(count) for count in stage.cells)
    places = range(turn, turn + _AT_ONCE)
    # Rows and columns turn at different paces, so that all pairs have their turn.
    return [(rows[i % len(rows)], columns[(i + i // len(rows)) % len(columns)]) for i in places]


def _inner(count: int) -> list[int]:
    if count < 2:
        raise InvalidInputError(
            f"layer has {count} row or column of cells; it takes a layer, or a size, with 2 or more"
        )
    inner = [i for i in range(count) if _MARGIN <= (i + 0.5) / count <= 1 - _MARGIN]
    return inner or [(count - 1) // 2, count // 2]


def _fields(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    inputs: torch.Tensor,
    reshape: Reshape | None,
    random: torch.Generator,
    cells: list[tuple[int, int]],
) -> list[_Field]:
    """Return the receptive field of one cell in each input."""
    inputs.requires_grad_()
    maps = _maps(network, layer, inputs, reshape)
    sample = torch.arange(len(cells), device=maps.device)
    row, column = torch.tensor(cells, device=maps.device).T
    # A random sum over channels: the mean of its squared gradient is the sum of theirs.
    weights = torch.randn((len(cells), maps.shape[1]), generator=random).to(maps)
    told = (maps[sample, :, row, column] * weights).sum()
    if not told.requires_grad:
        raise InvalidInputError("layer has no gradient; it takes one that depends on the input")
    (gradient,) = torch.autograd.grad(told, inputs)
    seen = gradient.double().square().sum(1).cpu().numpy()
    return [
        _Field(
            cell,
            (
                _centre(one.sum(1), cell[0], maps.shape[-2]),
                _centre(one.sum(0), cell[1], maps.shape[-1]),
            ),
        )
        for cell, one in zip(cells, seen, strict=True)
    ]


def _centre(profile: Floats, cell: int, count: int) -> float:
    """Return the pixel on which a cell's receptive field is centred."""
    return _balance(profile, (cell + 0.5) * len(profile) / count - 0.5)


def _balance(profile: Floats, start: float) -> float:
    """Return the place around which a profile is balanced, within a window that fits around it.

    Plain centres of mass lean towards the middle of the input, as its border cuts off what lies
    beyond. A window as wide on both sides cuts off both alike.
    """
    side = len(profile)
    edges = np.arange(side + 1) - 0.5
    centre = start
    for _ in range(_STEPS):
        reach = min(centre + 0.5, side - 0.5 - centre)
        inside = np.clip(edges, centre - reach, centre + reach)
        weights = profile * np.diff(inside)
        if not weights.sum() > 0:
            return float("nan")
        before, centre = centre, float(np.average((inside[1:] + inside[:-1]) / 2, weights=weights))
        if abs(centre - before) < _STILL:
            break
    return centre


def _offsets(found: list[_Field], stage: _Stage) -> tuple[tuple[float, float], list[float]]:
    """Return the offset on each axis, and its standard error in cells."""
    cells = np.array([one.cell for one in found])
    offsets = np.array([one.centre for one in found]) - cells * stage.spacing
    if not np.isfinite(offsets).all():
        return (0.0, 0.0), [np.inf, np.inf]
    errors = offsets.std(axis=0, ddof=1) / np.sqrt(len(found)) / stage.spacing
    rows, columns = offsets.mean(axis=0).tolist()
    return (rows, columns), errors.tolist()
