"""Suffixes of images and slides, in lower case."""

__all__ = ["IMAGE_SUFFIXES", "SLIDE_SUFFIXES"]

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Suffixes of image files, in lower case."""

SLIDE_SUFFIXES = (
    ".bif", ".czi", ".dcm", ".mrxs", ".ndpi", ".scn", ".svs", ".svslide", ".vms", ".vmu",
)  # fmt: skip
"""Suffixes of scanners' own formats, and of DICOM, in lower case."""
