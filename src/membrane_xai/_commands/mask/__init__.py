"""Find membrane in images and write masks.

Each IMAGE is a file, a folder (searched with its sub-folders, which are kept in the output) or a
quoted pattern: PNG, JPEG, BMP, TIFF, OME-TIFF, or a whole slide that OpenSlide reads (in DICOM all
files of a series are one slide). For each, DIR gets what --formats names, and masks.csv a row.
Research use only.

  NAME.mask.png       0 and 255
  NAME.mask.ome.tif   0 no membrane, 1 weak, 2 moderate, 3 strong
  NAME.mask.geojson   outlines for QuPath, class "Membrane"
  NAME.mask.json      the record by which --resume knows that the image is done

Slides, and TIFF files above --max-pixels, are worked on in tiles and get no PNG.

for example:
  membrane-xai mask patch.png --mpp 0.25 --out masks
  membrane-xai mask slides/ "more/*.tif" --out masks --formats ome-tiff,geojson
  membrane-xai mask patches/ --mpp 0.5 --out masks --background 175,178,180 --json
"""

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from membrane_xai._commands.mask.inputs import Job, find_jobs, results_among
from membrane_xai._commands.options import bits_type, count_from, mpp_type, numbers
from membrane_xai._disk.mask_results import ENDINGS, TABLE
from membrane_xai.errors import InvalidInputError, MembraneXAIError
from membrane_xai.io import MAX_PIXELS
from membrane_xai.tables import json_text

if TYPE_CHECKING:
    from membrane_xai._commands.mask.settings import Settings

__all__ = ["add_arguments", "run"]

_FORMATS = tuple(ENDINGS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``membrane-xai mask``."""
    add = parser.add_argument
    add("images", nargs="+", metavar="IMAGE", help="file, folder or quoted pattern")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--mpp", type=mpp_type, metavar="UM",
        help="micrometres per pixel (default: what each file says)")  # fmt: skip
    add("--formats", type=_formats, default=_FORMATS, metavar="LIST",
        help=f"of {','.join(_FORMATS)} (default: all)")  # fmt: skip
    add("--stain-matrix", type=_stain_matrix, default="hdab", metavar="RGBRGB",
        help="hdab, or optical densities of hematoxylin and DAB: six numbers with commas "
        "(default: %(default)s)")  # fmt: skip
    add("--background", type=_background, default="auto", metavar="RGB",
        help="auto, or the colour of glass: three numbers with commas, 1 to 255 "
        "(default: %(default)s)")  # fmt: skip
    add("--max-pixels", type=count_from(1), default=MAX_PIXELS, metavar="N",
        help="largest image to decode at once (default: %(default)s)")  # fmt: skip
    add("--bits", type=bits_type, metavar="N",
        help="of 16 that the camera fills, as 12 (default: what each file says)")  # fmt: skip
    add("--resume", action=argparse.BooleanOptionalAction, default=True,
        help="skip unchanged images whose results are there, made by the same options and version "
        "(default: on)")  # fmt: skip
    add("--json", action="store_true", help="write the table as JSON on stdout, for programs")


def run(args: argparse.Namespace) -> int:
    """Return 1 if an image failed, else 0."""
    from membrane_xai._commands.mask.settings import Settings
    from membrane_xai._disk.names import made_folder
    from membrane_xai._disk.progress import progress

    jobs = find_jobs(args.images)
    if results := results_among(args.images):
        print(
            f"note: {len(results)} files are called like results of this command and were passed "
            f"over, such as {results[0]}",
            file=sys.stderr,
        )
    settings = Settings(
        args.mpp,
        tuple(args.formats),
        args.stain_matrix,
        args.background,
        args.max_pixels,
        args.bits,
    )
    made_folder(args.out)
    rows: list[dict[str, Any]] = []
    skipped = 0
    try:
        with progress(len(jobs)) as show:
            for job in jobs:
                row, was_there = _row(job, args, settings, _shower(show, len(rows), job))
                rows.append(row)
                skipped += was_there
    finally:
        if rows:
            _write_table(args.out, rows)
    failed = sum(row["status"] == "failed" for row in rows)
    _summarize(args, rows, skipped, failed)
    return 1 if failed else 0


def _row(
    job: Job, args: argparse.Namespace, settings: "Settings", show: Callable[[float], None]
) -> tuple[dict[str, Any], bool]:
    """Return the row of an image, and whether it was there before."""
    from membrane_xai._commands.mask.files import finished_row, make_mask
    from membrane_xai._commands.mask.tally import empty_row

    if args.resume and (row := finished_row(job, args.out, settings)):
        return row, True
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            row = make_mask(job, args.out, settings, show)
        except (MembraneXAIError, OSError, MemoryError) as error:
            row = empty_row(str(job.source), str(error) or type(error).__name__)
            _note("failed", job, row["error"])
    for warning in caught:
        _note("warning", job, str(warning.message))
    return row, False


def _shower(show: Callable[[float, str], None], done: int, job: Job) -> Callable[[float], None]:
    show(done, job.source.name)
    return lambda fraction: show(done + fraction, job.source.name)


def _note(kind: str, job: Job, text: str) -> None:
    source = str(job.source)
    where = "" if source in text else f"{source}: "
    print(f"{kind}: {where}{text}", file=sys.stderr)


def _write_table(out: Path, rows: list[dict[str, Any]]) -> None:
    from membrane_xai.tables import write_csv

    write_csv(out / TABLE, rows)


def _summarize(
    args: argparse.Namespace, rows: list[dict[str, Any]], skipped: int, failed: int
) -> None:
    made = len(rows) - skipped - failed
    table = args.out / TABLE
    if args.json:
        counts = {"made": made, "skipped": skipped, "failed": failed}
        print(json_text({**counts, "table": str(table), "rows": rows}))
    else:
        print(f"{made} made, {skipped} there already, {failed} failed; table: {table}")


def _background(text: str) -> Any:
    return text if text == "auto" else numbers(text, 3, "auto or three numbers", 1, 255)


def _stain_matrix(text: str) -> Any:
    from membrane_xai.stain import stain_vectors

    if text == "hdab":
        return text
    values = numbers(text, 6, "hdab or six numbers", -math.inf, math.inf)
    matrix = [values[:3], values[3:]]
    try:
        stain_vectors(matrix)
    except InvalidInputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return matrix


def _formats(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not set(names) <= set(_FORMATS):
        raise argparse.ArgumentTypeError(f"{text!r}; it takes some of {','.join(_FORMATS)}")
    return names
