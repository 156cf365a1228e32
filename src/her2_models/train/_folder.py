"""The folder of a run: how far it has come, whether it goes on, and who is at work in it."""

import errno
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from her2_models.config import Config, load_config, to_yaml
from her2_models.data import Manifest, discover
from her2_models.train._checkpoints import read_checkpoint
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.results import atomic_path, check_same

if sys.platform != "win32":  # there nothing keeps a second process out
    import fcntl

__all__ = ["BEST", "LAST", "Progress", "Run", "alone", "begin", "claim", "progress_of", "waited"]

_CONFIG, _WEIGHTS, _SPLITS = "config.yaml", "weights.safetensors", "splits.csv"
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"
_MAY_CHANGE = ("epochs", "patience", "accelerator", "devices", "workers", "tensorboard")
"""Of `train`, what a run that goes on may be told anew: when it ends, and what it runs on."""
_TAKEN = (errno.EWOULDBLOCK, errno.EACCES)
_TRIES, _PAUSE = 30, 0.25  # seconds; PyTorch's workers look every 5 s whether their process lives


class Run(NamedTuple):
    """A folder of a training run."""

    folder: Path
    """Where everything of the run is."""

    @property
    def config(self) -> Config:
        """The configuration, in full."""
        return load_config(self._own(_CONFIG))

    @property
    def weights(self) -> Path:
        """The weights that are tested, safetensors; there once training has ended."""
        return self.folder / _WEIGHTS

    @property
    def manifest(self) -> Manifest:
        """The images with the splits they were given."""
        return discover(self._own(_SPLITS))

    def _own(self, name: str) -> Path:
        """Return a file of the run, or raise where there is none."""
        if not (self.folder / name).is_file():
            raise InvalidInputError(
                f"run is {str(self.folder)!r}, where there is no {name}; it takes the folder of a "
                f"training run, the --out of her2 train"
            )
        return self.folder / name


class Progress(NamedTuple):
    """How far a run has come."""

    epochs: int
    """That are whole."""
    waited: int
    """Of these the last ones, which did not lower the validation loss."""

    def is_enough(self, config: Config) -> bool:
        """Tell whether a run of a configuration ends here."""
        return self.epochs >= config.train.epochs or self.stops_early(config)

    def stops_early(self, config: Config) -> bool:
        """Tell whether the validation loss has not fallen for `train.patience` epochs."""
        patience = 0 if config.published_protocol else config.train.patience
        return 0 < patience <= self.waited


def progress_of(run: Run) -> Progress:
    """Return how far a run has come, from its last checkpoint."""
    if not (run.folder / LAST).exists():
        return Progress(0, 0)
    state = read_checkpoint(run.folder / LAST)
    return Progress(int(state["epoch"]) + 1, waited(state["callbacks"]["History"]["rows"]))


def waited(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return how many epochs, up to the last one, did not lower the validation loss."""
    best, count = float("inf"), 0
    for row in rows:
        best, count = (row["val_loss"], 0) if row["val_loss"] < best else (best, count + 1)
    return count


def claim(run: Run, config: Config, *, writes: bool) -> bool:
    """Check that a folder is for a configuration, and tell whether there is anything to train.

    Parameters
    ----------
    run : Run
        The folder. One in which no epoch has ended is free for any configuration.
    config : Config
        What to do. In a folder with whole epochs it may differ in when the run ends and in what it
        runs on.
    writes : bool
        Whether this process writes, the first of several.

    Returns
    -------
    bool
        False where the run has ended, and has its weights or all they are made of.

    Raises
    ------
    InvalidInputError
        The folder has a run of other settings, one that was stopped after more epochs, or one that
        cannot go on because its last checkpoint is gone.

    Warns
    -----
    MembraneXAIWarning
        A run that has ended is left as it is, although another number of epochs was asked for.
    """
    path = run.folder / _CONFIG
    if not run.weights.exists() and not progress_of(run).epochs:
        if writes:
            _start(run, config)
        return True
    before = load_config(path) if path.exists() else config
    check_same(_identity(before), _identity(config), what="a run", where=path)
    if run.weights.exists():
        if _ends(before) == _ends(config):
            return False
        _check_checkpoint(run, before, config)
    progress = progress_of(run)
    if run.weights.exists() and progress.is_enough(config):
        _say_left(run, progress, config)
    elif config.train.epochs < progress.epochs:
        raise InvalidInputError(
            f"train.epochs is {config.train.epochs}, and {run.folder} has {progress.epochs} whole "
            f"epochs; it takes {progress.epochs} or more, or another folder"
        )
    return not progress.is_enough(config)


def begin(run: Run, config: Config) -> None:
    """Write the configuration, and remove the weights of fewer epochs; called when all is ready."""
    _write(run.folder / _CONFIG, config)
    run.weights.unlink(missing_ok=True)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a folder; a process that dies lets go of it.

    Raises
    ------
    InvalidInputError
        Another process trains there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    place = os.open(folder, os.O_RDONLY)
    try:
        if not _locked(place):
            raise InvalidInputError(
                f"out is {str(folder)!r}, where another process trains; it takes another folder, "
                f"or the end of that process"
            )
        yield
    finally:
        os.close(place)


def _locked(place: int) -> bool:
    """Try to lock a folder, for as long as the workers of a process that was killed may live."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _TAKEN:
                return True  # a file system without locks
            time.sleep(_PAUSE)
        else:
            return True
    return False


def _start(run: Run, config: Config) -> None:
    """Write the configuration, and remove what one that trained nothing has left."""
    path = run.folder / _CONFIG
    drawn = run.folder / "slides"
    if config.data.path is not None or not _is(path, config):
        # Images may have come, gone or been mended since they were split.
        (run.folder / _SPLITS).unlink(missing_ok=True)
    if not _is(path, config) and (drawn / "manifest.json").exists():
        shutil.rmtree(drawn)
    _write(path, config)


def _is(path: Path, config: Config) -> bool:
    try:
        return path.exists() and load_config(path) == config
    except InvalidInputError:
        return False


def _write(path: Path, config: Config) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(to_yaml(config), encoding="utf-8")


def _identity(config: Config) -> dict[str, Any]:
    """Return what the weights of each epoch come from."""
    values = config.to_dict()
    values["train"] = {k: v for k, v in values["train"].items() if k not in _MAY_CHANGE}
    return values


def _ends(config: Config) -> tuple[int, int]:
    return config.train.epochs, config.train.patience


def _check_checkpoint(run: Run, before: Config, config: Config) -> None:
    if not (run.folder / LAST).exists():
        raise InvalidInputError(
            f"train.epochs is {config.train.epochs} and train.patience {config.train.patience}, "
            f"before {before.train.epochs} and {before.train.patience}, and {run.folder} has no "
            f"{LAST} to go on from; take those of before, or another folder"
        )


def _say_left(run: Run, progress: Progress, config: Config) -> None:
    """Say that a run that has ended is not that of as many epochs as were asked for."""
    if config.train.epochs == progress.epochs:
        return
    why = "fewer take another folder"
    if config.train.epochs > progress.epochs:
        why = (
            f"the last {progress.waited} did not lower the validation loss (train.patience is "
            f"{config.train.patience}); it goes on with a larger train.patience, or with 0"
        )
    warnings.warn(
        f"train.epochs is {config.train.epochs}, and the run in {run.folder} has ended after "
        f"{progress.epochs} epochs and is left as it is: {why}",
        MembraneXAIWarning,
        stacklevel=4,
    )
