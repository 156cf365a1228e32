"""Checkpoints written whole or not at all, and read without unpickling code."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.results import atomic_path

try:
    import torch
    from lightning.pytorch.plugins.io import TorchCheckpointIO
    from safetensors.torch import save
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

__all__ = ["AtomicCheckpointIO", "network_weights", "read_checkpoint", "save_weights"]

_NETWORK = "network."


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints by way of a temporary file; the one before stays until then."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: Any,
        storage_options: Any = None,  # noqa: ARG002
    ) -> None:
        """Write a checkpoint; the one before stays if that fails, as on a full disk."""
        with io.BytesIO() as buffer:
            torch.save(checkpoint, buffer)
            _replace(Path(path), buffer.getvalue())

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = "cpu",
        weights_only: bool | None = True,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Read a checkpoint; tensors and plain values only."""
        return _load(Path(path), map_location)


def network_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of the network from a checkpoint.

    Parameters
    ----------
    path : Path
        As training writes it.

    Returns
    -------
    dict of str to torch.Tensor

    Raises
    ------
    InvalidInputError
        Not a checkpoint, or one with more than tensors and plain values.
    """
    state: Mapping[str, torch.Tensor] = _load(path, "cpu")["state_dict"]
    return {
        name.removeprefix(_NETWORK): tensor
        for name, tensor in state.items()
        if name.startswith(_NETWORK)
    }


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return what a checkpoint holds; its tensors are read from the file when they are used.

    Raises
    ------
    InvalidInputError
        Not a checkpoint, or one with more than tensors and plain values.
    """
    return _load(path, "cpu", mmap=True)


def save_weights(path: Path, weights: Mapping[str, torch.Tensor], about: Mapping[str, str]) -> None:
    """Write weights as safetensors.

    Parameters
    ----------
    path : Path
        Where to; replaced whole or not at all.
    weights : mapping of str to torch.Tensor
        Of a network.
    about : mapping of str to str
        Goes into the file's header.
    """
    tensors: dict[str, torch.Tensor] = {}
    written: set[int] = set()
    for name, tensor in weights.items():
        tensors[name] = tensor.contiguous()
        if (
            tensors[name].data_ptr() in written
        ):  # of two layers, as in CoaT; safetensors has no ties
            tensors[name] = tensors[name].clone()
        written.add(tensors[name].data_ptr())
    _replace(path, save(tensors, metadata=dict(about)))


def _load(path: Path, map_location: Any, *, mmap: bool = False) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location, weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise
    except Exception as error:  # of zipfile, pickle and torch, for anything but a checkpoint
        raise InvalidInputError(f"{path}: not a checkpoint that can be read: {error}") from error
    return checkpoint


def _replace(path: Path, content: bytes) -> None:
    """Write a file that survives a loss of power, too: hours are in it."""
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, f"{path} cannot be written: {error.strerror}") from error
