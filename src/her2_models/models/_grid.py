"""Where the cells of a network's target layer lie on its input."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from membrane_xai import CamGrid
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import (
    as_maps,
    measured_grid,
    receptive_field_grid,
    unchanged,
)

__all__ = ["Registration", "register"]


class Registration(NamedTuple):
    """Where cells lie, and how that is known.

    Attributes
    ----------
    grid : CamGrid
        Of half-pixel centres where neither way tells.
    source : str
        "measured", "arithmetic" or "half-pixel".
    reason : str
        Why it is not measured; empty if it is.
    """

    grid: CamGrid
    source: str
    reason: str = ""

    def __str__(self) -> str:
        if self.source == "half-pixel":
            return f"cells are taken to lie at half-pixel centres: {self.reason}"
        (rows, columns), (down, right) = self.grid.spacing, self.grid.shift
        return (
            f"cells of {rows:g}x{columns:g} px lie {down:+z.2f} cells down and {right:+z.2f} right "
            f"of half-pixel centres ({self.source})"
        )


def register(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    size: int,
    *,
    reshape: Callable[[Any], Any] | None = None,
) -> Registration:
    """Measure where a layer's cells lie on the network's input, or compute it where that fails.

    What a network has learned moves what a cell sees, in an EfficientNet-Lite0 by most of half a
    cell, so arithmetic is asked only where gradients do not tell: where there are none, or where
    1,024 of them, four to a pass, leave a standard error above 0.05 cells.

    Parameters
    ----------
    network : torch.nn.Module
        As it was trained: what it has learned can move what a cell sees.
    layer : torch.nn.Module
        Whose maps are explained.
    size : int
        Side of the input in pixels.
    reshape : callable, optional
        As in :func:`membrane_xai.integrations.pytorch.measured_grid`.

    Returns
    -------
    Registration

    Raises
    ------
    InvalidInputError
        A layer whose output is no map, such as tokens without `reshape`.

    Examples
    --------
    >>> import timm
    >>> import torch
    >>> from her2_models.models import register
    >>> _ = torch.manual_seed(0)
    >>> network = timm.create_model("test_efficientnet")
    >>> found = register(network, network.blocks[2], 96)
    >>> found.source, found.grid.spacing
    ('measured', (8.0, 8.0))
    """
    try:
        return Registration(measured_grid(network, layer, size, reshape=reshape), "measured")
    except InvalidInputError as error:
        why = error
    try:
        return Registration(receptive_field_grid(network, layer, size), "arithmetic", str(why))
    except InvalidInputError:
        cells = _cells(network, layer, size, reshape)
    if len(cells) != 2 or cells[0] != cells[1]:  # of a square input
        raise why
    return Registration(
        CamGrid.half_pixel((cells[0], cells[1]), (size, size)), "half-pixel", str(why)
    )


def _cells(
    network: torch.nn.Module,
    layer: torch.nn.Module,
    size: int,
    reshape: Callable[[Any], Any] | None,
) -> tuple[int, ...]:
    """Return the shape of the layer's maps without samples and channels."""
    shapes: list[tuple[int, ...]] = []

    def keep(_: torch.nn.Module, __: Any, output: Any) -> None:
        if reshape is None:
            maps = as_maps(output, network, layer, size, argument="reshape")
        else:
            maps = reshape(output)
        shapes.append(tuple(getattr(maps, "shape", ())[2:]))

    handle = layer.register_forward_hook(keep)
    try:
        like = next(network.parameters())
        with unchanged(network), torch.no_grad():
            network(torch.zeros((1, 3, size, size), device=like.device, dtype=like.dtype))
    finally:
        handle.remove()
    return shapes[0] if shapes else ()
