"""TIFF files of every layout."""

import tifffile

OME = {"axes": "YXS", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}


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
