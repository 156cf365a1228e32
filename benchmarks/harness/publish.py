"""Rows in, a table on the terminal and a file of results out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.harness.images import missed
from benchmarks.harness.machine import machine
from benchmarks.harness.rows import Row
from membrane_xai.tables import provenance, write_json

__all__ = ["RESULTS", "publish", "table"]

RESULTS = Path(__file__).parents[1] / "results"
_WIDTH = 150


def publish(
    rows: Sequence[Row],
    name: str,
    packages: Sequence[str] = (),
    inputs: Mapping[str, Any] = {},
    **parameters: Any,
) -> None:
    """Print rows, and write them with what they were measured on to benchmarks/results/NAME.json.

    Call it while the limits on threads still hold: they are recorded, too.

    Parameters
    ----------
    rows : sequence of Row
        The lines of the table.
    name : str
        Name of the file, written out where it is called: the documentation looks for it there.
    packages : sequence of str
        Distributions whose versions matter, beside those that are always given.
    inputs : mapping of str to array
        What cannot be drawn again, such as real images; hashes are kept.
    **parameters
        Everything that was chosen: seeds, threads, repeats.
    """
    console = Console(width=_WIDTH)
    console.print(table(rows))
    for line in missed(rows):
        console.print(f"not reached: {line}", highlight=False, soft_wrap=True)
    record = provenance(parameters, packages=packages, inputs=inputs)
    # All rows of a file have the same keys, whether their values belong to images or not.
    records = [{"cases": [], **row.record()} for row in rows]
    write_json(RESULTS / f"{name}.json", records, record | {"machine": machine()})


def table(rows: Sequence[Row]) -> Table:
    """Lay rows out: spread over the rounds, goal and verdict."""
    laid = Table("quantity", "unit", box=None)
    for column in ("min", "median", "max"):
        laid.add_column(column, justify="right")
    laid.add_column("goal")
    laid.add_column("verdict")
    for row in rows:
        laid.add_row(*row.cells())
    return laid
