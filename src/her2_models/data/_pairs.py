"""H&E and IHC side by side in one image, the form in which pix2pix takes BCI."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import PIL.Image

from her2_models.data._manifest import Record
from her2_models.data._names import read_file_name
from membrane_xai.errors import InvalidInputError

__all__ = ["is_wide", "pairs_of_bci", "refuse_pairs", "stated_shape"]


def is_wide(shape: tuple[int, int]) -> bool:
    """Tell the shape of two squares side by side, height and width."""
    return shape[1] == 2 * shape[0] > 0


def pairs_of_bci(shapes: Mapping[Path, tuple[int, int]]) -> tuple[Path, ...]:
    """Return the images of BCI, whose patches are square, that have such a shape."""
    return tuple(path for path, shape in shapes.items() if _is_of_bci(path) and is_wide(shape))


def _is_of_bci(path: Path) -> bool:
    return read_file_name(path.stem).family == "bci"


def refuse_pairs(records: Sequence[Record]) -> None:
    """Raise where images of BCI, whose patches are square, are pairs: nobody scored the H&E half.

    Others may be of such a shape by themselves. Only the beginnings of files are read.
    """
    pairs = pairs_of_bci({
        record.path: stated_shape(record.path) for record in records if _is_of_bci(record.path)
    })  # fmt: skip
    if pairs:
        raise InvalidInputError(
            f"{pairs[0]}: is twice as wide as high, as are {len(pairs)} of {len(records)} images: "
            f"H&E and IHC of BCI side by side; it takes the IHC half alone, cut out"
        )


def stated_shape(path: Path) -> tuple[int, int]:
    """Return height and width by the beginning of a file, zeros where it does not say."""
    try:
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(path) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, PIL.Image.DecompressionBombError):
        return 0, 0  # whoever reads it says why
