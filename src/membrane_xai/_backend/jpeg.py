"""An image compressed as JPEG and decoded again."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["recompressed"]


def recompressed(rgb: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Write as JPEG with chroma subsampling 4:2:0, and read back."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(rgb).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as image:
        return np.array(image)
