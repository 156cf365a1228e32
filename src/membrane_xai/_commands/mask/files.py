"""Write the mask and results of one image, and the record by which a later run skips it.

The record is written last and removed first, so results without one are not taken for finished.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from membrane_xai import __version__
from membrane_xai._commands.mask.inputs import Job
from membrane_xai._commands.mask.settings import Settings, class_map
from membrane_xai._commands.mask.slide import write_slide_mask
from membrane_xai._commands.mask.tally import Tally
from membrane_xai._disk.mask_results import ENDINGS, RECORD
from membrane_xai.annotations import vectorize, write_geojson
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import open_slide, read_image, write_mask
from membrane_xai.io._slides import needs_tiles
from membrane_xai.masks import extract_membrane_mask
from membrane_xai.results import KeptRows
from membrane_xai.tables import provenance

__all__ = ["finished_row", "make_mask"]

Row = dict[str, Any]

_MADE_FROM = ("parameters", "version", "input")


def make_mask(job: Job, out: Path, settings: Settings, show: Callable[[float], None]) -> Row:
    """Write the results of an image and return its row; earlier ones are removed first."""
    for ending in (RECORD, *ENDINGS.values()):
        job.result(out, ending).unlink(missing_ok=True)
    tiled = needs_tiles(job.source, settings.max_pixels)
    row = (_of_slide if tiled else _of_image)(job, out, settings, show)
    made = provenance({})
    about = {"row": row, "versions": made["versions"], "platform": made["platform"]}
    _record(job, out).add([_made_from(job, settings) | about])
    return row


def finished_row(job: Job, out: Path, settings: Settings) -> Row | None:
    """Return the row of an image that was done before with the same settings, else None.

    The image counts as the same by its path, size and time of change.
    """
    try:
        record = _record(job, out).get(*_made_from(job, settings).values())
    except InvalidInputError:
        return None  # damaged
    if record is None:
        return None
    row: Row = record["row"]
    wanted = [ENDINGS[name] for name in _formats(settings, row["kind"])]
    if not all(job.result(out, ending).is_file() for ending in wanted):
        return None
    return row | {"file": str(job.source)}


def _record(job: Job, out: Path) -> KeptRows:
    return KeptRows(job.result(out, RECORD), by=_MADE_FROM)


def _made_from(job: Job, settings: Settings) -> dict[str, Any]:
    values = (settings.parameters(), __version__, _identity(job.source))
    return dict(zip(_MADE_FROM, values, strict=True))


def _of_image(job: Job, out: Path, settings: Settings, show: Callable[[float], None]) -> Row:
    image = read_image(
        job.source, mpp=settings.mpp, max_pixels=settings.max_pixels, bits=settings.bits
    )
    mpp = _known(image.mpp, job.source)
    show(0.2)
    found = extract_membrane_mask(
        image.rgb, mpp=mpp, stain_matrix=settings.stain_matrix, background=settings.background
    )
    show(0.8)
    for name in settings.formats:
        path = job.result(out, ENDINGS[name])
        if name == "geojson":
            path.parent.mkdir(parents=True, exist_ok=True)
            write_geojson(path, vectorize(found.mask, measurements={"DAB OD mean": found.dab}))
        else:
            write_mask(path, found.mask if name == "png" else class_map(found), mpp=mpp)
    tally = Tally()
    tally.add(replace(found, flags=(*found.flags, *image.flags)), (slice(None), slice(None)))
    return tally.row(str(job.source), "image", found.mask.shape, mpp)


def _of_slide(job: Job, out: Path, settings: Settings, show: Callable[[float], None]) -> Row:
    formats = _formats(settings, "slide")
    if not formats:
        raise InvalidInputError(
            f"{job.source}: is worked on in tiles, which PNG cannot hold; "
            f"add ome-tiff or geojson to --formats"
        )
    with closing(open_slide(job.source, mpp=settings.mpp, bits=settings.bits)) as slide:
        mpp = _known(slide.mpp, job.source)
        paths = {name: job.result(out, ENDINGS[name]) for name in formats}
        tally = write_slide_mask(slide, mpp, settings, paths, show)
        columns, rows = slide.dimensions
    return tally.row(str(job.source), "slide", (rows, columns), mpp)


def _formats(settings: Settings, kind: str) -> list[str]:
    return [name for name in settings.formats if not (kind == "slide" and name == "png")]


def _known(mpp: float | None, source: Path) -> float:
    if mpp is None:
        raise InvalidInputError(f"{source}: the file does not say its pixel size; give --mpp")
    return mpp


def _identity(path: Path) -> dict[str, Any]:
    about = path.stat()
    return {"path": str(path.resolve()), "bytes": about.st_size, "mtime_ns": about.st_mtime_ns}
