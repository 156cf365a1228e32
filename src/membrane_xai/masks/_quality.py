"""Quality flags of an image: reasons not to trust its membrane mask.

Everything is decided on block means of about a micrometre, focus and nuclei in one window, so the
cost is small beside that of the mask.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.stain._nuclear_size import PIXEL_SIZE, NuclearSize

__all__ = ["QUALITY_FLAGS", "Overview", "block_means", "overview", "quality_flags", "tissue_region"]

QUALITY_FLAGS = (
    "not_ihc",
    "nuclear_stain",
    "blank",
    "out_of_focus",
    "saturated",
    "too_small",
    PIXEL_SIZE,
    "channels_swapped",
    "grey",
)

_TISSUE = 0.03  # mean optical density of the channels, over 2 micrometres
_LEAST_TISSUE = 0.02  # share of the image; like the shares below set by hand
_LEAST_FIELD = 20.0  # micrometres
_STAINED = 0.15  # sum of the channels' optical densities from which a colour can be told

# Green beyond both other channels, as a share of the three: eosin 0.75, hematoxylin 0.03, DAB < 0.
_PINK = 0.12
_PINK_SHARE = 0.1  # of the stained blocks

# Red and blue exchanged, told by shares of optical density. Blue beyond red makes a block brown,
# red beyond blue makes it blue. In hematoxylin (0.40, 0.43, 0.18) green has more of the whole than
# in DAB (0.17, 0.35, 0.48), so in a right image it has more in what is blue. Some scanners show
# hematoxylin with less; there, what is brown is darker or farther from grey than what is blue.
_COLORED = 0.3  # sum of the densities
_COLOR = 0.08  # difference of blue and red
_LEAST_BROWN, _LEAST_BLUE = 0.02, 0.005  # of the coloured blocks
_LEAST_BLOCKS = 50
_GREENER = 0.01  # in brown, at least, where the channels are swapped
_AS_HEMATOXYLIN = 0.36  # share of green: of DAB 0.30 to 0.353, of swapped hematoxylin to 0.40
_SHADE = 75  # percentile of the difference of blue and red
_DARKER = 0.7  # blue to brown: 0.45 at most in right images whose brown is greener

# Stained nuclei: compact pieces of 12 to 150 square micrometres that hold a disk of 2 in radius.
_NUCLEUS_RADIUS = 2.0
_NUCLEUS_AREA = (12.0, 150.0)
_NUCLEUS_ASPECT = 2.5  # longer over shorter side of the bounding box
_NUCLEUS_FILL = 0.55  # of that box; a disk fills 0.79
_NUCLEAR_SHARE = 0.4  # of the stain that lies in nuclei
_LEAST_NUCLEI = 10
_LEAST_STAINED = 0.03  # of the blocks

# How much steeper edges are at 0.35 than at 1.4 micrometres: 4 if sharp, 1.15 for a blur of 2.5.
_FINE, _COARSE = 0.35, 1.4
_SHARPNESS = 1.15
_FOCUS_WINDOW = 384  # pixels: focus costs the same in an image of any size

_GREY = 2  # levels between channels, for the rounding of JPEG
_SAMPLED = 16  # each such pixel is looked at first: nearly every image has a colour among them

_DARK = 0.02  # of the background's blue
_SATURATED_SHARE = 0.05  # dark pixels over stained ones


class Overview(NamedTuple):
    """An image at about a micrometre per pixel."""

    density: NDArray[np.float32]
    """(h, w, 3) optical density of block means."""
    side: int
    """Pixels of the image along a block."""
    mpp: float
    """Micrometres along a block."""


def block_means(plane: NDArray[Any], side: int) -> NDArray[Any]:
    """Average an (H, W, ...) array over blocks; the last block of an axis may be cut off.

    A flag speaks for every pixel, so none is left out as `whole_block_means` does.
    """
    rows, columns = (np.arange(0, length, side) for length in plane.shape[:2])
    sums = np.add.reduceat(plane, columns, axis=1, dtype=np.float32)
    sums = np.add.reduceat(sums, rows, axis=0)
    heights, widths = (
        np.diff(np.append(starts, length))
        for starts, length in zip((rows, columns), plane.shape[:2], strict=True)
    )
    area = np.outer(heights, widths).astype(np.float32)
    means: NDArray[Any] = sums / area.reshape(area.shape + (1,) * (plane.ndim - 2))
    return means


def overview(image: NDArray[Any], white: NDArray[np.float64], mpp: float) -> Overview:
    """Shrink an image to about a micrometre per pixel."""
    side = max(1, round(1 / mpp))
    light: NDArray[Any] = np.maximum(block_means(image, side), 1)
    density = np.maximum(np.log10(white) - np.log10(light), 0).astype(np.float32)
    return Overview(density, side, side * mpp)


def tissue_region(view: Overview, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return where tissue is, at full size."""
    from scipy import ndimage

    tissue = ndimage.gaussian_filter(view.density.mean(axis=-1), 2 / view.mpp) > _TISSUE
    full: NDArray[np.bool_] = tissue.repeat(view.side, axis=0).repeat(view.side, axis=1)
    return full[: shape[0], : shape[1]]


