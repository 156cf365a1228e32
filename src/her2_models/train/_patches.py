"""Data sets of patches for training and prediction, the same ones after a restart."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from her2_models.config import AugmentConfig
from her2_models.data import Record
from her2_models.models import InputSpec, input_mpp, random_window, windows
from her2_models.train._augment import Augmentation
from membrane_xai.errors import missing
from membrane_xai.io import Image, read_image

try:
    import torch
    from torch.utils.data import Dataset, Sampler
except ImportError as error:
    raise missing(error, "training", extra="her2") from error

__all__ = ["Batch", "EpochSampler", "TrainingPatches", "ViewedPatches", "collate"]

_CACHE_BYTES = 2**30  # of whole images that a process keeps
_ALL = (slice(None), slice(None))


class Batch(NamedTuple):
    """Views of images; several of them may show the same one."""

    views: torch.Tensor
    """(n, 3, size, size) float32."""
    labels: torch.Tensor
    """(n,) int64."""
    records: torch.Tensor
    """(n,) int64, which record each view shows."""
    um_per_pixel: torch.Tensor
    """(n,) float32, micrometres per pixel of each view; NaN where unknown."""


class View(NamedTuple):
    """What is shown of an image."""

    pixels: torch.Tensor
    """(3, size, size) uint8."""
    um_per_pixel: float


class _Whole:
    """Whole images at the input's size, kept in memory while they fit."""

    def __init__(self, records: Sequence[Record], spec: InputSpec) -> None:
        self._records, self._spec = records, spec
        self._kept: dict[int, View] = {}
        self._room = _CACHE_BYTES // (3 * spec.size**2)

    def __getitem__(self, index: int) -> "View":
        view = self._kept.get(index)
        if view is None:
            view = _view(_read(self._records[index]), _ALL, self._spec)
            if len(self._kept) < self._room:
                self._kept[index] = view
        return view


class TrainingPatches(Dataset[Batch]):
    """One variation of an image for each (epoch, index); the same one whenever it is asked for.

    Parameters
    ----------
    records : sequence of Record
        Of the training split.
    spec : InputSpec
        What the network takes.
    augment : AugmentConfig
        How images vary.
    seed : int
        Of the variations.
    """

    def __init__(
        self, records: Sequence[Record], spec: InputSpec, augment: AugmentConfig, seed: int
    ) -> None:
        self.records = records
        self._spec, self._seed = spec, seed
        self._vary = Augmentation(augment)
        self._magnifications = augment.magnifications
        self._whole = _Whole(records, spec)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, index = key
        seed = np.random.SeedSequence([self._seed, epoch, index]).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(seed))
            view = self._view(index)
            pixels = self._vary(view.pixels)
        label = torch.tensor([self.records[index].score])
        shown = torch.tensor([view.um_per_pixel])
        return Batch(self._spec.normalize(pixels)[None], label, torch.tensor([index]), shown)

    def _view(self, index: int) -> View:
        if not self._magnifications:
            return self._whole[index]
        record, image = self.records[index], _read(self.records[index])
        chosen = self._magnifications[int(torch.randint(len(self._magnifications), ()))]
        cut = random_window(
            image.rgb.shape[:2], mpp=record.mpp, magnification=chosen, size=self._spec.size
        )
        return _view(image, cut, self._spec)


class ViewedPatches(Dataset[Batch]):
    """Images as they are: whole, or every window of them at each magnification.

    Parameters
    ----------
    records : sequence of Record
        Of any split.
    spec : InputSpec
        What the network takes.
    magnifications : tuple of float
        Of the objectives to look through; empty for whole images.
    """

    def __init__(
        self, records: Sequence[Record], spec: InputSpec, magnifications: tuple[float, ...] = ()
    ) -> None:
        self.records = records
        self._spec, self._magnifications = spec, magnifications
        self._whole = _Whole(records, spec)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Batch:
        shown = self._views(index)
        views = self._spec.normalize(torch.stack([view.pixels for view in shown]))
        label, record = self.records[index].score, index
        count = (len(views),)
        sizes = torch.tensor([view.um_per_pixel for view in shown])
        return Batch(views, torch.full(count, label), torch.full(count, record), sizes)

    def _views(self, index: int) -> list[View]:
        if not self._magnifications:
            return [self._whole[index]]
        record, image = self.records[index], _read(self.records[index])
        cuts = (
            windows(image.rgb.shape[:2], mpp=record.mpp, magnification=m, size=self._spec.size)
            for m in self._magnifications
        )
        return [_view(image, cut, self._spec) for of_one in cuts for cut in of_one]


class EpochSampler(Sampler[tuple[int, int]]):
    """Give (epoch, index) in an order that depends on seed and epoch alone.

    Parameters
    ----------
    scores : sequence of int
        Of the records.
    seed : int
        Of the orders.
    balanced : bool
        Draw with replacement so that every score is as frequent as the others.
    rank, processes : int
        This process gets every `processes`-th index from `rank` on, all of them as many.
    epoch : callable
        Returns the present epoch. It is asked, since the one that Lightning tells samplers is off
        by one after a restart.
    """

    def __init__(
        self,
        scores: Sequence[int],
        *,
        seed: int,
        balanced: bool = False,
        rank: int = 0,
        processes: int = 1,
        epoch: Callable[[], int],
    ) -> None:
        self._grades = torch.tensor(scores)
        self._seed, self._balanced = seed, balanced
        self._rank, self._processes = rank, processes
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._grades) // self._processes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch = self._epoch()
        order = self._order(epoch)
        missing = len(self) * self._processes - len(order)
        order = torch.cat([order, order[:missing]])[self._rank :: self._processes]
        return iter([(epoch, index) for index in order.tolist()])

    def _order(self, epoch: int) -> torch.Tensor:
        state = np.random.SeedSequence([self._seed, epoch]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]))
        if not self._balanced:
            return torch.randperm(len(self._grades), generator=generator)
        weights = 1 / torch.bincount(self._grades).double()
        return torch.multinomial(
            weights[self._grades], len(self._grades), replacement=True, generator=generator
        )


def collate(batches: Sequence[Batch]) -> Batch:
    """Put batches together.

    Parameters
    ----------
    batches : sequence of Batch
        Of any sizes.

    Returns
    -------
    Batch
    """
    return Batch(*(torch.cat(parts) for parts in zip(*batches, strict=True)))


def _read(record: Record) -> Image:
    return read_image(record.path, mpp=record.mpp)


def _view(image: Image, cut: tuple[slice, slice], spec: InputSpec) -> View:
    """Resize a window of an image to the input."""
    rgb = image.rgb[cut]
    return View(spec.resize(rgb), input_mpp(rgb.shape, mpp=image.mpp, size=spec.size))
