"""Runs of ``membrane-xai mask``, and the table that they write."""

import csv

from membrane_xai.cli import main


def run(*arguments, out):
    return main(["mask", *map(str, arguments), "--out", str(out)])


def table(out):
    with (out / "masks.csv").open(newline="") as file:
        return list(csv.DictReader(file))
