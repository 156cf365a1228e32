"""Small studies for the tests of the report, with names that try to break out of a page."""

import numpy as np

from membrane_xai import evaluate
from membrane_xai.perturb import horizontal_flip

SCRIPT = "<script>alert(1)</script>"
QUOTES = """a"b'c`d&amp;e.png"""
IMAGE = '"><img src=x onerror=alert(1)>'
END = "</script>"
SIZE = (48, 60)


def at_random(shape, dtype=np.float32, steps=None):
    """Return an explainer of noise, the same for the same images; with steps it has ties."""

    def explain(rgb):
        maps = [
            np.random.default_rng(int(image.sum())).normal(size=shape).astype(dtype)
            for image in rgb
        ]
        found = np.stack(maps)
        return found if steps is None else np.round(found * steps) / steps

    return explain


METHODS = {
    "noise": at_random((7, 7)),
    END: at_random((7, 5), np.float64),
    "ties": at_random((4, 4), np.float32, 2),
    "fine": at_random(SIZE),
    "steps": at_random((40, 40), np.float64, 3),
}


def images(count, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, *SIZE, 3), np.uint8))


def masks(count, seed=1):
    return list(np.random.default_rng(seed).random((count, *SIZE)) < 0.3)


def make(out, count=4, methods=METHODS, **options):
    """Keep a study of `count` images in a folder; the fourth has no membrane."""
    found = masks(count)
    if count > 3:
        found[3] = np.zeros(SIZE, bool)
    given = {
        "ids": [SCRIPT, QUOTES, IMAGE, *(f"plain-{i}.png" for i in range(3, count))][:count],
        "groups": [f"patient {i // 2}" for i in range(count)],
        "labels": {
            "score": [("0", "1+", "2+", "3+")[i % 4] for i in range(count)],
            "<b>": [IMAGE] * count,
        },
        "perturbations": [horizontal_flip()],
        "views": True,
    }
    return evaluate(methods, images(count), found, out=out, **(given | options))
