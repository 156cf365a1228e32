"""Audit CAMs from files: masks, MAP, EC and a report in one go, whatever tool has made the CAMs.

The name of an image is its path below --images without suffix. Its CAM is METHOD/NAME.npy below
--cams, or NAME.npy for a single method; also .npz, .zarr, .png or .tif, on any grid. What has no
counterpart is listed. The same command goes on where it was stopped, and does what has changed.
Research use only.

DIR gets:
  results.csv, results.json   a row for each image and method; with versions, command, hashes
  summary.csv, summary.json   means with intervals, by class and the columns of --groups
  ec.csv                      EC among the CAMs of each class, group and so on, and with others
  unmatched.txt               images, CAMs and rows without a counterpart
  report.html                 to look at
  manifest.json, rows.jsonl, views/   the study, for membrane_xai.study.read_study

Where the cells of a CAM lie is up to its network: those of a ResNet start on the border of the
image, half a cell before where upsampling puts them. --grid says it: pixels from cell to cell,
pixel of the first cell, side of the network's input, such as 32,0,224 for a ResNet's last layer;
her2_models.explain and membrane_xai.CamGrid say more.

EC under perturbations needs the network: see `her2 explain` and membrane_xai.evaluate.

for example:
  membrane-xai audit --images patches --cams cams --mpp 0.5 --out audit
  membrane-xai audit --images patches --cams cams --annotations outlines --annotation-class Membrane
  membrane-xai audit --images patches --cams cams --mpp 0.25 --groups slides.csv --regions tumour
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from membrane_xai._backend.vocabulary import CONTROLS, NULLS, OF_SUMS
from membrane_xai._commands.options import (
    bits_type,
    count_from,
    grid_of_method,
    length_type,
    mpp_type,
)
from membrane_xai.tables import cells_text, json_text, null_text, score_text, specificity_text

if TYPE_CHECKING:
    from membrane_xai._commands.audit.work import Audit, Request

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``membrane-xai audit``."""
    add = parser.add_argument
    add("--images", type=Path, required=True, metavar="DIR", help="images, with sub-folders")
    add("--cams", type=Path, required=True, metavar="DIR", help="CAMs, named like the images")
    add("--out", type=Path, default=Path("audit-output"), metavar="DIR",
        help="folder for the results (default: %(default)s)")  # fmt: skip
    add("--mpp", type=mpp_type, metavar="UM",
        help="micrometres per pixel (default: what each file says)")  # fmt: skip
    add("--bits", type=bits_type, metavar="N",
        help="of 16 that the camera fills, as 12 (default: what each file says)")  # fmt: skip
    add("--method", metavar="NAME",
        help="of CAMs in no folder for a method (default: name of their folder)")  # fmt: skip
    add("--groups", type=Path, metavar="FILE",
        help="CSV: name, and group (slide or patient), class, score, others")  # fmt: skip
    _add_masks(parser)
    _add_scores(parser)
    add("--strict", action="store_true", help="exit status 1 if anything has no counterpart")
    add("--no-report", action="store_true", help="leave out report.html, which needs jinja2")
    add("--json", action="store_true", help="write the outcome as JSON on stdout, for programs")


