"""Time an audit of 200 patches by a trained demo classifier, killed half-way and resumed.

Draws 25 unseen slides of each score, two patches each; runs `her2 explain` with Score-CAM and
Grad-CAM, MAP, and EC over the eight standard perturbations; kills the process when half of the
rows are there; and runs the same command again to its end.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from her2_models.config import SyntheticConfig
from her2_models.data import draw_slides

_METHODS = ("ScoreCAM", "GradCAM")
_SLIDES, _SEED = 25, 7
_KEPT = "rows.jsonl"


def explain(run: Path, data: Path, out: Path, options: list[str]) -> subprocess.Popen[str]:
    """Start the audit."""
    words = [sys.executable, "-m", "her2_models.cli", "explain", str(run), "--data", str(data)]
    words += ["--methods", *_METHODS, "--magnifications", "--out", str(out), "--json", *options]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def lines(out: Path) -> set[tuple[str, str]]:
    """Return the images and methods whose rows are kept."""
    if not (out / _KEPT).exists():
        return set()
    whole = (out / _KEPT).read_bytes().split(b"\n")[:-1]  # the last may be half a line
    return {(row["input"], row["method"]) for row in map(json.loads, whole)}


def until_half(run: Path, data: Path, out: Path, options: list[str], half: int) -> float:
    """Run until half of the rows are there, then kill; return seconds."""
    start = time.perf_counter()
    process = explain(run, data, out, options)
    while process.poll() is None and len(lines(out)) < half:
        time.sleep(0.5)
    process.kill()
    process.wait()
    return time.perf_counter() - start


def measure(run: Path, folder: Path, options: list[str]) -> list[Row]:
    """Draw, explain, kill, resume."""
    config = SyntheticConfig(slides={"train": 0, "val": 0, "test": _SLIDES}, seed=_SEED)
    data = draw_slides(config, folder / "slides", processes=os.cpu_count() or 1)
    total, out = len(data.records) * len(_METHODS), folder / "explained"
    table_of_slides = folder / "slides" / "manifest.csv"
    first = until_half(run, table_of_slides, out, options, total // 2)
    before = lines(out)
    text = (out / _KEPT).read_bytes()
    start = time.perf_counter()
    explain(run, table_of_slides, out, options).communicate()
    second = time.perf_counter() - start
    kept = (out / _KEPT).read_bytes().startswith(text[: text.rfind(b"\n") + 1])
    with (out / "images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    head = f"{len(data.records)} patches, {' and '.join(_METHODS)}, 9 views"
    return [
        Row(f"{head}: until killed", "min", [first / 60]),
        Row(f"{head}: from there to the end", "min", [second / 60]),
        Row("  rows kept when it was killed", "", [len(before)]),
        Row("  of them lost or changed", "", [0 if kept else len(before)], Goal("<=", 0)),
        Row("  rows in the end, of 400", "", [len(rows)], Goal(">=", total)),
        Row("  rows with errors", "", [sum(row["status"] == "error" for row in rows)]),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser("python -m benchmarks.study.audit", description=__doc__)
    parser.add_argument("run", type=Path, help="what `her2 train --config demo` made")
    parser.add_argument(
        "--options", nargs=argparse.REMAINDER, default=[], help="further ones of `her2 explain`"
    )
    args = parser.parse_args()
    load = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(args.run, Path(folder), args.options)
    settings = {"options": args.options, "network": "demo configuration", "load_before": load}
    publish(rows, "audit", ("torch", "timm", "grad-cam"), **settings)


if __name__ == "__main__":
    main()
