"""Import time in fresh interpreters, against that of NumPy."""

import subprocess
import sys
from functools import partial

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import in_turns, ratios, scaled

_ROUNDS = 15
_PROGRAM = "from time import perf_counter as t; s = t(); {}; print(t() - s)"
_NUMPY = "import numpy"
_PACKAGE = "import membrane_xai"
_FUNCTION = "from membrane_xai import map_score"


def imports() -> list[Row]:
    """Time each import inside its own interpreter, whose start is not counted."""
    statements = (_NUMPY, _PACKAGE, _FUNCTION)
    seconds = in_turns({text: partial(_fresh, text) for text in statements}, _ROUNDS)
    package, function, numpy = seconds[_PACKAGE], seconds[_FUNCTION], seconds[_NUMPY]
    return [
        Row(f"{_PACKAGE}: time", "ms", scaled(package, 1e3)),
        Row(f"{_FUNCTION}: time", "ms", scaled(function, 1e3)),
        Row(f"{_NUMPY}: time", "ms", scaled(numpy, 1e3)),
        Row(f"  {_PACKAGE} / {_NUMPY}", "x", ratios(package, numpy), Goal("<=", 1.5), seconds),
        Row(f"  {_FUNCTION} / {_NUMPY}", "x", ratios(function, numpy)),
    ]


def _fresh(statement: str) -> float:
    """Return the seconds one statement takes in a new interpreter."""
    command = [sys.executable, "-c", _PROGRAM.format(statement)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
