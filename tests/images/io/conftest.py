"""Pixels for every format."""

import numpy as np
import pytest


@pytest.fixture
def rgb(rng):
    return rng.integers(0, 256, (70, 90, 3), dtype=np.uint8)