def _add_masks(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("masks").add_argument
    add("--annotations", type=Path, metavar="DIR",
        help="outlines, or masks as PNG, TIFF or NPY, named like the images, or a CSV of outlines "
             "of all images (default: masks are extracted)")  # fmt: skip
    add("--annotation-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are membrane; may be given several times "
             "(default: those called so, else the only class that is no region)")  # fmt: skip
    add("--line-width", type=length_type, metavar="UM", help="of membranes drawn as lines")
    add("--regions", choices=("tissue", "tumour", "all"), default="tissue",
        help="count pixels there only; tumour is stained cells (default: %(default)s)")  # fmt: skip
    add("--tissue-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are the tissue; may be given several times")  # fmt: skip
    add("--region-class", action="append", default=[], metavar="NAME",
        help="outlines of this class are the tumour; may be given several times")  # fmt: skip
    add("--controls", nargs="*", choices=CONTROLS, default=list(CONTROLS), metavar="NAME",
        help="hold CAMs against these, too: inside, nuclei, stained (default: all)")  # fmt: skip


def _add_scores(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument_group("scores").add_argument
    add("--grid", action="append", type=grid_of_method, default=[], metavar="[METHOD=]S,O,N",
        help="where the cells lie: spacing, offset, size of the input in pixels; may be given "
             "once for each method (default: half-pixel centres)")  # fmt: skip
    add("--negative", default="clip", choices=("clip", "abs", "raise"),
        help="what to do with negative activation (default: %(default)s)")  # fmt: skip
    add("--similarity", default="pearson", choices=("pearson", "spearman", "cosine"),
        help="of EC (default: %(default)s)")  # fmt: skip
    add("--chance-test", nargs="?", choices=NULLS, const="permutation", metavar="NULL",
        help="p-values of sets: permutation, CAMs among patients; shift, each moved elsewhere "
             "in the region (default: none; without NULL: permutation)")  # fmt: skip
    add("--draws", type=count_from(100), default=10_000, metavar="N",
        help="of a bootstrap; the intervals draw nothing (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Return 1 if an image failed or, with --strict, has no counterpart; else 0."""
    from membrane_xai._commands.audit.work import audit

    request = _request(args)
    done = audit(request)
    failed = [row for row in done.rows if row["status"] == "error"]
    _tell(done, failed)
    if args.json:
        print(json_text(_document(request, done, failed)))
    else:
        _print(request, done)
    return int(bool(failed) or (args.strict and bool(done.matches.unmatched)))


def _request(args: argparse.Namespace) -> "Request":
    from membrane_xai._commands.audit.work import Request

    return Request(
        images=args.images,
        cams=args.cams,
        out=args.out,
        mpp=args.mpp,
        bits=args.bits,
        method=args.method,
        annotations=args.annotations,
        classes=tuple(args.annotation_class),
        line_width=args.line_width,
        regions=None if args.regions == "all" else args.regions,
        tissue_classes=tuple(args.tissue_class),
        region_classes=tuple(args.region_class),
        controls=tuple(args.controls),
        groups=args.groups,
        grids=tuple(args.grid),
        negative=args.negative,
        similarity=args.similarity,
        chance_test=args.chance_test,
        draws=args.draws,
        seed=args.seed,
        report=not args.no_report,
        command=args.command_line,
    )


def _tell(done: "Audit", failed: list[dict[str, Any]]) -> None:
    """Say on stderr what went wrong, each thing in a line."""
    for one in done.matches.unmatched:
        print(f"unmatched: {one.what}: {one.name}", file=sys.stderr)
    if done.assumed:
        print(f"note: outlines of {done.assumed} (--annotation-class)", file=sys.stderr)
    if done.not_drawn:
        print(f"note: outlines not taken for membrane: {done.not_drawn}", file=sys.stderr)
    for name in done.left_out:
        print(f"note: {name} has too many values to summarise images by", file=sys.stderr)
    for row in failed:
        print(f"failed: {row['id']}, {row['method']}: {row['error']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(done.rows)} rows failed", file=sys.stderr)


def _document(request: "Request", done: "Audit", failed: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "out": str(request.out),
        "images": len(done.matches.images),
        "methods": list(done.matches.methods),
        "rows": len(done.rows),
        "failed": [{k: row[k] for k in ("id", "method", "error")} for row in failed],
        "unmatched": [one._asdict() for one in done.matches.unmatched],
        "summary": done.summary,
        "ec": done.ec,
        "report": None if done.report is None else str(done.report),
    }


def _print(request: "Request", done: "Audit") -> None:
    for row in done.summary:
        if row["by"] == "group":
            continue
        part = "" if row["by"] == "all" else f", {row['by']} {row['value']}"
        print(
            f"{row['method']}{part}: {row['scored']} of {row['rows']} images scored, "
            f"toward ideal {score_text(row, 'toward_ideal')} (of sums {score_text(row, OF_SUMS)}), "
            f"MAP {score_text(row, 'map')}, chance {row['chance']:z.3f}, "
            f"ideal {row['ideal']:z.3f}, {cells_text(row)}"
            f"{_specific(request, row)}{_tested(row)}{_ec(row, done.ec)}"
        )
    print(f"{len(done.matches.unmatched)} unmatched; written to {request.out}")


def _specific(request: "Request", row: dict[str, Any]) -> str:
    found = [f"{name} {specificity_text(row, name)}" for name in request.controls]
    return f", specificity against {', '.join(found)}" if found else ""


def _tested(row: dict[str, Any]) -> str:
    return f", p {null_text(row)}" if "p_value" in row else ""


def _ec(row: dict[str, Any], among: list[dict[str, Any]]) -> str:
    """Say EC among the CAMs of a part, of each grid."""
    names = ("method", "by", "value")
    mine = [one for one in among if all(one[name] == row[name] for name in names)]
    return "".join(
        f", EC {one['ec']:z.3f} over {one['pairs']} pairs"
        + (f", {one['ec_between']:z.3f} with others" if one["pairs_between"] else "")
        for one in mine
    )