def quality_flags(
    image: NDArray[Any],
    dab: NDArray[np.float32],
    tissue: NDArray[np.bool_],
    view: Overview,
    nuclei: NuclearSize,
    *,
    white: NDArray[np.float64],
    mpp: float,
    threshold: float,
) -> tuple[str, ...]:
    """Return the flags that apply, in the order of `QUALITY_FLAGS`."""
    blank = bool(tissue.mean() < _LEAST_TISSUE)
    found = {
        "too_small": min(image.shape[:2]) * mpp < _LEAST_FIELD,
        "blank": blank,
        "not_ihc": not blank and _is_pink(view),
        "nuclear_stain": _is_nuclear(block_means(dab, view.side) >= threshold, view.mpp),
        "saturated": _is_saturated(image, dab, white, threshold),
        "out_of_focus": not blank and _is_blurred(image, view, mpp),
        PIXEL_SIZE: nuclei.implausible,
        "channels_swapped": not blank and _is_swapped(view),
        "grey": not blank and _is_grey(image),
    }
    return tuple(flag for flag in QUALITY_FLAGS if found[flag])


def _is_pink(view: Overview) -> bool:
    total = view.density.sum(axis=-1)
    stained = total >= _STAINED
    if not stained.any():
        return False
    red, green, blue = (view.density[stained][:, channel] for channel in range(3))
    return bool(((green - np.maximum(red, blue)) >= _PINK * total[stained]).mean() >= _PINK_SHARE)


def _is_swapped(view: Overview) -> bool:
    """Tell whether what is brown has the green of hematoxylin, and what is blue that of DAB."""
    total = view.density.sum(axis=-1)
    colored = total >= _COLORED
    total, density = total[colored], view.density[colored]
    if len(total) < _LEAST_BLOCKS:
        return False
    tint, green = (density[:, 2] - density[:, 0]) / total, density[:, 1] / total
    brown, blue = tint >= _COLOR, tint <= -_COLOR
    if brown.mean() < _LEAST_BROWN:
        return False
    like_hematoxylin = bool(green[brown].mean() >= _AS_HEMATOXYLIN)
    if blue.mean() < _LEAST_BLUE:
        return like_hematoxylin
    if green[brown].mean() - green[blue].mean() < _GREENER:
        return False
    shades = [np.percentile(abs(tint[part]), _SHADE) for part in (brown, blue)]
    stronger = shades[1] >= shades[0] and total[blue].mean() >= _DARKER * total[brown].mean()
    return like_hematoxylin or bool(stronger)


def _is_grey(image: NDArray[Any]) -> bool:
    """Tell a grey picture that was saved as RGB: no stain can be told from another."""

    def differs(pixels: NDArray[Any]) -> bool:
        red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
        return bool(np.maximum(abs(red - green), abs(green - blue)).max() > _GREY)

    return not differs(image[::_SAMPLED, ::_SAMPLED]) and not differs(image)


def _is_nuclear(stained: NDArray[np.bool_], mpp: float) -> bool:
    """Tell whether most of the stain lies in compact pieces of the size of nuclei."""
    from scipy import ndimage

    if stained.mean() < _LEAST_STAINED:
        return False
    radius = max(1, round(_NUCLEUS_RADIUS / mpp))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    labels, count = ndimage.label(ndimage.binary_opening(stained, x * x + y * y <= radius * radius))
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = ndimage.find_objects(labels)
    sides = np.array([[s.stop - s.start for s in box] for box in boxes]).reshape(-1, 2)
    compact = sides.max(axis=1) <= _NUCLEUS_ASPECT * sides.min(axis=1)
    compact &= area >= _NUCLEUS_FILL * sides.prod(axis=1)
    low, high = _NUCLEUS_AREA
    compact &= (area * mpp**2 >= low) & (area * mpp**2 <= high)
    share = area[compact].sum() / stained.sum()
    return bool(compact.sum() >= _LEAST_NUCLEI and share >= _NUCLEAR_SHARE)


def _is_saturated(
    image: NDArray[Any], dab: NDArray[np.float32], white: NDArray[np.float64], threshold: float
) -> bool:
    stained = int(np.count_nonzero(dab >= threshold))
    dark = int(np.count_nonzero(image[..., 2] <= _DARK * white[2]))
    return stained > 0 and dark > _SATURATED_SHARE * stained


def _is_blurred(image: NDArray[Any], view: Overview, mpp: float) -> bool:
    """Compare edges at two scales where the image has most structure."""
    from scipy import ndimage

    window = _busiest_window(view.density.mean(axis=-1), view.side)
    light = np.maximum(image[window][..., 1].astype(np.float32), 1)
    density = -np.log10(light)
    steepness = [
        np.percentile(
            ndimage.gaussian_gradient_magnitude(density, max(scale / mpp, 0.5), truncate=3), 99
        )
        for scale in (_FINE, _COARSE)
    ]
    return bool(steepness[0] < _SHARPNESS * steepness[1])


def _busiest_window(density: NDArray[np.float32], side: int) -> tuple[slice, slice]:
    """Return the window of the image, of at most 384 pixels a side, where density varies most."""
    from scipy import ndimage

    steps = max(1, _FOCUS_WINDOW // side)
    change = ndimage.gaussian_gradient_magnitude(density, 1.0)
    rows, columns = (np.arange(0, length, steps) for length in change.shape)
    sums = np.add.reduceat(np.add.reduceat(change, rows, axis=0), columns, axis=1)
    row, column = np.unravel_index(np.argmax(sums), sums.shape)
    top, left = int(rows[row]) * side, int(columns[column]) * side
    return slice(top, top + steps * side), slice(left, left + steps * side)
