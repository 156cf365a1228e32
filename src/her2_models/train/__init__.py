"""Train a HER2 classifier from a configuration, into a folder that records how it was made."""

import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from her2_models.config import Config
from her2_models.data import Manifest, Record, discover, draw_slides, split_manifest, write_splits
from her2_models.data._pairs import refuse_pairs
from her2_models.models import InputSpec, create_network, input_spec, make_plan
from her2_models.train._augment import Augmentation
from her2_models.train._checkpoints import AtomicCheckpointIO, network_weights, save_weights
from her2_models.train._folder import BEST, LAST, Run, alone, begin, claim
from her2_models.train._losses import class_weights, make_loss, ordinal_loss
from her2_models.train._module import (
    GoingOn,
    HER2Module,
    History,
    HybridUnfreezing,
    TrainingError,
)
from her2_models.train._patches import Batch, EpochSampler, TrainingPatches, ViewedPatches, collate
from her2_models.train._scales import input_mpps
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning, missing
from membrane_xai.her2_rule import GRADES
from membrane_xai.tables import write_csv

try:
    import torch
    from lightning.fabric.utilities.exceptions import MisconfigurationException
    from lightning.fabric.utilities.rank_zero import rank_zero_only
    from lightning.pytorch import LightningDataModule, Trainer, seed_everything
    from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch.utils.data import DataLoader
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

__all__ = [
    "AtomicCheckpointIO",
    "Augmentation",
    "Batch",
    "EpochSampler",
    "HER2Module",
    "History",
    "HybridUnfreezing",
    "Run",
    "TrainingError",
    "TrainingPatches",
    "ViewedPatches",
    "class_weights",
    "collate",
    "input_mpps",
    "is_first",
    "load_data",
    "make_loss",
    "network_weights",
    "ordinal_loss",
    "save_weights",
    "train",
]

_DRAWN = "demo"
"""Name of the only configuration that needs no images."""


def train(config: Config, out: str | Path) -> Run:
    """Train a classifier, or go on where a run of the same configuration stopped or ended.

    What a run that goes on may be told anew is when it ends and what it runs on: ``train.epochs``,
    ``patience``, ``accelerator``, ``devices``, ``workers`` and ``tensorboard``.

    Parameters
    ----------
    config : Config
        What to do.
    out : str or Path
        Folder of the run: ``config.yaml`` in full, ``splits.csv``, ``layers.csv`` (what learns),
        ``history.csv`` (one row an epoch), ``checkpoints/`` and, at the end,
        ``weights.safetensors`` of the epoch with the lowest validation loss; of the last epoch with
        ``published_protocol``.

    Returns
    -------
    Run
        The folder.

    Raises
    ------
    InvalidInputError
        No ``data.path``, unless it is ``demo``; the folder has whole epochs of another
        configuration, or a run that was stopped after more of them; another process trains there; a
        split or a class without images; an image that cannot be read; as
        :func:`her2_models.models.create_network`.
    TrainingError
        The loss is not a number.
    OSError
        The disk is full; checkpoints that were there stay.

    Warns
    -----
    MembraneXAIWarning
        ``train.tensorboard`` without TensorBoard: only ``history.csv`` is written. Fewer
        epochs for a run that has ended, or more for one that ``train.patience`` has ended: it is
        left as it is.

    Notes
    -----
    With more epochs a run goes on from its last one, whether it was stopped or had ended. The
    learning rate of an epoch is by the cosine over the epochs of now: after 10 of 10 epochs it had
    fallen to almost ``min_learning_rate``, and with 20 it begins again at half. Such weights are
    not those of a run that was told 20 from the start.

    A folder in which no epoch has ended is free for any configuration.

    The model is never selected on the test split. ``published_protocol`` selects nothing. On a CPU
    an interrupted run ends with the same weights as one that was not, bit by bit.
    """
    _check_path(config)
    run = Run(Path(out))
    with alone(run.folder) if is_first() else nullcontext():
        return _train(config, run)


def _train(config: Config, run: Run) -> Run:
    if claim(run, config, writes=is_first()):
        _fit(config, run)
    elif run.weights.exists():
        return run
    else:
        begin(run, config)  # it was stopped after its last epoch, or now ends where it was stopped
    if is_first():
        about = {"backbone": config.model.backbone, "scores": " ".join(GRADES)}
        tested = LAST if config.published_protocol else BEST
        save_weights(run.weights, network_weights(run.folder / tested), about)
    return run


