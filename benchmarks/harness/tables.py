"""Rows laid out for the terminal."""

from rich.table import Table

from benchmarks.harness.rows import Row

__all__ = ["table"]


def table(rows: list[Row]) -> Table:
    """Lay rows out: spread over the rounds, goal and verdict."""
    laid = Table("quantity", "unit", box=None)
    for column in ("min", "median", "max"):
        laid.add_column(column, justify="right")
    laid.add_column("goal")
    laid.add_column("verdict")
    for row in rows:
        laid.add_row(*row.cells())
    return laid
