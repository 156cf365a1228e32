"""Model-randomisation check: an explanation must change when what the network learned is lost."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from her2_models.models._unfreeze import LayerGroup
from membrane_xai.errors import InvalidInputError, missing

try:
    import torch
except ImportError as error:
    raise missing(error, "randomization", extra="her2") from error

__all__ = ["MODES", "Stage", "randomized", "stages"]

MODES = ("cascading", "independent")
"""From the head down to a layer, all layers at once; or each layer alone."""


class Stage(NamedTuple):
    """Layers to randomise together.

    Attributes
    ----------
    mode : str
        One of :data:`MODES`.
    reached : str
        The layer nearest to the input.
    parameters : tuple of str
        Names within the network.
    """

    mode: str
    reached: str
    parameters: tuple[str, ...]


def stages(groups: Sequence[LayerGroup], mode: str) -> list[Stage]:
    """Return what to randomise, from the head towards the input.

    Parameters
    ----------
    groups : sequence of LayerGroup
        From the input to the head, as :func:`her2_models.models.layer_groups` gives them.
    mode : {"cascading", "independent"}
        See :data:`MODES`.

    Returns
    -------
    list of Stage
        As many as there are groups.

    Raises
    ------
    InvalidInputError
        Another mode.

    Examples
    --------
    >>> from her2_models.models import stages
    >>> from her2_models.models import LayerGroup
    >>> groups = [LayerGroup("stem", ("stem.weight",)), LayerGroup("fc", ("fc.weight", "fc.bias"))]
    >>> for stage in stages(groups, "cascading"):
    ...     print(stage.reached, stage.parameters)
    fc ('fc.weight', 'fc.bias')
    stem ('fc.weight', 'fc.bias', 'stem.weight')
    """
    if mode not in MODES:
        raise InvalidInputError(f"mode is {mode!r}; it takes {' or '.join(map(repr, MODES))}")
    found: list[Stage] = []
    for group in reversed(groups):
        before = found[-1].parameters if found and mode == "cascading" else ()
        found.append(Stage(mode, group.name, before + group.parameters))
    return found


@contextmanager
def randomized(
    network: torch.nn.Module, parameters: Sequence[str], *, seed: int = 0
) -> Iterator[None]:
    """Shuffle the values of parameters within each tensor, and put them back in the end.

    What was learned is lost, but the size of activations is kept, so that a change of the
    explanation tells of the weights and not of a network that has gone silent. A parameter is
    shuffled alike, whichever others are.

    Parameters
    ----------
    network : torch.nn.Module
        Altered while the block runs, given back as it was also after an exception.
    parameters : sequence of str
        Their names.
    seed : int
        Of the order.

    Raises
    ------
    InvalidInputError
        The network has no such parameter.

    Notes
    -----
    Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018, initialise the layers anew
    instead; with batch norm in evaluation mode, as it is when a network is explained, that leaves
    statistics that fit no activation.

    Examples
    --------
    >>> import torch
    >>> from her2_models.models import randomized
    >>> layer = torch.nn.Linear(4, 1, bias=False)
    >>> _ = layer.weight.data.copy_(torch.arange(4.0))
    >>> with randomized(layer, ["weight"], seed=2):
    ...     shuffled = layer.weight.detach().clone()
    >>> shuffled.tolist() != layer.weight.tolist(), sorted(shuffled.tolist()[0])
    (True, [0.0, 1.0, 2.0, 3.0])
    >>> layer.weight.tolist()
    [[0.0, 1.0, 2.0, 3.0]]
    """
    own = dict(network.named_parameters())
    for name in parameters:
        if name not in own:
            raise InvalidInputError(f"parameters has {name!r}, which the network lacks")
    kept = {name: own[name].detach().clone() for name in parameters}
    places = {name: place for place, name in enumerate(own)}
    try:
        for name in parameters:
            _shuffle(own[name], seed, places[name])
        yield
    finally:
        with torch.no_grad():
            for name, values in kept.items():
                own[name].copy_(values)


def _shuffle(parameter: torch.Tensor, seed: int, place: int) -> None:
    # torch's own generator takes 32 bits of a seed, which seed and place do not fit into.
    order = np.random.default_rng([seed, place]).permutation(parameter.numel())
    shuffled = parameter.detach().flatten()[torch.from_numpy(order).to(parameter.device)]
    with torch.no_grad():
        parameter.copy_(shuffled.view_as(parameter))