def _fit(config: Config, run: Run) -> None:
    data = _HER2Data(config, _split_data(run, config))
    module = _module(config, data, run)
    last = run.folder / LAST
    with warnings.catch_warnings():
        # Lightning advises against what was chosen here, or by the user.
        warnings.filterwarnings("ignore", module="lightning")
        trainer = _trainer(config, module, run)
        with _interruptible(trainer):
            trainer.fit(module, data, ckpt_path=last if last.exists() else None, weights_only=True)


@contextmanager
def _interruptible(trainer: Trainer) -> Iterator[None]:
    """Let Ctrl-C be a KeyboardInterrupt, of which Lightning makes the end of the process."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit:
        if not trainer.interrupted:
            raise
        raise KeyboardInterrupt from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)  # Lightning leaves it ignored


def load_data(config: Config, folder: str | Path) -> Manifest:
    """Find the images of a configuration, and split them; those of ``demo`` are drawn.

    Parameters
    ----------
    config : Config
        Whose `data` says where they are.
    folder : str or Path
        For the synthetic slides of ``demo``.

    Returns
    -------
    Manifest
        With a training, a validation and a test split; with ``published_protocol`` without
        validation split.

    Raises
    ------
    InvalidInputError
        No ``data.path``, unless it is ``demo``; a split that lacks images of a score; H&E and IHC
        of BCI side by side.
    """
    _check_path(config)
    data = config.data
    if data.path is None:
        manifest = draw_slides(data.synthetic, folder, processes=os.cpu_count() or 1)
    else:
        if not Path(data.path).exists():
            raise InvalidInputError(f"data.path is {data.path!r}; there is no such file or folder")
        manifest = discover(
            data.path,
            group_pattern=data.group_pattern,
            mpp=data.mpp,
            magnification=data.magnification,
            label_level=data.label_level,
        )
        manifest = split_manifest(
            manifest,
            data.split,
            validation_share=0.0 if config.published_protocol else data.validation_share,
            seed=config.train.seed,
            n_folds=data.folds,
            fold=data.fold,
            allow_ungrouped=data.allow_ungrouped,
        )
    _check_splits(manifest, config)
    refuse_pairs(manifest.records)
    return manifest


def _check_path(config: Config) -> None:
    """Raise where the images are missing: numbers on drawn slides would bear another name."""
    if config.data.path is None and config.name != _DRAWN:
        raise InvalidInputError(
            f"data.path is None; the configuration {config.name!r} takes a folder or CSV of images "
            f"(--set data.path=DIR), only {_DRAWN!r} draws synthetic slides"
        )


def _check_splits(manifest: Manifest, config: Config) -> None:
    counts = manifest.counts()
    for split in ("train", "test") if config.published_protocol else ("train", "val", "test"):
        row = counts.get(split, (0,) * len(GRADES))
        empty = [GRADES[i] for i, count in enumerate(row) if not count]
        if empty:
            share = split == "val" and not any(row) and not config.data.validation_share
            raise InvalidInputError(
                f"data: the split {split!r} has no image of {', '.join(empty)}; it takes some of "
                f"every score"
                f"{', which data.validation_share=0.15 takes from train' if share else ''}"
            )


def _split_data(run: Run, config: Config) -> Manifest:
    """Return the manifest of the run, the same one after a restart."""
    if not (run.folder / "splits.csv").exists():
        write_splits(load_data(config, run.folder / "slides"), run.folder)
    return run.manifest


def _module(config: Config, data: "_HER2Data", run: Run) -> HER2Module:
    seed_everything(config.train.seed, verbose=False)
    network = create_network(config.model).to(memory_format=torch.channels_last)
    unfreeze = config.unfreeze
    if config.published_protocol:
        unfreeze = replace(unfreeze, freeze_batch_norm=False)
    plan = make_plan(network, unfreeze)
    data.spec = input_spec(network, config.model.input_size)
    if is_first():
        write_csv(run.folder / "layers.csv", plan.table(network))
    balanced = config.train.balance == "weights"
    loss = make_loss(
        config.train.loss,
        label_smoothing=config.train.label_smoothing,
        weights=class_weights(data.grades) if balanced else None,
    )
    return HER2Module(network, plan, config.train, loss)


def _trainer(config: Config, module: HER2Module, run: Run) -> Trainer:
    settings = config.train
    shown = sys.stderr.isatty()
    several = "ddp_find_unused_parameters_true" if module.plan.changes else "ddp"
    with _naming_hardware(config):
        return Trainer(
            max_epochs=settings.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=several if settings.devices > 1 else "auto",
            precision=settings.precision,  # type: ignore[arg-type]
            callbacks=_callbacks(config, run),
            plugins=[AtomicCheckpointIO()],
            logger=_logger(config, run),
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            enable_progress_bar=shown,
            enable_model_summary=False,
            log_every_n_steps=1,
        )


@contextmanager
def _naming_hardware(config: Config) -> Iterator[None]:
    """Raise for hardware that is not there in the words of the configuration."""
    try:
        yield
    except MisconfigurationException as error:
        settings = config.train
        raise InvalidInputError(
            f"train.accelerator is {settings.accelerator!r}, train.devices {settings.devices} and "
            f"train.precision {settings.precision!r}, which this machine does not have: {error}"
        ) from error


def _logger(config: Config, run: Run) -> TensorBoardLogger | bool:
    """Return TensorBoard's logger, False where it is not wanted or not there."""
    if not config.train.tensorboard:
        return False
    try:
        import torch.utils.tensorboard  # noqa: F401  # Lightning imports it only at the first step
    except ImportError:
        if is_first():
            warnings.warn(
                "tensorboard is not installed, so the run is logged to history.csv alone: "
                'pip install "membrane-xai[tensorboard]", or train.tensorboard=false',
                MembraneXAIWarning,
                stacklevel=4,
            )
        return False
    return TensorBoardLogger(run.folder, "tensorboard", "")


