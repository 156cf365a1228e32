"""One perturbation of each kind, and where a warp moves a point."""

import math

import numpy as np
import pytest

from membrane_xai.perturb import (
    blur,
    compose,
    horizontal_flip,
    illumination,
    illumination_jitter,
    jpeg,
    magnification,
    noise,
    rotation,
    stain_jitter,
    translation,
    vertical_flip,
    zoom,
)

PHOTOMETRIC = {
    "stain_jitter": stain_jitter(0.2, seed=5),
    "illumination": illumination(0.9, tint=(1.1, 1, 0.95)),
    "illumination_jitter": illumination_jitter(seed=5),
    "blur": blur(0.4, mpp=0.5),
    "noise": noise(4, photons=800, seed=5),
    "jpeg": jpeg(60),
    "magnification": magnification(from_mpp=0.25, to_mpp=0.6),
}
EXACT = {
    "horizontal_flip": horizontal_flip(),
    "vertical_flip": vertical_flip(),
    **{f"rotation{angle}": rotation(angle) for angle in (-450, -90, 0, 90, 180, 270, 360.0)},
}
WARPS = {
    "rotation17": rotation(17.5),
    "rotation-60": rotation(-60),
    "translation": translation(0.125, -0.3),
    "zoom": zoom(1.6),
}
COMPOSED = {
    "flip+rotation": compose(horizontal_flip(), rotation(30)),
    "turn+shift": compose(rotation(90), translation(0.25, 0.125)),
    "shift+turn": compose(translation(0.25, 0.125), rotation(90), blur(0.5, mpp=0.5)),
}
ALL = {**PHOTOMETRIC, **EXACT, **WARPS, **COMPOSED}

every = pytest.mark.parametrize("one", ALL.values(), ids=ALL)
exact = pytest.mark.parametrize("one", EXACT.values(), ids=EXACT)
warps = pytest.mark.parametrize("one", WARPS.values(), ids=WARPS)


def turn_by(angle):
    """Rotate (row, column) from the centre counter-clockwise: a column goes to minus a row."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return lambda r, c: (cosine * r - sine * c, sine * r + cosine * c)


def lands_inside(grid, move):
    """Tell, cell by cell, whether its centre lands in the field."""
    height, width = grid
    found = np.zeros(grid, bool)
    for i in range(height):
        for j in range(width):
            row, column = move(i - (height - 1) / 2, j - (width - 1) / 2)
            found[i, j] = abs(row) <= height / 2 + 1e-6 and abs(column) <= width / 2 + 1e-6
    return found
