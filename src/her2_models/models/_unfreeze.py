"""Hybrid layer unfreezing: which groups of a network's layers learn, from which epoch, how fast."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from her2_models.config import UnfreezeConfig
from her2_models.models._head import classifiers, head_name, is_of
from membrane_xai.errors import InvalidInputError, missing

try:
    import torch
    from timm.models import group_parameters
except ImportError as error:
    raise missing(error, "her2_models", extra="her2") from error

__all__ = ["LayerGroup", "UnfreezePlan", "layer_groups", "make_plan"]

HYBRID = 2  # groups of the backbone: layer3 and layer4 of a ResNet


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Parameters that learn or stay together.

    Attributes
    ----------
    name : str
        What their names begin with: "layer4", "blocks.5", "fc".
    parameters : tuple of str
        Names within the network.
    """

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnfreezePlan:
    """When each group of a network learns.

    Attributes
    ----------
    groups : tuple of LayerGroup
        From the input to the head.
    starts : tuple of int or None
        The epoch from which each group learns; None for never.
    factors : tuple of float
        On the learning rate, by group.
    freeze_batch_norm : bool
        Frozen groups do not update the statistics of batch norm (nor drop anything).
    """

    groups: tuple[LayerGroup, ...]
    starts: tuple[int | None, ...]
    factors: tuple[float, ...]
    freeze_batch_norm: bool = True

    def learns(self, epoch: int) -> tuple[bool, ...]:
        """Tell which groups learn in an epoch.

        Parameters
        ----------
        epoch : int
            From 0.

        Returns
        -------
        tuple of bool
            By group.
        """
        return tuple(start is not None and start <= epoch for start in self.starts)

    @property
    def changes(self) -> bool:
        """Whether groups begin to learn after the first epoch."""
        return any(start for start in self.starts)

    def apply(self, network: torch.nn.Module, epoch: int) -> None:
        """Freeze and unfreeze the parameters of a network for an epoch.

        A frozen group at the beginning runs without building a graph: nothing before the first
        learning parameter asks for a gradient. In a network in training mode a group that begins to
        learn is in training mode from then on: its batch norm goes by the batch, and it drops.

        Parameters
        ----------
        network : torch.nn.Module
            Altered in place.
        epoch : int
            From 0.
        """
        parameters = dict(network.named_parameters())
        for group, learning in zip(self.groups, self.learns(epoch), strict=True):
            for name in group.parameters:
                parameters[name].requires_grad_(learning)
        if network.training:
            network.train()  # what was frozen until now, too
        self.eval_frozen(network)

    def eval_frozen(self, network: torch.nn.Module) -> None:
        """Put what is frozen into evaluation mode; to be called after ``network.train()``.

        Parameters
        ----------
        network : torch.nn.Module
            Altered in place.
        """
        if not self.freeze_batch_norm:
            return
        for module in network.modules():
            parameters = list(module.parameters())
            if parameters and not any(p.requires_grad for p in parameters):
                module.eval()

    def parameter_groups(
        self, network: torch.nn.Module, learning_rate: float, weight_decay: float
    ) -> list[dict[str, Any]]:
        """Return the parameters that ever learn, as optimizers take them.

        Parameters
        ----------
        network : torch.nn.Module
            The network of the plan.
        learning_rate, weight_decay : float
            Those of the head.

        Returns
        -------
        list of dict
            One a group, named, with its own learning rate. Parameters that do not learn yet have
            no gradient, and optimizers leave them as they are.
        """
        parameters = dict(network.named_parameters())
        return [
            {
                "name": group.name,
                "params": [parameters[name] for name in group.parameters],
                "lr": learning_rate * factor,
                "weight_decay": weight_decay,
            }
            for group, start, factor in self._rows()
            if start is not None
        ]

    def table(self, network: torch.nn.Module) -> list[dict[str, Any]]:
        """Return one row a group: parameters, those that learn, from when, how fast.

        Parameters
        ----------
        network : torch.nn.Module
            The network of the plan.

        Returns
        -------
        list of dict
            With `group`, `parameters`, `trainable`, `from_epoch`, `learning_rate_factor`; the last
            row is the total.
        """
        sizes = {name: p.numel() for name, p in network.named_parameters()}
        rows: list[dict[str, Any]] = []
        for group, start, factor in self._rows():
            count = sum(sizes[name] for name in group.parameters)
            rows.append(
                {
                    "group": group.name,
                    "parameters": count,
                    "trainable": count if start is not None else 0,
                    "from_epoch": "never" if start is None else str(start),
                    "learning_rate_factor": factor if start is not None else 0.0,
                }
            )
        total = {key: sum(row[key] for row in rows) for key in ("parameters", "trainable")}
        return [
            *rows,
            {"group": "total", **total, "from_epoch": "", "learning_rate_factor": float("nan")},
        ]

    def _rows(self) -> Iterator[tuple[LayerGroup, int | None, float]]:
        return zip(self.groups, self.starts, self.factors, strict=True)


