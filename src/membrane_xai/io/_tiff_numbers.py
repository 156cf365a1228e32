"""Numbers that TIFF gives compressions and colour models."""

__all__ = [
    "APERIO",
    "APERIO_YCBCR",
    "BLACK_IS_0",
    "JPEG",
    "JPEG2000",
    "PALETTE",
    "RGB",
    "WHITE_IS_0",
    "WHOLE_JPEG",
    "YCBCR",
]

JPEG = (6, 7, 33007, 34892)
WHOLE_JPEG = JPEG[1:]
"""Those whose tiles are streams of their own."""
APERIO = (33003, 33005)
"""JPEG 2000 of YCbCr and of RGB; the photometric tag may say either."""
APERIO_YCBCR = APERIO[0]
JPEG2000 = (*APERIO, 33004, 34712)

WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
