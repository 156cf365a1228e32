"""One line of the table: a quantity, its value in every round, and the goal if it has one."""

import statistics
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from benchmarks.harness.timing import Seconds


class Goal(NamedTuple):
    """What the median must not pass."""

    sign: Literal["<=", ">="]
    bound: float

    def reached(self, value: float) -> bool:
        """Tell whether a value meets the goal."""
        return value <= self.bound if self.sign == "<=" else value >= self.bound


@dataclass(frozen=True)
class Row:
    """A measured quantity; `values` and each list of `seconds` have one element per round."""

    quantity: str
    unit: str
    values: list[float]
    goal: Goal | None = None
    seconds: Seconds = field(default_factory=dict)
    """The raw timings the values come from."""

    @property
    def spread(self) -> tuple[float, float, float]:
        """Least value, median and largest."""
        return min(self.values), statistics.median(self.values), max(self.values)

    @property
    def verdict(self) -> str:
        """Whether the median reaches the goal; empty without one."""
        if self.goal is None:
            return ""
        return "reached" if self.goal.reached(self.spread[1]) else "not reached"

    def cells(self) -> list[str]:
        """Return the line as text."""
        goal = f"{self.goal.sign} {self.goal.bound:g}" if self.goal else ""
        numbers = [f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in self.spread]
        return [self.quantity, self.unit, *numbers, goal, self.verdict]

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        low, median, high = self.spread
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "min": low,
            "median": median,
            "max": high,
            "goal": self.goal._asdict() if self.goal else None,
            "verdict": self.verdict or None,
            "values": self.values,
            "seconds": self.seconds,
        }
