"""Measure the HTML report of 1,000 images: size, time to write, to be ready, to open an image.

It needs Chromium with its driver. Images are crops of a few synthetic fields, with noise so that
they compress no better than tissue does.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from membrane_xai import evaluate
from membrane_xai.datasets import synthetic_her2
from membrane_xai.her2_rule import GRADES
from membrane_xai.html_report import write_html_report
from tests.helpers.headless import MISSING, chromium

_COUNT, _FIELDS, _FIELD_SIDE, _NOISE = 1000, 8, 512, 3.0
_ROUNDS = 5
_SEED = 0
_LARGEST, _SLOWEST = 60.0, 3.0
"""Megabytes and seconds."""


def brown(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return DAB, roughly."""
    return np.maximum(rgb[..., 0].astype(np.float32) - rgb[..., 2] - 20, 0)


def coarse(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over a 7x7 grid."""
    cell = maps.shape[1] // 7
    cut = maps[:, : 7 * cell, : 7 * cell]
    return cut.reshape(len(maps), 7, cell, 7, cell).mean(axis=(2, 4))


def fine(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth at full resolution."""
    return np.stack([gaussian_filter(one, 4) for one in maps])


CASES = {
    "224 px, three 7x7 maps": (
        224,
        {"brown": lambda rgb: coarse(brown(rgb)), "blue": lambda rgb: coarse(brown(255 - rgb)),
         "green": lambda rgb: coarse(255.0 - rgb[..., 1])},
    ),
    "256 px, a 7x7 and a full map": (
        256, {"brown": lambda rgb: coarse(brown(rgb)), "fine": lambda rgb: fine(brown(rgb))}
    ),
}  # fmt: skip


def study(folder: Path, side: int, methods: dict) -> None:
    """Keep a study of crops."""
    rng = np.random.default_rng(_SEED)
    fields = [synthetic_her2(GRADES[i % 4], _FIELD_SIDE, 0.5, seed=i // 4) for i in range(_FIELDS)]
    images, masks = [], []
    for i in range(_COUNT):
        field = fields[i % _FIELDS]
        y, x = rng.integers(0, _FIELD_SIDE - side + 1, 2)
        crop = field.rgb[y : y + side, x : x + side] + rng.normal(0, _NOISE, (side, side, 3))
        images.append(np.clip(np.round(crop), 0, 255).astype(np.uint8))
        masks.append(field.membrane[y : y + side, x : x + side])
    evaluate(
        methods, images, masks, groups=[i % 50 for i in range(_COUNT)],
        labels={"score": [GRADES[i % 4] for i in range(_COUNT)]}, out=folder, views=True,
    )  # fmt: skip


def loads(page: Path) -> tuple[list[float], list[float]]:
    """Return seconds until the page is ready, and until an image is open, of new browsers."""
    ready, opened = [], []
    for _ in range(_ROUNDS):
        with chromium() as browser:
            browser.get(page.as_uri())
            times = "performance.getEntriesByType('navigation')[0].loadEventEnd"
            ready.append(browser.execute_script(f"return {times}") / 1000)
            opened.append(browser.execute_async_script(_OPEN) / 1000)
    return ready, opened


_OPEN = """
const done = arguments[0], start = performance.now();
location.hash = 'image-777';
const wait = () => document.getElementById('v-live').textContent
  ? done(performance.now() - start) : requestAnimationFrame(wait);
wait();
"""


def measure() -> list[Row]:
    """Write and open a page for every case."""
    rows = []
    for name, (side, methods) in CASES.items():
        with TemporaryDirectory() as folder:
            study(Path(folder) / "study", side, methods)
            start = perf_counter()
            page = write_html_report(Path(folder) / "study", Path(folder) / "report.html")
            seconds = perf_counter() - start
            ready, opened = loads(page)
            size = page.stat().st_size / 1e6
        rows += [
            Row(f"report, {_COUNT} images of {name}", "MB", [size], Goal("<=", _LARGEST)),
            Row("  written in", "s", [seconds]),
            Row("  page ready in", "s", ready, Goal("<=", _SLOWEST)),
            Row("  an image open in", "s", opened),
        ]
    return rows


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.study.report", description=__doc__).parse_args()
    if MISSING:
        raise SystemExit(MISSING)
    rows = measure()
    with chromium() as browser:
        version = browser.capabilities["browserVersion"]
    packages = ("jinja2", "pillow")
    publish(rows, "report", packages, seed=_SEED, images=_COUNT, chromium=version)


if __name__ == "__main__":
    main()
