"""Open a picture whatever its number of pixels."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["open_unlimited"]

_LOCK = threading.Lock()


def open_unlimited(source: Any, formats: tuple[str, ...]) -> PillowImage:
    """Open what Pillow reads, without its limit; the caller checks the size before decoding.

    That limit is one for the whole process, so it is lifted only while the header is read.
    """
    from PIL import Image

    with _LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = limit
