"""Whether swapped channels are flagged: synthetic fields and real images, as RGB and as BGR."""

import argparse

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from benchmarks.harness.images import Cases, of_images
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal
from benchmarks.masks.cases import Case, open_cases, real_cases, synthetic
from membrane_xai import extract_membrane_mask
from membrane_xai.her2_rule import GRADES

_SEEDS = range(20, 26)
_MPP = 0.5
_NEVER = Goal("<=", 0)


def main() -> None:
    """Measure, print and write."""
    argparse.ArgumentParser("python -m benchmarks.masks.swapped", description=__doc__).parse_args()
    real = [*open_cases()[:1], *real_cases()]
    inputs = {case.name: case.rgb for case in real}
    with threadpool_limits(1):
        rows = [*_of_fields(), *_of_images(real)]
        publish(rows, "swapped", ("scikit-image", "pillow"), inputs, seeds=list(_SEEDS), threads=1)


def _of_fields() -> list[Cases]:
    rows = []
    for score in GRADES:
        fields = {f"seed {seed}": synthetic(score, _MPP, seed).rgb for seed in _SEEDS}
        right = {name: _flagged(rgb, _MPP) for name, rgb in fields.items()}
        swapped = {name: _flagged(_bgr(rgb), _MPP) for name, rgb in fields.items()}
        rows += [
            of_images(f"flagged as they are, synthetic {score} (1 or 0)", "", right, _NEVER),
            of_images(f"flagged as BGR, synthetic {score} (1 or 0)", "", swapped),
        ]
    return rows


def _of_images(cases: list[Case]) -> list[Cases]:
    right = {case.name: _flagged(case.rgb, case.mpp) for case in cases}
    stained = [case for case in cases if not case.name.startswith("controls/")]
    swapped = {case.name: _flagged(_bgr(case.rgb), case.mpp) for case in stained}
    return [
        of_images("flagged as they are, real images (1 or 0)", "", right, _NEVER),
        of_images("flagged as BGR, real images of membrane (1 or 0)", "", swapped),
    ]


def _flagged(rgb: NDArray[np.uint8], mpp: float) -> float:
    return float("channels_swapped" in extract_membrane_mask(rgb, mpp=mpp).flags)


def _bgr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rgb[..., ::-1])


if __name__ == "__main__":
    main()
