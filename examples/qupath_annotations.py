"""MAP against outlines that a pathologist drew in QuPath, here drawn by the script.

With a file of your own: read_annotations("annotations.geojson"), which QuPath writes by
File > Export objects as GeoJSON.
"""

import json
import tempfile
from pathlib import Path

import numpy as np

from membrane_xai import alignment, extract_membrane_mask, pool_mask, rasterize, read_annotations
from membrane_xai.datasets import synthetic_her2

GRID = (14, 14)


def feature(kind: str, coordinates: list, name: str) -> dict:
    """Make an object as QuPath exports it: (x, y) in pixels, y down, with its class."""
    return {
        "type": "Feature",
        "properties": {"objectType": "annotation", "classification": {"name": name}},
        "geometry": {"type": kind, "coordinates": coordinates},
    }


field = synthetic_her2("3+", size=256, mpp=0.5, seed=0)
stained = field.cells["completeness"] > 0.5
centres = zip(field.cells["col"][stained], field.cells["row"][stained], strict=True)
angle = np.linspace(0, 2 * np.pi, 25)
rings = [
    np.column_stack([x + 14 * np.cos(angle), y + 14 * np.sin(angle)]).round(1).tolist()
    for x, y in centres
]
box = [[[0, 0], [256, 0], [256, 256], [0, 256], [0, 0]]]
objects = [feature("LineString", ring, "Membrane") for ring in rings]
objects.append(feature("Polygon", box, "Tissue"))

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "annotations.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": objects}))
    annotations = read_annotations(path)

# A window of a slide: cells at its border reach beyond it.
window = {"shape": field.rgb.shape[:2], "offset": (0, 0)}
drawn = rasterize(annotations, classes="Membrane", mpp=field.mpp, line_width=2.0, **window)
tissue = rasterize(annotations, classes="Tissue", **window)
extracted = extract_membrane_mask(field.rgb, mpp=field.mpp)
cam = pool_mask(field.membrane, GRID).mask  # in place of a network's: it follows the membrane

print(f"{len(rings)} outlines drawn by hand")
print(f"{'mask':12}{'share':>8}{'MAP':>8}{'ideal':>9}{'toward ideal':>14}")
for name, mask in {"drawn": drawn, "extracted": extracted.mask, "true": field.membrane}.items():
    found = alignment(cam, mask, region=tissue)
    numbers = f"{found.chance:8.3f}{found.map:8.3f}{found.ideal:9.3f}{found.toward_ideal:14.3f}"
    print(f"{name:12}{numbers}")
