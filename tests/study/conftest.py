"""Five small images with masks."""

import numpy as np
import pytest


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (5, 8, 8, 3), np.uint8)


@pytest.fixture
def masks(rng):
    return rng.random((5, 8, 8)) < 0.3
