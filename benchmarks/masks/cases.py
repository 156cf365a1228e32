"""Images to make masks of: real ones where MEMBRANE_XAI_DATA names some, open ones always."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from skimage.io import imread
from skimage.transform import resize

from membrane_xai.datasets import SyntheticHER2, ihc_sample, synthetic_her2
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import read_image

Mask = NDArray[np.bool_]

FIELD = 256
"""Micrometres that a side of a synthetic field shows."""
FINE = 0.25
"""Micrometres per pixel of a scan at 40x."""

_PIXEL_SIZES = {"her2_ihc_40x": 0.8, "tma_cores": FINE, "annotated": 0.75}  # assumed
_FRAME = 1  # pixels around the annotated crops that are not tissue


class Case(NamedTuple):
    """An image with what is known of it."""

    name: str
    rgb: NDArray[np.uint8]
    mpp: float
    score: str
    """HER2 score; empty if there is none."""
    expert: Mask | None = None
    """Membrane as an expert drew it."""


def real_cases() -> list[Case]:
    """Read HER2 images and controls; none, and a line that says so, without MEMBRANE_XAI_DATA."""
    named = os.environ.get("MEMBRANE_XAI_DATA")
    if not named:
        print("MEMBRANE_XAI_DATA is not set: nothing is measured on real images", file=sys.stderr)
        return []
    return [*_stained(Path(named)), *_controls(Path(named))]


def open_cases() -> list[Case]:
    """Return images that everybody has: scikit-image's, and a synthetic field a score."""
    sample = ihc_sample()
    fields = [synthetic(score, FINE, seed=0) for score in GRADES]
    return [
        Case("ihc_sample", sample.rgb, sample.mpp, ""),
        *(Case(f"synthetic_{field.score}", field.rgb, FINE, field.score) for field in fields),
    ]


def synthetic(score: str, mpp: float, seed: int) -> SyntheticHER2:
    """Draw a field of the same size in micrometres whatever the pixel size."""
    return synthetic_her2(score, size=round(FIELD / mpp), mpp=mpp, seed=seed)


def _stained(folder: Path) -> Iterator[Case]:
    for group, mpp in _PIXEL_SIZES.items():
        for path in sorted((folder / group).iterdir()):
            if path.suffix in (".png", ".jpg") and not path.stem.endswith("_mask"):
                rgb = read_image(path, mpp=mpp).rgb
                yield (
                    _without_frame(path, rgb, mpp)
                    if group == "annotated"
                    else Case(f"{group}/{path.stem}", rgb, mpp, _score(path))
                )


def _controls(folder: Path) -> Iterator[Case]:
    for path in sorted((folder / "controls").glob("*.ome.tif")):
        image = read_image(path)
        assert image.mpp is not None
        yield Case(f"controls/{path.name.partition('.')[0]}", image.rgb, image.mpp, "")


def _without_frame(path: Path, rgb: NDArray[np.uint8], mpp: float) -> Case:
    drawn = imread(path.with_name(f"{path.stem}_mask.png"), as_gray=True) > 0
    expert = resize(drawn, rgb.shape[:2], order=0).astype(bool)
    inner = (slice(_FRAME, -_FRAME),) * 2
    return Case(f"annotated/{path.stem}", rgb[inner], mpp, _score(path), expert[inner])


def _score(path: Path) -> str:
    """Return the score in names such as class_2+, core_3_a1f1 and crop_1+_25."""
    number = path.stem.split("_")[1].rstrip("+")
    return number if number == "0" else f"{number}+"
