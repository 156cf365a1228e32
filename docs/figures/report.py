"""Take a picture of the HTML report of three toy explainers on synthetic HER2 patches.

Run ``python docs/figures/report.py``; it needs Chromium with its driver and writes
``docs/_static/report.png``. After ``make demo``, ``python docs/figures/report.py
demo-output/report.html`` takes a picture of that report instead: ``docs/_static/report-demo.png``.
"""

import io
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from membrane_xai import evaluate
from membrane_xai.datasets import synthetic_her2
from membrane_xai.her2_rule import GRADES
from membrane_xai.html_report import write_html_report
from membrane_xai.perturb import noise, rotation, stain_jitter

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "helpers"))

from headless import chromium

COUNT, SIDE, GRID = 48, 224, 7
SHOWN, THRESHOLD = 7, 30
"""The image that is open, a 3+, and the threshold in hundredths."""
WIDTH, HEIGHTS = 1180, (860, 840)
OUTPUT = Path(__file__).parents[1] / "_static" / "report.png"

Images = NDArray[np.uint8]


def coarse(maps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Average over the cells of a 7x7 grid."""
    cell = SIDE // GRID
    parts = maps.reshape(len(maps), GRID, cell, GRID, cell)
    return parts.mean(axis=(2, 4)).astype(np.float32)


def brown(rgb: Images) -> NDArray[np.float32]:
    """Look at what is brown: membrane, mostly."""
    return coarse(np.maximum(rgb[..., 0].astype(float) - rgb[..., 2] - 20, 0))


def blue(rgb: Images) -> NDArray[np.float32]:
    """Look at what is blue: nuclei."""
    return coarse(np.maximum(rgb[..., 2].astype(float) - rgb[..., 0], 0))


def centre(rgb: Images) -> NDArray[np.float32]:
    """Look at the same place, whatever is there."""
    y, x = np.mgrid[-3:4, -3:4]
    return np.repeat(np.exp(-(x**2 + y**2) / 6)[None], len(rgb), axis=0).astype(np.float32)


def study(folder: Path) -> None:
    """Keep a study of synthetic patches: 12 patients with 4 scores each."""
    fields = [synthetic_her2(GRADES[i % 4], SIDE, 0.5, seed=i // 4) for i in range(COUNT)]
    evaluate(
        {"brown": brown, "blue": blue, "centre": centre},
        [field.rgb for field in fields],
        [field.membrane for field in fields],
        ids=[f"synthetic-{i:02}" for i in range(COUNT)],
        groups=[f"patient {i // 4 + 1}" for i in range(COUNT)],
        labels={"score": [GRADES[i % 4] for i in range(COUNT)], "magnification": ["20x"] * COUNT},
        perturbations=[rotation(30), noise(10, seed=1), stain_jitter(seed=1)],
        out=folder,
        views=True,
    )


def picture(browser: Any, height: int) -> Image.Image:
    """Return what is in view."""
    size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    time.sleep(1)  # until it is laid out and painted
    return Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")


def pictures(page: Path) -> list[Image.Image]:
    """Return the top of the page, and an image with a map at a threshold."""
    with chromium() as browser:
        browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        browser.get(page.as_uri())
        top = picture(browser, HEIGHTS[0])
        browser.execute_script(f"location.hash = 'image-{SHOWN}'")
        time.sleep(1)
        browser.execute_script(
            "const slider = document.getElementById('v-threshold');"
            f"slider.value = {THRESHOLD}; slider.dispatchEvent(new Event('input'))"
        )
        return [top, picture(browser, HEIGHTS[1])]


def save(parts: list[Image.Image], output: Path) -> None:
    """Put pictures below each other, in 256 colours."""
    whole = Image.new("RGB", (WIDTH, sum(HEIGHTS)))
    for part, top in zip(parts, (0, HEIGHTS[0]), strict=True):
        whole.paste(part, (0, top))
    colours = whole.quantize(256, Image.Quantize.MAXCOVERAGE)  # keeps the few pure colours
    whole.quantize(palette=colours, dither=Image.Dither.FLOYDSTEINBERG).save(output, optimize=True)
    print(f"wrote {output.stat().st_size / 1e3:.0f} kB")


def main() -> None:
    """Take a picture of the page that is given, or of the toys'."""
    if len(sys.argv) > 1:
        save(pictures(Path(sys.argv[1]).resolve()), OUTPUT.with_name("report-demo.png"))
        return
    with TemporaryDirectory() as folder:
        study(Path(folder) / "study")
        title = "Three toy explainers on synthetic HER2 patches"
        name = Path(folder) / "report.html"
        save(pictures(write_html_report(Path(folder) / "study", name, title=title)), OUTPUT)


if __name__ == "__main__":
    main()
