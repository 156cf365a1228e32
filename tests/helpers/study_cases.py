"""Explainers of one line, and tables of a study to compare."""

import json

from membrane_xai.perturb import horizontal_flip, noise, rotation

KEYS = [
    "id",
    "group",
    "method",
    "class",
    "map",
    "chance",
    "ideal",
    "toward_ideal",
    "ceiling",
    "relative",
    "enrichment",
    "skill",
    "coverage",
    "status",
    "ec",
    "mask_share",
    "grid",
    "cam_grid",
    "cell_um",
    "flags",
    "error",
    "key",
]
STEPS = [horizontal_flip(), noise(20, seed=1), rotation(30)]
EC_COLUMNS = ["ec_horizontal_flip", "ec_noise_seed_1_std_20", "ec_rotation_30_degrees"]


def darkness(rgb):
    return 255.0 - rgb.mean(axis=-1)


def coarse(rgb):
    return darkness(rgb).reshape(len(rgb), 4, 2, 4, 2).mean(axis=(2, 4))


METHODS = {"darkness": darkness, "coarse": coarse}


def unkeyed(rows):
    """Rows without the hash, which differs between a file and its pixels."""
    return [{name: value for name, value in row.items() if name != "key"} for row in rows]


def same(rows, others):
    """Compare tables, NaN being equal to NaN."""
    assert [list(row) for row in rows] == [list(row) for row in others]
    assert json.dumps(rows) == json.dumps(others)


class Counting:
    """Count images, and stop the run at one of them."""

    def __init__(self, stop=None):
        self.seen, self.stop = [], stop

    def __call__(self, rgb):
        for image in rgb:
            if len(self.seen) == self.stop:
                raise KeyboardInterrupt
            self.seen.append(image.tobytes())
        return darkness(rgb)
