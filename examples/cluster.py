"""MAP and EC of a Zarr store of CAMs on two worker processes of dask."""

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr
from distributed import Client, LocalCluster

from membrane_xai.datasets import synthetic_her2
from membrane_xai.labelled import evaluate_store

SCORES = ("1+", "2+", "3+")
PATIENTS = 4


def main() -> None:
    """Write a small store, score it, print the summary."""
    fields = [synthetic_her2(s, size=128, seed=p) for p in range(PATIENTS) for s in SCORES]
    # What a network that looks at brown would say, on a grid of 8x8.
    brown = [np.maximum(f.rgb[..., 0].astype(np.float32) - f.rgb[..., 2], 0) for f in fields]
    cams = np.stack(brown).reshape(-1, 8, 16, 8, 16).mean(axis=(2, 4))
    data = xr.Dataset(
        {
            "cam": (("sample", "row", "column"), cams),
            "mask": (("sample", "y", "x"), np.stack([field.membrane for field in fields])),
        },
        {
            "group": ("sample", np.repeat([f"patient {p}" for p in range(PATIENTS)], len(SCORES))),
            "class": ("sample", np.tile(SCORES, PATIENTS)),
        },
    )
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with tempfile.TemporaryDirectory() as name, LocalCluster(**options) as cluster:
        store = Path(name) / "cams.zarr"
        data.to_zarr(store, zarr_format=2)
        with Client(cluster) as client:
            result = evaluate_store(store, out=Path(name) / "scored", client=client, chunk=3)
        for row in result.summary():
            print(
                f"{row['class']:4}{row['rows']:4}  toward ideal {row['toward_ideal']:.3f} "
                f"[{row['toward_ideal_low']:.3f}, {row['toward_ideal_high']:.3f}]  "
                f"MAP {row['map']:.3f}  chance {row['chance']:.3f}  ideal {row['ideal']:.3f}  "
                f"EC {row['ec_class']:.3f}"
            )


if __name__ == "__main__":
    main()