def layer_groups(network: Any) -> tuple[LayerGroup, ...]:
    """Return the groups of layers that timm gives a network, with its head as the last.

    Parameters
    ----------
    network : torch.nn.Module
        Of timm: it has a `group_matcher` and a `get_classifier`.

    Returns
    -------
    tuple of LayerGroup
        From the input to the head: stages of CNNs, blocks of transformers, of different names. The
        head is the classifier, with what normalises and scales the features for it; other layers
        that timm puts beside it, such as the `conv_head` of MobileNetV3, are the group before.

    Raises
    ------
    InvalidInputError
        Not a network of timm, one without a classifier, or one of which timm knows neither groups
        nor stages.

    Examples
    --------
    >>> import timm
    >>> from her2_models.models import layer_groups
    >>> [group.name for group in layer_groups(timm.create_model("resnet18", num_classes=4))]
    ['stem', 'layer1', 'layer2', 'layer3', 'layer4', 'fc']
    """
    name = type(network).__name__
    if not hasattr(network, "group_matcher") and not getattr(network, "feature_info", None):
        raise InvalidInputError(
            f"network is {name}; it takes one of timm's, with a group_matcher or feature_info"
        )
    layers = classifiers(network)
    groups = [list(names) for names in _grouped(network)]
    classes = [each for names in groups for each in names if is_of(each, layers)]
    if not classes or len(groups) < 2:
        raise InvalidInputError(
            f"network is {name}, with {', '.join(layers) or 'nothing'} as its classifier; it "
            f"takes one with a classifier that has parameters, and layers before it"
        )
    beside = [each for each in groups.pop() if each not in classes]
    groups = [[each for each in names if each not in classes] for names in groups]
    parameters = dict(network.named_parameters())
    if any(parameters[each].ndim > 1 for each in beside):  # layers of their own, no normalisation
        groups.append(beside)
    else:
        classes = beside + classes
    stem, *stages = filter(None, groups)
    head = head_name(network)
    names = _distinct([_stage_parts(stage[0]) for stage in stages], taken={"stem", head})
    return (
        LayerGroup("stem", tuple(stem)),
        *(LayerGroup(name, tuple(stage)) for name, stage in zip(names, stages, strict=True)),
        LayerGroup(head, tuple(classes)),
    )


def make_plan(network: Any, config: UnfreezeConfig = UnfreezeConfig()) -> UnfreezePlan:  # noqa: B008  # frozen
    """Decide which groups of a network learn, from which epoch, and how fast.

    Parameters
    ----------
    network : torch.nn.Module
        Of timm.
    config : UnfreezeConfig
        The plan. "hybrid" is the source study's: the last two groups of the backbone and the head.

    Returns
    -------
    UnfreezePlan
        The head always learns from the first epoch.

    Raises
    ------
    InvalidInputError
        More groups than the backbone has.

    Examples
    --------
    >>> import timm
    >>> from her2_models.models import make_plan
    >>> network = timm.create_model("resnet50", num_classes=4)
    >>> plan = make_plan(network)
    >>> [g.name for g, learns in zip(plan.groups, plan.learns(0)) if learns]
    ['layer3', 'layer4', 'fc']
    >>> plan.table(network)[-1]["trainable"]
    22071300
    """
    groups = layer_groups(network)
    backbone = len(groups) - 1
    starts = (*_backbone_starts(config, backbone), 0)
    depth = range(backbone - 1, -1, -1)
    factors = tuple(config.backbone_learning_rate * config.decay**d for d in depth)
    return UnfreezePlan(groups, starts, (*factors, 1.0), config.freeze_batch_norm)


def _backbone_starts(config: UnfreezeConfig, count: int) -> list[int | None]:
    """Return the epoch from which each of the backbone's groups learns."""
    schedules: Mapping[str, Mapping[int, int]] = {
        "hybrid": {0: HYBRID},
        "head": {0: 0},
        "last": {0: config.groups},
        "full": {0: count},
        "gradual": config.schedule,
    }
    starts: list[int | None] = [None] * count
    for epoch, groups in sorted(schedules[config.plan].items()):
        if groups > count:
            raise InvalidInputError(
                f"unfreeze asks for {groups} groups of the backbone, which has {count}"
            )
        for place in range(count - groups, count):
            if starts[place] is None:
                starts[place] = epoch
    return starts


def _grouped(network: Any) -> list[Sequence[str]]:
    """Return the groups that timm makes, or the stages where it makes none, the head with them."""
    if not hasattr(network, "group_matcher"):
        return _stages(network)
    try:
        matched = group_parameters(network, network.group_matcher(coarse=True))
    except (AssertionError, NotImplementedError):  # as RDNet says that it has no coarse groups
        return _stages(network)
    return [names for _, names in sorted(matched.items())]


def _stages(network: Any) -> list[Sequence[str]]:
    """Cut the parameters, in their order, at the ends of the stages whose features timm gives."""
    ends = [stage["module"] for stage in network.feature_info]
    names = [name for name, _ in network.named_parameters()]
    places = [[i for i, name in enumerate(names) if is_of(name, (end,))] for end in ends]
    if not all(places):
        raise InvalidInputError(
            f"network is {type(network).__name__}, which has neither a group_matcher nor the "
            f"layers that its feature_info names ({', '.join(ends)}); it takes one that has"
        )
    holder = ends[0].partition(".")[0]
    first = next(i for i, name in enumerate(names) if is_of(name, (holder,)))
    last = [max(place) + 1 for place in places]
    cuts = [0, first, *last, len(names)]
    return [names[start:stop] for start, stop in itertools.pairwise(cuts)]


def _stage_parts(name: str) -> list[list[str]]:
    """Return names of the stage of a parameter, as in "layer3" or "blocks.6", shortest first."""
    parts = name.split(".")[:-1] or [name]  # without "weight"
    shortest = 1 if parts[0][-1].isdigit() or len(parts) == 1 else 2
    return [parts[:length] for length in range(shortest, len(parts) + 1)]


def _distinct(choices: Sequence[Sequence[Sequence[str]]], taken: set[str]) -> list[str]:
    """Return the shortest names that are not those of another stage, nor taken."""
    length = [0] * len(choices)
    while True:
        names = [".".join(choice[i]) for choice, i in zip(choices, length, strict=True)]
        counts = Counter(names)
        longer = [
            i
            for i, name in enumerate(names)
            if (counts[name] > 1 or name in taken) and length[i] + 1 < len(choices[i])
        ]
        if not longer:
            return names
        for i in longer:
            length[i] += 1
