"""The classifier as Lightning trains it, and the callbacks that go with it."""

# ruff: noqa: ARG002  # Lightning gives its hooks more than they need

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from her2_models.config import TrainConfig
from her2_models.models import UnfreezePlan
from her2_models.train._folder import waited
from her2_models.train._losses import Loss
from her2_models.train._patches import Batch
from membrane_xai.errors import MembraneXAIError, missing
from membrane_xai.her2_rule import GRADES
from membrane_xai.tables import write_csv

try:
    import torch
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.callbacks import ModelCheckpoint
    from torchmetrics import MeanMetric, MetricCollection
    from torchmetrics.classification import MulticlassAccuracy, MulticlassCohenKappa
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

__all__ = ["GoingOn", "HER2Module", "History", "HybridUnfreezing", "TrainingError"]

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


class TrainingError(MembraneXAIError, RuntimeError):
    """Training cannot go on; what it had reached is on disk."""


class HER2Module(LightningModule):
    """Train a network by a plan.

    Parameters
    ----------
    network : torch.nn.Module
        With one output a score.
    plan : UnfreezePlan
        Which groups learn, and how fast.
    config : TrainConfig
        Optimizer, schedule, seed.
    loss : callable
        (logits, labels) -> scalar.
    """

    def __init__(
        self, network: torch.nn.Module, plan: UnfreezePlan, config: TrainConfig, loss: Loss
    ) -> None:
        super().__init__()
        self.network, self.plan, self.config, self.loss = network, plan, config, loss
        self.val_loss = MeanMetric()
        self.val_metrics = MetricCollection(
            {
                "val_accuracy": MulticlassAccuracy(len(GRADES), average="micro"),
                "val_kappa": MulticlassCohenKappa(len(GRADES), weights="quadratic"),
            }
        )

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 4) of normalised views (n, 3, size, size)."""
        logits: torch.Tensor = self.network(views.contiguous(memory_format=torch.channels_last))
        return logits

    def train(self, mode: bool = True) -> "HER2Module":
        """Switch to training mode, except for what is frozen."""
        super().train(mode)
        if mode:
            self.plan.eval_frozen(self.network)
        return self

    def on_train_epoch_start(self) -> None:
        """Set the learning rates: a cosine over the epochs, without a state of its own.

        A run that is given more epochs is from there on where one of as many would be.
        """
        least = self.config.min_learning_rate
        share = (1 + math.cos(math.pi * self.current_epoch / self.config.epochs)) / 2
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = least + (group["initial_lr"] - least) * share

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed dropout, so that a batch is the same after a restart."""
        place = [self.config.seed, self.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, _index: int) -> torch.Tensor:
        """Return the loss of a batch, or raise where it is not finite."""
        loss = self.loss(self(batch.views), batch.labels)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}; the state of the epoch "
                f"before is kept. Try a lower train.learning_rate or train.precision=32-true"
                f"{', in another folder' if self.current_epoch else ''}"
            )
        self.log(
            "train_loss",
            loss.detach(),
            on_step=False,
            on_epoch=True,
            sync_dist=True,
            batch_size=len(batch.labels),
        )
        return loss

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Take a batch of the validation split into account."""
        logits = self(batch.views)
        self.val_loss.update(self.loss(logits, batch.labels), weight=len(batch.labels))
        self.val_metrics.update(logits, batch.labels)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics, of all processes together."""
        self.log("val_loss", self.val_loss.compute(), prog_bar=True)
        self.log_dict(self.val_metrics.compute(), prog_bar=True)
        self.val_loss.reset()
        self.val_metrics.reset()

    def configure_optimizers(self) -> Any:
        """Return the optimizer; one parameter group a layer group."""
        config = self.config
        groups = self.plan.parameter_groups(self.network, config.learning_rate, config.weight_decay)
        for group in groups:
            group["initial_lr"] = group["lr"]
        return _OPTIMIZERS[config.optimizer](groups)


class HybridUnfreezing(Callback):
    """Freeze and unfreeze layer groups at the start of each epoch, as the module's plan says."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Let all that will ever learn ask for gradients, before processes agree on which do."""
        module = _her2(pl_module)
        module.plan.apply(module.network, max((s for s in module.plan.starts if s), default=0))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Apply the plan."""
        module = _her2(pl_module)
        module.plan.apply(module.network, trainer.current_epoch)


class History(Callback):
    """Write one row an epoch to a CSV file; rows of an interrupted run are kept.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: list[dict[str, Any]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row."""
        numbers = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rates = {f"lr_{g['name']}": float(g["lr"]) for g in trainer.optimizers[0].param_groups}
        rows = self.rows[: trainer.current_epoch]
        self.rows = [*rows, {"epoch": trainer.current_epoch, **numbers, **rates}]
        if trainer.is_global_zero:
            write_csv(self._path, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows for a checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


class GoingOn(Callback):
    """Fit what a checkpoint keeps of early stopping and of the best epoch to the run of now.

    That may have another patience, or lie in a folder that has been moved.

    Parameters
    ----------
    begin : callable
        Called by the first process when all is ready, before the first step.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Let the folder be that of the configuration."""
        if trainer.is_global_zero:
            self._begin()

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Change the states of other callbacks, before they take them."""
        states = checkpoint["callbacks"]
        rows = states["History"]["rows"]
        losses = [row["val_loss"] for row in rows if math.isfinite(row["val_loss"])]
        for stopping in trainer.early_stopping_callbacks:
            states[stopping.state_key] = stopping.state_dict() | {
                "best_score": torch.tensor(min(losses, default=math.inf)),
                "wait_count": waited(rows),
            }
        for saving in trainer.checkpoint_callbacks:
            state = states.get(saving.state_key)
            if state and isinstance(saving, ModelCheckpoint):
                states[saving.state_key] = _moved(state, Path(str(saving.dirpath)))


def _moved(state: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the state of a `ModelCheckpoint` with its files in a folder."""

    def here(path: str) -> str:
        return str(folder / Path(path).name) if path else path

    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    return {
        **state,
        **{name: here(state[name]) for name in paths if name in state},
        "best_k_models": {here(path): score for path, score in state["best_k_models"].items()},
        "dirpath": str(folder),
    }


def _her2(module: LightningModule) -> HER2Module:
    assert isinstance(module, HER2Module)  # noqa: S101  # the callback goes with this module alone
    return module
