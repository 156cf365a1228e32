"""Directive ``benchmark-tables``: what the files in benchmarks/results say, as tables.

Whatever files are there at build time are shown, first how many of their goals are reached.
"""

import ast
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TITLES = {
    "cells": "Cells and the HER2 rule",
    "install_size": "Size of an installation",
    "magnifications": "EC between magnifications",
    "masks": "Membrane masks",
    "metrics": "MAP and EC",
    "nulls": "What nulls rule out",
    "registration": "Registered maps: a trained ResNet18",
    "registration_pretrained": "Registered maps: EfficientNet-Lite0 of ImageNet",
    "scale": "Large data",
    "score_cam": "Score-CAM",
    "skill": "The zero of EC",
    "statistics": "Intervals and tests",
    "statistics_single_cams": "Intervals and tests: single CAMs, and time",
    "unfreezing": "Hybrid layer unfreezing",
}
"""Name of the file -> heading; a file that is not listed is called by its name."""
COLUMNS = ("Quantity", "Unit", "Median", "Least to largest", "Values", "Goal", "Reached")
WIDTHS = (44, 8, 9, 15, 7, 8, 9)
NUMBERS = (2, 3, 4, 5)
"""Columns that hold numbers."""
INDENT = "\N{EM SPACE}"
GAP = "\N{NO-BREAK SPACE}"


class Result(NamedTuple):
    """One file of results."""

    name: str
    rows: list[dict[str, Any]]
    provenance: dict[str, Any]

    @property
    def title(self) -> str:
        """The heading."""
        return TITLES.get(self.name, self.name.replace("_", " ").capitalize())

    @property
    def goals(self) -> list[dict[str, Any]]:
        """Rows that have a goal."""
        return [row for row in self.rows if row.get("goal")]


def read(folder: Path) -> list[Result]:
    """Read every file of results, in the order of their headings."""
    found = []
    for path in folder.glob("*.json"):
        document = json.loads(path.read_text())
        found.append(Result(path.stem, document["rows"], document["provenance"]))
    return sorted(found, key=lambda result: result.title)


def cells(row: dict[str, Any]) -> list[str]:
    """Return one line of the table as text."""
    name = row["quantity"]
    depth = (len(name) - len(name.lstrip())) // 2
    goal = row.get("goal")
    many = len(row["values"]) > 1
    return [
        INDENT * depth + name.strip(),
        row["unit"],
        number(row["median"]),
        GAP.join((number(row["min"]), "to", number(row["max"]))) if many else "",
        str(len(row["values"])),
        f"{'≤' if goal['sign'] == '<=' else '≥'}{GAP}{goal['bound']:g}" if goal else "",
        verdict(row) if goal else "",
    ]


def number(value: float) -> str:
    """Write a number with three digits, or whole where it is large."""
    return f"{value:,.3g}" if abs(value) < 999.5 else f"{value:,.0f}"


def verdict(row: dict[str, Any]) -> str:
    """Say whether the goal is reached and, where each image has to, on how many it is not."""
    if row["verdict"] == "reached":
        return "yes"
    goal = row["goal"]
    missed = sum(
        value > goal["bound"] if goal["sign"] == "<=" else value < goal["bound"]
        for value in row["values"]
    )
    return f"no, {missed} of {len(row['values'])}" if row.get("cases") else "no"


def summary(result: Result) -> list[str]:
    """Return the line of a file in the table of all files, without its heading."""
    reached = sum(row["verdict"] == "reached" for row in result.goals)
    goals = len(result.goals)
    return [str(number) for number in (len(result.rows), goals, reached, goals - reached)]


def missed(result: Result) -> Iterator[str]:
    """Name the rows whose goal is not reached, with the row above where they belong to one."""
    above = ""
    for row in result.rows:
        name = row["quantity"]
        if name == name.lstrip():
            above = name
        if row.get("goal") and row["verdict"] != "reached":
            yield name if name == above else f"{above}: {name.strip()}"


