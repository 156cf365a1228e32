"""Three images, and a CAM for each."""

import numpy as np
import pytest
from audit_files import NAMES, save_image, save_npy

from membrane_xai.datasets import synthetic_her2


@pytest.fixture(scope="session")
def fields():
    return {
        name: synthetic_her2(score, size=128, mpp=0.5, seed=seed).rgb
        for seed, (name, score) in enumerate(zip(NAMES, ("3+", "3+", "3+"), strict=True))
    }


@pytest.fixture
def cams(rng):
    return {name: rng.random((4, 5)).astype(np.float32) for name in NAMES}


@pytest.fixture
def root(tmp_path, fields, cams):
    """Three images, and a CAM for each by one method."""
    for name in NAMES:
        save_image(tmp_path / "images" / f"{name}.png", fields[name])
        save_npy(tmp_path / "cams" / "grad" / f"{name}.npy", cams[name])
    return tmp_path
