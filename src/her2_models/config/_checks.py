"""What each value of a configuration may be."""

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["RULES", "Rule"]


class Rule(NamedTuple):
    """A value's place, what it takes in words, and the check."""

    place: str
    takes: str
    accept: Callable[[Any], bool]


def _one_of(place: str, *choices: str) -> Rule:
    return Rule(place, "one of " + ", ".join(choices), lambda x: x in choices)


def _from(place: str, least: int) -> Rule:
    return Rule(place, f"an integer from {least}", lambda x: x >= least)


def _between(place: str, low: float, high: float) -> Rule:
    return Rule(place, f"a number in [{low:g}, {high:g}]", lambda x: low <= x <= high)


def _below(place: str, high: float) -> Rule:
    return Rule(place, f"a number in [0, {high:g})", lambda x: 0 <= x < high)


def _positive(place: str) -> Rule:
    return Rule(place, "a positive number", lambda x: 0 < x < float("inf"))


RULES = (
    Rule(
        "data.synthetic.slides",
        "numbers of slides for train, val and test, from 1",
        lambda x: set(x) == {"train", "val", "test"} and min(x.values()) >= 1,
    ),
    _from("data.synthetic.patches_per_slide", 1),
    Rule("data.synthetic.size", "128 to 1024", lambda x: 128 <= x <= 1024),
    _between("data.synthetic.mpp", 0.2, 1.0),
    _from("data.synthetic.seed", 0),
    _one_of("data.split", "official", "origin", "kfold", "blocks"),
    _below("data.validation_share", 1),
    _from("data.folds", 2),
    _from("data.fold", 0),
    _below("model.dropout", 1),
    _from("model.input_size", 32),
    _one_of("unfreeze.plan", "hybrid", "head", "last", "full", "gradual"),
    _from("unfreeze.groups", 1),
    Rule(
        "unfreeze.schedule",
        "epochs from 0 with numbers of groups from 0, epoch 0 among them",
        lambda x: 0 in x and min(x) >= 0 and min(x.values()) >= 0,
    ),
    _positive("unfreeze.backbone_learning_rate"),
    _between("unfreeze.decay", 0.01, 1),
    _between("augment.rotation", 0, 180),
    _below("augment.colour_jitter", 1),
    _below("augment.stain_jitter", 1),
    Rule(
        "augment.magnifications",
        "objectives from 2.5 to 80, or none",
        lambda x: all(2.5 <= value <= 80 for value in x),
    ),
    _from("train.epochs", 1),
    _from("train.batch_size", 1),
    _one_of("train.optimizer", "adam", "adamw"),
    _positive("train.learning_rate"),
    Rule("train.min_learning_rate", "a number from 0", lambda x: x >= 0),
    Rule("train.weight_decay", "a number from 0", lambda x: x >= 0),
    _one_of("train.loss", "cross_entropy", "ordinal"),
    _below("train.label_smoothing", 1),
    _one_of("train.balance", "none", "weights", "sampling"),
    _from("train.patience", 0),
    _one_of("train.precision", "32-true", "bf16-mixed", "16-mixed"),
    _one_of("train.accelerator", "auto", "cpu", "gpu"),
    _from("train.devices", 1),
    _from("train.workers", 0),
    _from("train.seed", 0),
)
