"""Evaluate trained classifiers: on their test split, at other magnifications, on other data sets.

One run gives its tables and figures. Several, or several magnifications, also give a matrix of what
was trained on what against what it was tested on.

for example:
  her2 evaluate runs/demo --json
  her2 evaluate runs/a runs/b --magnification 10 20 40 --out cross
"""

import argparse
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from her2_models._commands.options import draws_or_none, single_quantity
from her2_models._commands.train import print_evaluation
from membrane_xai.tables import interval_text, json_text

if TYPE_CHECKING:
    from her2_models.evaluate import Evaluation

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``her2 evaluate``."""
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="folder of a training run")
    add("--magnification", nargs="+", type=float, default=[], metavar="X",
        help="objectives to look through, as in 10 20 40 (default: whole images)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="for the matrix (default: that of the first run)")
    add("--quantity", type=single_quantity, default="accuracy", metavar="NAME",
        help="of the matrix (default: %(default)s)")  # fmt: skip
    add("--draws", type=draws_or_none, default=1000, metavar="N",
        help="of a bootstrap; the intervals draw nothing (default: %(default)s)")  # fmt: skip
    add("--json", action="store_true", help="write the metrics as JSON on stdout, for programs")


def run(args: argparse.Namespace) -> int:
    """Run ``her2 evaluate``."""
    if not args.json:
        _evaluate(args)
        return 0
    with redirect_stdout(sys.stderr):  # libraries print, and stdout is one document
        document = _evaluate(args)
    print(json_text(document))
    return 0


def _evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate all runs, say what came out unless for programs, and return it."""
    from her2_models.evaluate import cross_evaluate, evaluate

    evaluations = []
    for folder in args.runs:
        for magnification in args.magnification or [None]:
            done = evaluate(folder, magnification=magnification, draws=args.draws)
            evaluations.append(_plain_evaluation(folder, magnification, done))
            if not args.json:
                shown = "" if magnification is None else f" at {magnification:g}x"
                print(f"{folder}{shown}")
                print_evaluation(done)
    matrix: list[dict[str, Any]] = []
    if len(args.runs) > 1 or len(args.magnification) > 1:
        matrix = cross_evaluate(
            args.runs,
            magnifications=args.magnification,
            out=args.out or args.runs[0],
            quantity=args.quantity,
            draws=args.draws,
        )
    if not args.json:
        for row in matrix:
            print(_matrix_line(row))
    return {"evaluations": evaluations, "matrix": matrix}


def _matrix_line(row: Mapping[str, Any]) -> str:
    said = (row["reason"], row["note"], row["scale_note"], f"leak-safe: {row['leak_safe']}")
    note = "; ".join(filter(None, (*said, f"label level: {row['label_level']}")))
    value = interval_text(row["value"], row["low"], row["high"])
    return (
        f"{row['train']} (trained at {row['train_scale']}) on {row['test']} "
        f"(at {row['test_scale']}): {row['quantity']} {value} ({note})"
    )


def _plain_evaluation(
    folder: Path, magnification: float | None, done: "Evaluation"
) -> dict[str, Any]:
    metrics = done.metrics
    return {
        "run": str(folder),
        "magnification": magnification,
        "input_um_per_pixel": float(np.median(done.predictions.input_um_per_pixel)),
        "images": len(done.predictions.records),
        "groups": metrics.n_groups if metrics.clustered else None,
        **done.about(),
        "confusion": metrics.confusion.tolist(),
        "metrics": metrics.rows(),
    }
