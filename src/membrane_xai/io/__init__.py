"""Files in, images out; masks in, files out.

Only the command line and studies use files; every other module takes arrays.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.checks import MPP_LIMITS, check_mpp, check_number, is_count
from membrane_xai._backend.images import check_rgb
from membrane_xai._disk.atomic import atomic_path
from membrane_xai._disk.contents import check_no_folder
from membrane_xai._disk.names import files_below
from membrane_xai._disk.suffixes import IMAGE_SUFFIXES
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import _pixel_size
from membrane_xai.io._cams import CAM_SUFFIXES, MAX_VALUES, read_cam
from membrane_xai.io._depth import check_bits
from membrane_xai.io._images import read_pixels
from membrane_xai.io._masks import MASK_SUFFIXES, read_mask_file
from membrane_xai.io._ome import write_single
from membrane_xai.io._pixel_size import MICROMETERS, MPP_AT_1X, magnification_of, scale_text
from membrane_xai.io._slides import SlideReader, open_slide_file

__all__ = [
    "CAM_SUFFIXES",
    "IMAGE_SUFFIXES",
    "MASK_SUFFIXES",
    "MAX_PIXELS",
    "MAX_VALUES",
    "MPP_AT_1X",
    "MPP_LIMITS",
    "Image",
    "SlideReader",
    "check_rgb",
    "files_below",
    "magnification_of",
    "open_slide",
    "read_cam",
    "read_image",
    "read_mask",
    "scale_text",
    "write_mask",
]

MAX_PIXELS = 2**26
"""Pixels of the largest image that :func:`read_image` decodes by default: 8192 x 8192."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image with what its file says of it.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        Pixels upright by TIFF's Orientation. One noted in EXIF of PNG or JPEG is not applied, as
        QuPath and ImageJ do not either, so coordinates agree with theirs; a warning says so.
    mpp : float or None
        Micrometres per pixel; None if neither the caller nor the file says.
    source : str
        The path that was read.
    flags : tuple of str
        "exif_orientation" where EXIF of a PNG or JPEG turns or mirrors it for viewers.
    """

    rgb: NDArray[np.uint8]
    mpp: float | None
    source: str
    flags: tuple[str, ...] = ()


def read_image(
    path: str | Path,
    *,
    mpp: float | None = None,
    max_pixels: int = MAX_PIXELS,
    bits: int | None = None,
) -> Image:
    """Read an RGB image and its pixel size.

    PNG, JPEG and BMP by Pillow; TIFF, OME-TIFF and slides by the reader that :func:`open_slide`
    takes, so that both give the same pixels, size and pixel size; level 0 of a pyramid. Compressed
    TIFF other than by deflate needs imagecodecs (extra "slides"), unless Pillow can decode it.
    Transparent pixels are laid over white; 16 bits become 8. A picture that stays within a quarter
    of 16 bits is refused unless `bits` or the file says how many are in use.

    Parameters
    ----------
    path : path
        The file; its content tells the format, not its name.
    mpp : float, optional
        Micrometres per pixel, 0.05 to 5; goes before what the file says. By default it is taken
        from OME-XML, Aperio's description or the resolution. Resolutions outside these limits, such
        as 72 dots per inch, are no statement about a microscope and are passed over; the others
        are refused there, as a unit was mistaken.
    max_pixels : int
        Largest number of pixels, checked before they are decoded. It is the only limit:
        ``PIL.Image.MAX_IMAGE_PIXELS`` does not count here.
    bits : int, optional
        How many of the 16 bits of a sample the camera fills, such as 12: white is ``2**bits - 1``
        then. By default it is what the file says: BitsPerSample or MaxSampleValue of TIFF,
        SignificantBits of OME-XML, sBIT of PNG, else 16. Files of 8 bits a sample take none.

    Returns
    -------
    Image
        Pixels, pixel size and source.

    Raises
    ------
    InvalidInputError
        A file that is not an image, truncated, damaged, grey, too large, or of several planes, such
        as slices, time points or channels of fluorescence; pixels of a size that no microscope
        gives, or not square within 2 %, without `mpp`; deep samples that would come out nearly
        black, without `bits`. Part of a picture is never returned.
    MissingDependencyError
        Compression that needs imagecodecs.

    Warns
    -----
    MembraneXAIWarning
        `mpp` and the file differ by more than 5 %. EXIF of a PNG or JPEG has an orientation, which
        viewers and OpenCV apply: maps and masks made by these lie otherwise.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.io import read_image, write_mask
    >>> import PIL.Image
    >>> path = getfixture("tmp_path") / "brown.png"
    >>> PIL.Image.new("RGB", (3, 2), (140, 90, 50)).save(path, dpi=(72, 72))
    >>> image = read_image(path)
    >>> image.rgb.shape, image.mpp
    ((2, 3, 3), None)
    >>> PIL.Image.new("RGB", (3, 2)).save(path, dpi=(101600, 101600))
    >>> read_image(path).mpp
    0.25
    >>> _ = path.write_bytes(path.read_bytes()[:45])
    >>> read_image(path)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...brown.png: is truncated or damaged: ...
    """
    mpp = None if mpp is None else check_mpp(mpp)
    if not is_count(max_pixels) or max_pixels < 1:
        raise InvalidInputError(f"max_pixels is {max_pixels!r}; it takes a positive integer")
    path = Path(path)
    check_no_folder(path, "the file of one image")
    rgb, size, flags = read_pixels(path, int(max_pixels), check_bits(bits))
    return Image(rgb, _pixel_size.resolve_mpp(mpp, size, str(path)), str(path), flags)


def open_slide(
    path: str | Path, *, mpp: float | None = None, bits: int | None = None
) -> SlideReader:
    """Open a whole slide to read regions of it.

    Scanners' own formats and DICOM (any file of a slide) by OpenSlide, else TiffSlide, if
    installed; Aperio's SVS, OME-TIFF and every other TIFF by tifffile, with the pixels and the
    pixel size of :func:`read_image`.

    Coordinates are QuPath's. Where OpenSlide reports the bounds of what was scanned, as for MRXS
    and SCN, the slide is cropped to them: its (0, 0) is (``openslide.bounds-x``,
    ``openslide.bounds-y``) of OpenSlide itself and of programs that do not crop, such as ASAP.

    Parameters
    ----------
    path : path
        The file.
    mpp : float, optional
    bits : int, optional
        As in :func:`read_image`.

    Returns
    -------
    SlideReader
        With dimensions, pixel size, levels and regions. Close it after use, for example by
        ``contextlib.closing``.

    Raises
    ------
    InvalidInputError
        A file that no library reads; pixels of a size that no microscope gives, or not square,
        without `mpp`.
    MissingDependencyError
        A scanner's format without OpenSlide or TiffSlide.

    Warns
    -----
    MembraneXAIWarning
        `mpp` and the file differ by more than 5 %.

    Examples
    --------
    >>> from contextlib import closing
    >>> import numpy as np
    >>> import tifffile
    >>> from membrane_xai.io import open_slide
    >>> path = getfixture("tmp_path") / "slide.ome.tif"
    >>> metadata = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
    >>> pixels = np.full((64, 96, 3), 90, np.uint8)
    >>> tifffile.imwrite(path, pixels, tile=(32, 32), metadata=metadata, photometric="rgb")
    >>> with closing(open_slide(path)) as slide:
    ...     slide.dimensions, slide.mpp, slide.read_region(95, 0, 2, 1).tolist()
    ((96, 64), 0.25, [[[90, 90, 90], [255, 255, 255]]])
    """
    path = Path(path)
    check_no_folder(path, "a file: of a slide of several files, the one that programs open")
    return open_slide_file(path, None if mpp is None else check_mpp(mpp), check_bits(bits))


def read_mask(
    path: str | Path,
    *,
    shape: tuple[int, int] | None = None,
    labels: Collection[int] = (),
) -> NDArray[Any]:
    """Read a mask from a PNG, TIFF, BMP or NPY file, whatever tool has written it.

    A mask has two values: 0 or black, and one other. 1-bit, 8-bit and 16-bit grey, palettes, and
    pictures in black and one colour are read, as are the files of :func:`write_mask` and
    ``membrane-xai mask``, with classes of intensity as well. Shades and labels are refused, since
    nobody says which of them are membrane.

    Parameters
    ----------
    path : path
        The file; its content tells the format, not its name.
    shape : (int, int), optional
        Rows and columns that it has to have. Nothing is resized.
    labels : collection of int
        Of an image of labels, those to take.

    Returns
    -------
    ndarray of shape (H, W)
        bool; float64 where an NPY or TIFF file holds shares in [0, 1].

    Raises
    ------
    InvalidInputError
        Another size, several planes, more than two values, JPEG, a damaged file.
    MissingDependencyError
        Compression that needs imagecodecs.

    Examples
    --------
    >>> import PIL.Image
    >>> from membrane_xai.io import read_mask
    >>> path = getfixture("tmp_path") / "expert.png"
    >>> PIL.Image.new("1", (3, 2), 1).save(path)
    >>> read_mask(path)
    array([[ True,  True,  True],
           [ True,  True,  True]])
    >>> read_mask(path, shape=(4, 6))
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...expert.png: is 3 x 2 pixels, and its image 6 x 4; a
    mask has the size of its image, and is not resized here

    A picture of labels is a mask once it is said which are membrane:

    >>> PIL.Image.frombytes("L", (3, 1), bytes([0, 1, 2])).save(path)
    >>> read_mask(path)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: ...expert.png: has the values 0, 1, 2: shades or labels;
    a mask has two, 0 and another. Save what is membrane as one, or name the labels that are
    >>> read_mask(path, labels=[2])
    array([[False, False,  True]])
    """
    path = Path(path)
    check_no_folder(path, "the file of one mask")
    return read_mask_file(path, shape, labels)


def write_mask(path: str | Path, mask: Any, *, mpp: float | None = None) -> Path:
    """Write a mask as PNG or OME-TIFF with its pixel size, whole or not at all.

    Parameters
    ----------
    path : path
        Ends in ``.png``, ``.ome.tif`` or ``.ome.tiff``; its folder is made.
    mask : array of shape (H, W)
        bool becomes 0 and 255; uint8, such as intensity classes, is written as it is.
    mpp : float, optional
        Micrometres per pixel: physical size in OME-TIFF, resolution in PNG (to the pixel per
        metre).

    Returns
    -------
    pathlib.Path
        `path`.

    Raises
    ------
    InvalidInputError
        Another shape, dtype or ending.

    Examples
    --------
    >>> import numpy as np
    >>> import tifffile
    >>> from membrane_xai.io import write_mask
    >>> mask = np.array([[True, False, True]])
    >>> path = write_mask(getfixture("tmp_path") / "membrane.ome.tif", mask, mpp=0.25)
    >>> tifffile.imread(path)
    array([[255,   0, 255]], dtype=uint8)
    """
    if mpp is not None:  # a mask may be coarser than any image
        mpp = check_number(mpp, "mpp", "a positive number, micrometres per pixel", lambda x: x > 0)
    pixels = to_numpy(mask)
    if pixels.ndim != 2 or 0 in pixels.shape or pixels.dtype not in (np.bool_, np.uint8):
        raise InvalidInputError(
            f"mask has shape {pixels.shape} and dtype {pixels.dtype}; it takes (H, W), not empty, "
            f"of bool or uint8"
        )
    if pixels.dtype == np.bool_:
        pixels = np.where(pixels, np.uint8(255), np.uint8(0))
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".ome.tif", ".ome.tiff")):
        write_single(path, pixels, mpp)
    elif name.endswith(".png"):
        _write_png(path, pixels, mpp)
    else:
        raise InvalidInputError(f"path is {str(path)!r}; it takes .png, .ome.tif or .ome.tiff")
    return path


def _write_png(path: Path, pixels: NDArray[np.uint8], mpp: float | None) -> None:
    from PIL import Image as Pillow

    density = {} if mpp is None else {"dpi": (MICROMETERS["in"] / mpp,) * 2}
    with atomic_path(path) as temporary:
        Pillow.fromarray(pixels).save(temporary, format="PNG", **density)
