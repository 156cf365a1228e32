"""Turn stain densities into 8-bit RGB: stain vectors, background, optics, noise."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.datasets._field import Floats, Grid
from membrane_xai.datasets._render import Densities
from membrane_xai.stain import stain_vectors

__all__ = ["Light", "draw_background", "draw_vectors", "record"]

# What the stains of scanned slides differ by, on average, from the tabled vectors: rows hematoxylin
# and DAB, columns red, green, blue. Set by hand beside real stains, and so is _SHIFT_SD.
_SHIFT = np.array([[0.03, -0.07, 0.07], [0.0, -0.08, 0.04]])
_SHIFT_SD = 0.022  # from slide to slide
_STRAY = 0.015  # share of all light that lenses scatter over the field: dark is never black
_SHOT = 1.6  # standard deviation of the noise at white, in grey levels
_READ = 0.6  # the same at black


class Light(NamedTuple):
    """Background and stain vectors, which turn densities into colours."""

    vectors: NDArray[np.float64]
    """(2, 3) unit vectors of hematoxylin and DAB in red, green and blue."""
    background: NDArray[np.float64]
    """(3,) glass, on the scale of uint8."""


def draw_vectors(rng: np.random.Generator, variation: float) -> NDArray[np.float64]:
    """Turn the H-DAB vectors a little, as other reagents and scanners do: (2, 3) unit vectors."""
    turned = stain_vectors("hdab") + variation * (_SHIFT + rng.normal(0, _SHIFT_SD, (2, 3)))
    return stain_vectors(np.maximum(turned, 0.02))


def draw_background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw glass: white on most scanners, grey on three in ten, with a slight tint."""
    level = rng.uniform(155, 205) if rng.random() < 0.3 else rng.uniform(220, 254)
    return np.clip(level * (1 + rng.normal(0, 0.012, 3)), 150, 255)


def record(
    rng: np.random.Generator,
    grid: Grid,
    densities: Densities,
    stains: Light,
    *,
    blur: float,
    vignette: float,
    noise: float,
) -> NDArray[np.uint8]:
    """Pass light through the section (Beer-Lambert), blur it, and count it.

    `blur` is the standard deviation of the optics in micrometres (at 0 there is no stray
    light either), `vignette` the share of light lost in the corners, `noise` a factor on the noise
    of a usual camera.
    """
    light = np.stack([_channel(grid, densities, v, blur) for v in stains.vectors.T], axis=-1)
    light *= stains.background.astype(np.float32)
    if vignette > 0:
        light *= _falloff(grid, vignette)[..., None]
    if noise > 0:
        spread = np.sqrt(_SHOT**2 * light / 255 + _READ**2, dtype=np.float32)
        light += noise * spread * rng.standard_normal(light.shape, dtype=np.float32)
    return np.clip(np.rint(light), 0, 255).astype(np.uint8)


def _channel(grid: Grid, densities: Densities, weights: Floats, blur: float) -> Floats:
    from scipy import ndimage

    hematoxylin, dab = weights.astype(np.float32)
    light = densities.hematoxylin * hematoxylin
    light += densities.dab * dab
    light += densities.dust
    light *= np.float32(-np.log(10))
    np.exp(light, out=light)
    if blur > 0:
        light = ndimage.gaussian_filter(light, blur / grid.pitch, truncate=3, mode="nearest")
        light = (1 - _STRAY) * light + np.float32(_STRAY) * light.mean()
    return grid.mean(light)


def _falloff(grid: Grid, vignette: float) -> Floats:
    row, column = (np.linspace(-1, 1, n, dtype=np.float32) for n in grid.shape)
    return 1 - np.float32(vignette / 2) * (row[:, None] ** 2 + column**2)
