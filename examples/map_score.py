"""MAP of four CAMs, made by hand, on a synthetic HER2 3+ field whose membrane is known."""

import numpy as np

from membrane_xai import alignment, pool_mask
from membrane_xai.datasets import synthetic_her2

GRID = (32, 32)

field = synthetic_her2("3+", size=256, seed=0)
share = pool_mask(field.membrane, GRID).mask
cams = {
    "follows the membrane": share,
    "flat": np.ones(GRID),
    "avoids the membrane": share.max() - share,
    "empty": np.zeros(GRID),
}

print(f"{'CAM':22}{'MAP':>7}{'chance':>8}{'ideal':>9}{'toward ideal':>14}  status")
for name, cam in cams.items():
    found = alignment(cam, field.membrane)
    numbers = f"{found.map:7.3f}{found.chance:8.3f}{found.ideal:9.3f}{found.toward_ideal:14.3f}"
    print(f"{name:22}{numbers}  {found.status}")
