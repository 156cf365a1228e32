"""Evaluate trained classifiers: on their test split, at other magnifications, on other data sets.

One run gives its tables and figures. Several, or several magnifications, also give a matrix of what
was trained on what against what it was tested on.
"""

import argparse
from pathlib import Path

from her2_models._train_command import print_evaluation

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``her2 evaluate``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the command.
    """
    parser.epilog = "example: her2 evaluate runs/a runs/b --magnification 10 20 40 --out cross"
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="folder of a training run")
    add("--magnification", nargs="+", type=float, default=[], metavar="X",
        help="objectives to look through, as in 10 20 40 (default: whole images)")  # fmt: skip
    add("--out", type=Path, metavar="DIR", help="for the matrix (default: that of the first run)")
    add("--quantity", default="accuracy", metavar="NAME",
        help="of the matrix (default: %(default)s)")  # fmt: skip
    add("--draws", type=int, default=1000, metavar="N",
        help="of the bootstrap behind intervals (default: %(default)s)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run ``her2 evaluate``.

    Parameters
    ----------
    args : argparse.Namespace
        With what :func:`add_arguments` adds.

    Returns
    -------
    int
        0.
    """
    from her2_models.evaluate import cross_evaluate, evaluate
    from her2_models.train import Run

    for folder in args.runs:
        for magnification in args.magnification or [None]:
            done = evaluate(folder, magnification=magnification, draws=args.draws)
            shown = "" if magnification is None else f" at {magnification:g}x"
            print(f"{folder}{shown}")
            print_evaluation(done, Run(folder).config)
    if len(args.runs) > 1 or len(args.magnification) > 1:
        rows = cross_evaluate(
            args.runs,
            magnifications=args.magnification,
            out=args.out or args.runs[0],
            quantity=args.quantity,
            draws=args.draws,
        )
        for row in rows:
            print("  ".join(str(value) for value in row.values()))
    return 0
