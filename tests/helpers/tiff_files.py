"""TIFF files of every layout."""

import numpy as np
import tifffile

OME = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
APERIO = "Aperio Image Library v11\r\n{} (64x64) {} Q=70|AppMag = 40|MPP = 0.2500"

# What TIFF 6.0 says of each orientation, in turns and flips of the stored pixels.
TURNS = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: np.flipud(np.rot90(stored)),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.flipud(np.rot90(stored, -1)),
    8: np.rot90,
}


def write_tiff(path, pixels, **options):
    tifffile.imwrite(path, pixels, **{"photometric": "rgb", **options})
    return path


def pyramid(path, rgb, **options):
    """Write three levels, each every second pixel of the one before."""
    with tifffile.TiffWriter(path, ome=True) as file:
        layout = {"photometric": "rgb", "tile": (16, 16), **options}
        file.write(rgb, subifds=2, metadata=OME, **layout)
        for step in (2, 4):
            file.write(rgb[::step, ::step], subfiletype=1, metadata=None, **layout)
    return path


def with_tag(path, code, value):
    """Overwrite a TIFF tag that holds one number."""
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags[code].overwrite(value)


def orientation_tag(number):
    """Return the tag as `extratags` takes it."""
    return (274, "H", 1, number, True)


def scanned_by_leica(path, rgb, *, corner, extra=(), macro=None):
    """Write an SCN of 0.25 um per pixel whose picture lies at a corner, x and y in its pixels.

    Each of `extra` is the pixels of another picture on the slide, and its corner; `macro` is a
    view of all of the slide, which stands first.
    """
    pictures = [(rgb, corner), *extra]
    views = [_view(pixels.shape[1] * _NM, pixels.shape[0] * _NM, at) for pixels, at in pictures]
    if macro is not None:
        pictures, views = [(macro, (0, 0)), *pictures], [_view(*_SLIDE, (0, 0)), *views]
    xml = "".join(
        _leica_image(ifd, pixels.shape, view)
        for ifd, ((pixels, _), view) in enumerate(zip(pictures, views, strict=True))
    )
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for ifd, (pixels, _) in enumerate(pictures):
            about = None if ifd else _LEICA.format(*_SLIDE, xml)
            file.write(
                pixels, photometric="rgb", tile=(64, 64), compression="zlib", metadata=None,
                description=about, resolution=(40000, 40000), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


_NM = 250  # in which SCN measures, a pixel
_SLIDE = (512000, 384000)
_LEICA = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">'
    '<collection name="s" uuid="urn:uuid:2" sizeX="{}" sizeY="{}"><barcode></barcode>'
    "{}</collection></scn>"
)


def _view(width, height, corner):
    return (
        f'<view sizeX="{width}" sizeY="{height}" offsetX="{corner[0] * _NM}" '
        f'offsetY="{corner[1] * _NM}" spacingZ="0"/>'
    )


def _leica_image(ifd, shape, view):
    height, width = shape[:2]
    return (
        f'<image name="i{ifd}" uuid="urn:uuid:{ifd + 3}">'
        "<creationDate>2020-01-01T00:00:00Z</creationDate>"
        f'<device model="m" version="1"/><pixels sizeX="{width}" sizeY="{height}">'
        f'<dimension sizeX="{width}" sizeY="{height}" r="0" ifd="{ifd}"/></pixels>'
        f"{view}<scanSettings><objectiveSettings><objective>40</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.65</numericalAperture>"
        "<illuminationSource>brightfield</illuminationSource></illuminationSettings>"
        "</scanSettings></image>"
    )
