"""Draw the synthetic slides of the configuration ``demo``, as a data set on disk."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from her2_models.config import SyntheticConfig
from her2_models.data._manifest import SPLITS, Manifest, Record
from her2_models.data._manifest_csv import manifest_from_csv
from membrane_xai.datasets import synthetic_her2
from membrane_xai.her2_rule import GRADES
from membrane_xai.results import atomic_path, check_settings

__all__ = ["draw_slides"]

_MANIFEST = "manifest.csv"


class _Slide(NamedTuple):
    name: str
    grade: int
    split: str
    seed: int


def draw_slides(config: SyntheticConfig, folder: str | Path, *, processes: int = 1) -> Manifest:
    """Draw slides and cut patches from them; what is there already is not drawn again.

    A slide is a group of fields of :func:`membrane_xai.datasets.synthetic_her2` with its own stain
    and glass, and one score that is right for each of them. No slide is in two splits.

    Parameters
    ----------
    config : SyntheticConfig
        What to draw.
    folder : str or Path
        Where to: ``{split}/{class}/{slide}_{quadrant}.png`` and ``manifest.csv``.
    processes : int
        That draw at the same time.

    Returns
    -------
    Manifest
        With splits, groups and micrometres per pixel.

    Raises
    ------
    InvalidInputError
        The folder has slides drawn by another configuration.
    """
    folder = Path(folder)
    check_settings(folder, asdict(config), what="slides")
    slides = list(_slides(config))
    if not (folder / _MANIFEST).exists():
        # Forking a process that has loaded torch may dead-lock.
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            written = pool.map(_draw, slides, [config] * len(slides), [folder] * len(slides))
            records = [each for patches in written for each in patches]
        Manifest(tuple(records), "synthetic").to_csv(folder / _MANIFEST)
    return manifest_from_csv(folder / _MANIFEST)


def _slides(config: SyntheticConfig) -> Iterator[_Slide]:
    number = 0
    for split in SPLITS:
        for grade in range(len(GRADES)):
            for i in range(config.slides[split]):
                name = f"{split}-{GRADES[grade]}-{i:03d}"
                yield _Slide(name, grade, split, config.seed * 1_000_003 + number)
                number += 1


def _draw(slide: _Slide, config: SyntheticConfig, folder: Path) -> list[Record]:
    """Draw one slide; called in other processes."""
    place = folder / slide.split / f"class_{GRADES[slide.grade]}"
    paths = [place / f"{slide.name}_{i}.png" for i in range(config.patches_per_slide)]
    if not all(path.exists() for path in paths):
        place.mkdir(parents=True, exist_ok=True)
        for path, rgb in zip(paths, _patches(slide, config), strict=True):
            _write(path, rgb)
    return [
        Record(
            path=path,
            score=slide.grade,
            split=slide.split,
            group=slide.name,
            mpp=config.mpp,
            source="synthetic",
            label_level="patch",
        )
        for path in paths
    ]


def _patches(slide: _Slide, config: SyntheticConfig) -> Iterator[NDArray[np.uint8]]:
    """Draw fields of one slide: each has its own tissue, and the stain and glass of the first."""
    stain: dict[str, Any] = {}
    for seed in np.random.SeedSequence(slide.seed).generate_state(config.patches_per_slide):
        field = synthetic_her2(
            GRADES[slide.grade], size=config.size, mpp=config.mpp, seed=int(seed), **stain
        )
        stain = {"background": field.background, "stain_matrix": field.stain_matrix}
        yield field.rgb


def _write(path: Path, rgb: NDArray[np.uint8]) -> None:
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(rgb).save(temporary, "PNG")
