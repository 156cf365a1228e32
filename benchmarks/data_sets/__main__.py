"""Measure how `her2 data check` finds copies: by what was done to an image, false pairs, time."""

import argparse
import io
from collections.abc import Callable
from time import perf_counter

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from benchmarks.masks.cases import real_cases
from her2_models.data import _alike  # noqa: PLC2701  # how close it comes, not only whether
from membrane_xai.datasets import synthetic_her2
from membrane_xai.her2_rule import GRADES

_SIDE, _SEEDS, _THREADS = 256, 200, 1
_MANY = 10_000
_CLOSE = 0.4  # coarse agreement from which fine structure is compared here

RGB = NDArray[np.uint8]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    """Write an image as JPEG and read it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """Resize an image."""
    return image.resize((round(image.width * factor), round(image.height * factor)))


def cropped(image: Image.Image, share: float, *, sides: int = 4) -> Image.Image:
    """Cut a share of the size off each of four sides, or twice that off two."""
    far = round(image.width * share * (1 if sides == 4 else 2))
    near = far if sides == 4 else 0
    return image.crop((far, near, image.width - near, image.height - far))


def together(image: Image.Image) -> Image.Image:
    """Transpose, shrink, crop a little and write as JPEG."""
    small = scaled(image.transpose(Image.Transpose.TRANSPOSE), 0.75)
    return jpeg(small.crop((3, 2, small.width - 2, small.height - 4)), 60)


MADE: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG of quality 75": lambda image: jpeg(image, 75),
    "JPEG of quality 30": lambda image: jpeg(image, 30),
    "half as wide": lambda image: scaled(image, 0.5),
    "1.3 times as wide": lambda image: scaled(image, 1.3),
    "flipped": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "a quarter turn": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "2 % off each side": lambda image: cropped(image, 0.02),
    "4 % off each side": lambda image: cropped(image, 0.04),
    "6 % off each side": lambda image: cropped(image, 0.06),
    "4 % off two sides": lambda image: cropped(image, 0.02, sides=2),
    "8 % off two sides": lambda image: cropped(image, 0.04, sides=2),
    "turned by 1 degree": lambda image: cropped(image.rotate(1), 0.016),
    "20 % darker": lambda image: image.point(lambda value: value * 0.8),
    "transposed, 0.75 as wide, cropped, JPEG 60": together,
}
_BEYOND = ("6 % off each side", "8 % off two sides")  # said, and not promised


def tiles(images: list[RGB]) -> list[RGB]:
    """Cut images into squares that do not overlap."""
    return [
        np.ascontiguousarray(rgb[i : i + _SIDE, j : j + _SIDE])
        for rgb in images
        for i in range(0, rgb.shape[0] - _SIDE + 1, _SIDE)
        for j in range(0, rgb.shape[1] - _SIDE + 1, _SIDE)
    ]


def false_pairs(fields: list[RGB], name: str) -> list[Row]:
    """Compare fields none of which is another's copy."""
    looks = [look for rgb in fields if (look := _alike.look_of(rgb))]
    pairs = len(looks) * (len(looks) - 1) // 2
    coarse, fine = closest(looks)
    found = sum(len(same) for same in _alike.alike(dict(enumerate(looks))))
    return [
        Row(f"{name}: called alike, of {pairs:,} pairs", "images", [found], Goal("<=", 0)),
        Row("  highest agreement of coarse waves", "", [coarse]),
        Row("  highest agreement of fine structure", "", [fine]),
    ]


def closest(looks: list[_alike.Look]) -> tuple[float, float]:
    """Return the highest coarse agreement of two, and the highest fine one among the close."""
    waves = np.stack([look.waves for look in looks])
    flat = waves.reshape(len(looks), -1)
    agree = np.stack(
        [_alike._turned_waves(waves, way).reshape(len(looks), -1) @ flat.T for way in _alike._WAYS]
    )
    best = np.triu(agree.max(0), 1)
    fits = [
        _alike._fit(
            _alike._turned(looks[i].structure, _alike._WAYS[agree[:, i, j].argmax()]),
            looks[j].structure,
        )
        for i, j in np.argwhere(best > _CLOSE)
    ]
    return float(best.max()), max(fits, default=float("nan"))


def hits(fields: list[RGB], name: str) -> list[Row]:
    """Return the share of copies that are found, by what was done to them."""
    own = {("own", i): look for i, rgb in enumerate(fields) if (look := _alike.look_of(rgb))}
    rows = []
    for made, make in MADE.items():
        copies = {
            ("copy", i): look
            for _, i in own
            if (look := _alike.look_of(np.asarray(make(Image.fromarray(fields[i])))))
        }
        sets = {frozenset(same) for same in _alike.alike(own | copies)}
        found = sum(frozenset({("own", i), ("copy", i)}) in sets for _, i in copies)
        goal = None if made in _BEYOND else Goal(">=", 99)
        rows.append(Row(f"{name}: found, {made}", "%", [100 * found / len(own)], goal))
    return rows


def time_of_many() -> list[Row]:
    """Time one look of a large image, and the comparison of many that do not agree."""
    random = np.random.default_rng(0)
    rgb = random.integers(0, 255, (1024, 1024, 3), dtype=np.uint8)
    start = perf_counter()
    looks = [_alike.look_of(rgb) for _ in range(5)]
    each = (perf_counter() - start) / len(looks)
    structure = random.normal(size=(64, 64)).astype(np.float16)
    waves = random.normal(size=(_MANY, 12, 12)).astype(np.float32)
    many = {i: _alike.Look(_alike._unit(one), structure) for i, one in enumerate(waves)}
    start = perf_counter()
    _alike.alike(many)
    return [
        Row("a look at 1024 x 1024 pixels", "ms", [1000 * each]),
        Row(f"comparing {_MANY:,} images", "s", [perf_counter() - start]),
    ]


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.data_sets", description=__doc__).parse_args()
    real = real_cases()
    inputs = {case.name: case.rgb for case in real}
    kinds = {
        "synthetic": [
            synthetic_her2(GRADES[seed % 4], size=_SIDE, mpp=0.5, seed=seed).rgb
            for seed in range(_SEEDS)
        ],
        "real": tiles([case.rgb for case in real]),
    }
    rows = []
    with threadpool_limits(_THREADS):
        for name, fields in kinds.items():
            if fields:
                rows += [*false_pairs(fields, name), *hits(fields, name)]
        rows += time_of_many()
        publish(rows, "data_sets", ("pillow", "scipy"), inputs, seeds=_SEEDS, threads=_THREADS)


if __name__ == "__main__":
    main()
