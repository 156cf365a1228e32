"""One table with the outlines of all images, as masks of a study."""

import numpy as np
import pytest
from PIL import Image
from shapely import box

from membrane_xai import alignment
from membrane_xai.study import evaluate


@pytest.mark.parametrize("kind", ["paths", "arrays"])
def test_each_image_has_its_rows(tmp_path, rng, kind):
    rgb = rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    paths = [tmp_path / f"{name}.png" for name in ("a", "b")]
    for path in paths:
        Image.fromarray(rgb).save(path)
    table = tmp_path / "cytomine.csv"
    table.write_text(f"Image;WKT\na.png;{box(0, 0, 24, 4).wkt}\nb.png;{box(0, 0, 6, 16).wkt}\n")
    images = paths if kind == "paths" else [rgb, rgb]
    cams = rng.random((2, 4, 6))
    study = evaluate({"given": list(cams)}, images, masks=[table] * 2, ids=["a", "b"])
    masks = np.zeros((2, 16, 24), bool)
    masks[0, 12:] = True  # y counts from the lower edge
    masks[1, :, :6] = True
    for row, cam, mask in zip(study.rows, cams, masks, strict=True):
        assert row["status"] == "ok"
        assert row["map"] == pytest.approx(alignment(cam, mask).map)
