"""A line of the table whose values belong to images: the goal has to hold on every one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.harness.rows import Row


@dataclass(frozen=True)
class Cases(Row):
    """One value an image; `cases` names the images."""

    cases: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """Whether every value reaches the goal; empty without one."""
        if self.goal is None:
            return ""
        return "not reached" if self.failures() else "reached"

    def failures(self) -> list[str]:
        """Name the images that miss the goal, with their values."""
        return [
            f"{case} {value:.3g}"
            for case, value in zip(self.cases, self.values, strict=True)
            if self.goal and not self.goal.reached(value)
        ]

    def cells(self) -> list[str]:
        """Return the line as text; the verdict says on how many images the goal is missed."""
        *cells, verdict = super().cells()
        missed = f" on {len(self.failures())} of {len(self.values)}" if self.failures() else ""
        return [*cells, verdict + missed]

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON, with the names of the images."""
        return super().record() | {"cases": self.cases}


def of_images(name: str, unit: str, values: dict[str, float], goal: Any = None) -> Cases:
    """Make a line from the value of each image."""
    return Cases(name, unit, list(values.values()), goal, cases=list(values))


def missed(rows: Sequence[Row]) -> list[str]:
    """Name the images on which a goal is missed."""
    return [
        f"{row.quantity.strip()} {row.goal.sign} {row.goal.bound:g}: {', '.join(row.failures())}"
        for row in rows
        if isinstance(row, Cases) and row.goal and row.failures()
    ]