def measured_on(provenance: dict[str, Any]) -> str:
    """Return machine and versions in one paragraph."""
    machine = provenance.get("machine", {})
    parts = []
    if machine:
        load = machine["load_average"][0]
        parts.append(
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_bytes'] / 1e9:.0f} GB, "
            f"load {load:.1f} at the end; {provenance['platform']}."
        )
    versions = (f"{name} {version}" for name, version in provenance["versions"].items())
    return " ".join([*parts, ", ".join(versions) + "."])


class BenchmarkTables(SphinxDirective):
    """Show every file of results: an overview, then a section each."""

    def run(self) -> list[nodes.Node]:
        """Return the overview and the sections."""
        folder = BENCHMARKS / "results"
        for path in folder.glob("*.json"):
            self.env.note_dependency(str(path))
        results = read(folder)
        if not results:
            return [nodes.paragraph("", "There are no results here; run the benchmarks.")]
        return [_overview(results), *(self._section(result) for result in results)]

    def _section(self, result: Result) -> nodes.section:
        section = nodes.section(ids=[identifier(result)])
        section += nodes.title("", result.title)
        section["names"].append(nodes.fully_normalize_name(result.title))
        self.state.document.note_explicit_target(section, section)
        by = script(result)
        if by:
            section += nodes.paragraph("", "", nodes.Text("By "), nodes.literal("", by))
        below = list(missed(result))
        if below:
            items = (nodes.list_item("", nodes.paragraph("", name)) for name in below)
            section += nodes.paragraph("", "Not reached:")
            section += nodes.bullet_list("", *items)
        section += _table(COLUMNS, WIDTHS, NUMBERS, map(cells, result.rows))
        section += nodes.paragraph("", measured_on(result.provenance))
        return section


def identifier(result: Result) -> str:
    """Return the anchor of a section."""
    return nodes.make_id(f"results-{result.name}")


def script(result: Result) -> str | None:
    """Return the command that writes a file of results: the module that publishes that name."""
    for path in sorted(BENCHMARKS.rglob("*.py")):
        if result.name in published(path.read_text()):
            module = path.relative_to(BENCHMARKS.parent).with_suffix("")
            return f"python -m {'.'.join(module.parts).removesuffix('.__main__')}"
    return None


def published(code: str) -> list[str]:
    """Return the names that a module hands to ``publish(rows, name, ...)``."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return [
        call.args[1].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id == "publish"
        if isinstance(call.args[1], ast.Constant)
    ]


def _overview(results: Sequence[Result]) -> nodes.table:
    columns = ("What", "Lines", "Goals", "Reached", "Not reached")
    rows = ([result.title, *summary(result)] for result in results)
    table = _table(columns, (48, 13, 13, 13, 13), (1, 2, 3, 4), rows)
    _, *lines = table.findall(nodes.row)
    for result, line in zip(results, lines, strict=True):
        link = nodes.reference("", result.title, refid=identifier(result), internal=True)
        line[0][0].children = []
        line[0][0] += link
    return table


def _table(
    columns: Sequence[str],
    widths: Sequence[int],
    numbers: Sequence[int],
    rows: Iterable[Sequence[str]],
) -> nodes.table:
    table = nodes.table(classes=["benchmark"])
    group = nodes.tgroup(cols=len(columns))
    table += group
    for width in widths:
        group += nodes.colspec(colwidth=width)
    head, body = nodes.thead(), nodes.tbody()
    head += _row(columns, numbers)
    for row in rows:
        body += _row(row, numbers)
    group += head
    group += body
    return table


def _row(texts: Sequence[str], numbers: Sequence[int]) -> nodes.row:
    row = nodes.row()
    for column, text in enumerate(texts):
        entry = nodes.entry(classes=["text-right"] if column in numbers else [])
        entry += nodes.paragraph("", text)
        row += entry
    return row


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("benchmark-tables", BenchmarkTables)
    return {"parallel_read_safe": True}
