"""Scores read from a network's output: of classes, or by any function of one output."""

from collections.abc import Sequence
from typing import Any

import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor

from her2_models.score_cam._forward import Read
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.pytorch import class_index

__all__ = ["read_classes", "read_targets"]


def read_classes(classes: Sequence[int], probabilities: bool, outputs: Any) -> Read:
    """Return a function from outputs to the scores of classes, shape (batch, classes).

    Raises
    ------
    InvalidInputError
        A class that the network lacks.
    """
    logits = _logits(outputs, "classes", classes)
    for one in classes:
        if not 0 <= one < logits.shape[1]:
            last = logits.shape[1] - 1
            raise InvalidInputError(f"classes has {one!r}; the network has classes 0 to {last}")
    columns = torch.tensor(classes, device=logits.device)
    return lambda given, image: _scores(given, probabilities)[:, columns]  # noqa: ARG005


def read_targets(targets: Sequence[Any] | None, probabilities: bool, outputs: Any) -> Read:
    """Return a function from outputs to the score of each image's target, shape (batch, 1).

    Without targets it is the class of highest logit.

    Raises
    ------
    InvalidInputError
        No targets and no logits, another number of targets than images, or a class that the network
        lacks.
    """
    if targets is None:
        highest = _logits(outputs, "targets", None).argmax(1)
        return _read_columns(highest.tolist(), outputs, probabilities)
    if len(targets) != len(outputs):
        raise InvalidInputError(
            f"targets has {len(targets)} elements; it takes one for each of {len(outputs)} images"
        )
    if all(type(target) is ClassifierOutputTarget for target in targets):
        categories = [class_index(target.category, "targets' category") for target in targets]
        return _read_columns(categories, outputs, probabilities)
    for target in targets:
        if not callable(target):
            raise InvalidInputError(
                f"targets has {target!r}; it takes functions of an image's output, such as "
                f"ClassifierOutputTarget(1)"
            )

    def read(given: Any, image: Tensor) -> Tensor:
        mine = [targets[index] for index in image.tolist()]
        each = zip(mine, _scores(given, probabilities), strict=True)
        return torch.stack([torch.as_tensor(target(one)).reshape(1) for target, one in each])

    # A target that fails does so now, before the network has run for long.
    read(outputs, torch.arange(len(targets)))
    return read


def _read_columns(categories: Sequence[int], outputs: Any, probabilities: bool) -> Read:
    logits = _logits(outputs, "targets", categories)
    count = logits.shape[1]
    for category in categories:
        if not -count <= category < count:
            raise InvalidInputError(
                f"targets has category {category}; the network has classes 0 to {count - 1}"
            )
    columns = torch.tensor(categories, device=logits.device) % count
    return lambda given, image: _scores(given, probabilities).gather(1, columns[image][:, None])


def _scores(outputs: Any, probabilities: bool) -> Any:
    if not isinstance(outputs, Tensor):
        return outputs
    return torch.softmax(outputs.float(), 1) if probabilities else outputs.float()


def _logits(outputs: Any, argument: str, value: object) -> Tensor:
    if isinstance(outputs, Tensor) and outputs.ndim == 2:
        return outputs
    given = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
    raise InvalidInputError(
        f"{argument} is {value!r}; this takes a network with logits of shape (N, classes), "
        f"not {given}"
    )
