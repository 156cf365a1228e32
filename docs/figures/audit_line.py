"""Print the line that the page "How to read a MAP" begins with, by `membrane-xai audit`.

Run ``python docs/figures/audit_line.py``: brown, averaged on 7x7 cells, on synthetic fields.
"""

import csv
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from membrane_xai import pool_mask
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2

PATIENTS, SCORES = 12, ("1+", "2+", "3+")
"""A field of each score for each patient."""
SIZE, MPP, CELLS = 512, 0.5, (7, 7)


def files(folder: Path) -> None:
    """Write images, their CAMs and the table of patients."""
    for part in ("images", "cams/brown"):
        (folder / part).mkdir(parents=True)
    with (folder / "groups.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "group"])
        for i in range(PATIENTS * len(SCORES)):
            rgb = synthetic_her2(SCORES[i % len(SCORES)], SIZE, MPP, seed=i).rgb
            brown = np.clip(rgb[..., 0].astype(float) - rgb[..., 2], 0, 255) / 255
            Image.fromarray(rgb).save(folder / f"images/{i:02d}.png")
            np.save(folder / f"cams/brown/{i:02d}.npy", pool_mask(brown, CELLS).mask)
            table.writerow([f"{i:02d}", f"patient {i // len(SCORES)}"])


if __name__ == "__main__":
    with TemporaryDirectory() as name:
        folder = Path(name)
        files(folder)
        words = ["--images", str(folder / "images"), "--cams", str(folder / "cams")]
        words += ["--groups", str(folder / "groups.csv"), "--out", str(folder / "out")]
        main(["audit", *words, "--mpp", str(MPP), "--no-report", "--controls"])
