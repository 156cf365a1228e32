"""Folders for `membrane-xai audit`, and what it left there."""

import csv
import json

import numpy as np
import PIL.Image
import pytest
import tifffile

from membrane_xai.cli import main

NAMES = ("one", "two", "three")
SCORES = (
    "map",
    "chance",
    "ideal",
    "toward_ideal",
    "ceiling",
    "relative",
    "enrichment",
    "skill",
    "coverage",
)


def save_image(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(rgb).save(path)


def save_npy(path, cam):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, cam)


def audit(root, *options, mpp=0.5, report=False):
    more = [] if mpp is None else ["--mpp", str(mpp)]
    more += [] if report else ["--no-report"]
    # Plain numbers unless a test is about regions and controls.
    more += [] if "--regions" in options else ["--regions", "all", "--controls"]
    folders = ["--images", str(root / "images"), "--cams", str(root / "cams")]
    return main(["audit", *folders, "--out", str(root / "out"), "--draws", "200", *more,
                 *map(str, options)])  # fmt: skip


def table(root, name="results.csv"):
    with (root / "out" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def document(root, name):
    return json.loads((root / "out" / name).read_text(encoding="utf-8"))


def unmatched(root):
    return (root / "out" / "unmatched.txt").read_text(encoding="utf-8").splitlines()


def assert_scores(row, found):
    for name, value in found.to_dict().items():
        if name in SCORES:
            assert float(row[name] or "nan") == pytest.approx(value, nan_ok=True, abs=1e-12)
    assert row["status"] == found.status


def write_groups(root, lines, encoding="utf-8"):
    (root / "groups.csv").write_text("\n".join(lines) + "\n", encoding=encoding)


SAVERS = {
    "npy": np.save,
    "npz": lambda path, cam: np.savez(path, cam=cam),
    "tif": tifffile.imwrite,
    "zarr": lambda path, cam: pytest.importorskip("zarr").create_array(path, data=cam),
}