def _callbacks(config: Config, run: Run) -> list[Callback]:
    folder = run.folder / "checkpoints"
    callbacks: list[Callback] = [
        GoingOn(lambda: begin(run, config)),
        HybridUnfreezing(),
        History(run.folder / "history.csv"),
        ModelCheckpoint(
            folder, "best", monitor="val_loss", enable_version_counter=False, save_weights_only=True
        ),
    ]
    if config.train.patience and not config.published_protocol:
        callbacks.append(EarlyStopping("val_loss", patience=config.train.patience))
    # Last, so that it holds the state of the others after the epoch.
    callbacks.append(
        ModelCheckpoint(folder, "last", enable_version_counter=False, save_on_train_epoch_end=True)
    )
    return callbacks


class _HER2Data(LightningDataModule):
    """Loaders of the training split and of what is measured after each epoch.

    That is the validation split. The published protocol measures the test split, and goes by none
    of it.
    """

    spec: InputSpec

    def __init__(self, config: Config, manifest: Manifest) -> None:
        super().__init__()
        self._config = config
        splits = manifest.by_split()
        self._train = splits["train"]
        self._val = splits["test" if config.published_protocol else "val"]

    @property
    def grades(self) -> list[int]:
        return [record.score for record in self._train]

    def train_dataloader(self) -> Any:
        settings, trainer = self._config.train, self.trainer
        assert trainer is not None  # noqa: S101  # Lightning attaches it
        progress: Any = trainer.fit_loop.epoch_progress.current
        patches = TrainingPatches(self._train, self.spec, self._config.augment, settings.seed)
        sampler = EpochSampler(
            self.grades,
            seed=settings.seed,
            balanced=settings.balance == "sampling",
            rank=trainer.global_rank,
            processes=trainer.world_size,
            # Not current_epoch, which after a restart is behind when workers are given their first
            # images.
            epoch=lambda: progress.processed,
        )
        # A batch of one image has no batch statistics.
        rest = len(sampler) % settings.batch_size
        return self._loader(patches, sampler=sampler, drop_last=rest == 1 < len(sampler))

    def val_dataloader(self) -> Any:
        trainer = self.trainer
        assert trainer is not None  # noqa: S101
        mine: Sequence[Record] = self._val[trainer.global_rank :: trainer.world_size]
        views = ViewedPatches(mine, self.spec, self._config.augment.magnifications)
        return self._loader(views)

    def _loader(self, patches: Any, **options: Any) -> Any:
        settings = self._config.train
        return DataLoader(
            patches,
            batch_size=settings.batch_size,
            num_workers=settings.workers,
            persistent_workers=settings.workers > 0,
            collate_fn=collate,
            **options,
        )


def is_first() -> bool:
    """Tell the first of the processes, which alone writes.

    Returns
    -------
    bool
        Always true where there is one process.
    """
    return not getattr(rank_zero_only, "rank", 0)
