"""Score the CAMs of a Zarr store against its masks, here or on a dask cluster.

STORE has `cam` (sample, row, column), `mask` on any grid, and perhaps `region`, `group`, `class`
and `id`, as xarray writes them. Results are kept part by part in DIR: the same command goes on
where it was stopped, and tries again what failed. DIR gets summary.csv, one row a class, and
scores.zarr. Research use only.

for example:
  membrane-xai score cams.zarr --out scored
  membrane-xai score cams.zarr --out scored --scheduler tcp://head-node:8786 --json
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from membrane_xai._backend.vocabulary import OF_SUMS
from membrane_xai._commands.options import count_from, grid_type, mpp_type
from membrane_xai.errors import MembraneXAIError, missing
from membrane_xai.tables import cells_text, json_text, score_text

if TYPE_CHECKING:
    from membrane_xai.labelled import StoreResult

__all__ = ["add_arguments", "run"]

_TIMEOUT = 30  # seconds to find the scheduler
_SHOWN = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``membrane-xai score``."""
    add = parser.add_argument
    add("store", metavar="STORE", help="a Zarr store: a folder, or a URL that fsspec reads")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--scheduler", metavar="ADDRESS",
        help="of a dask cluster, such as tcp://head-node:8786 (default: work here)")  # fmt: skip
    add("--cam", default="cam", metavar="NAME", help="of the CAMs (default: %(default)s)")
    add("--mask", default="mask", metavar="NAME", help="of the masks (default: %(default)s)")
    add("--region", metavar="NAME", help="of where pixels count (default: region, if it is there)")
    add("--groups", metavar="NAME", help="of patients or slides (default: group, if it is there)")
    add("--classes", metavar="NAME", help="of classes (default: class, if it is there)")
    add("--grid", type=grid_type, metavar="S,O,N",
        help="where the cells lie: spacing, offset, size of the input in pixels, as 32,0,224 for "
             "a ResNet (default: attribute cam_grid of the CAMs, else half-pixel)")  # fmt: skip
    add("--mpp", type=mpp_type, metavar="UM",
        help="micrometres per pixel of the masks (default: their attribute mpp)")  # fmt: skip
    add("--negative", default="clip", choices=("clip", "abs", "raise"),
        help="what to do with negative activation (default: %(default)s)")  # fmt: skip
    add("--similarity", default="pearson", choices=("pearson", "spearman", "cosine"),
        help="of EC (default: %(default)s)")  # fmt: skip
    add("--chunk", type=count_from(1), metavar="N",
        help="samples in a part (default: a chunk of the CAMs)")  # fmt: skip
    add("--draws", type=count_from(100), default=10_000, metavar="N",
        help="of a bootstrap; the intervals draw nothing (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="default: %(default)s")
    add("--json", action="store_true", help="write the summary as JSON on stdout, for programs")


def run(args: argparse.Namespace) -> int:
    """Return 1 if samples have no score since they cannot be read or are not finite, else 0."""
    from membrane_xai.labelled import evaluate_store
    from membrane_xai.tables import write_csv

    with _client(args.scheduler) as client:
        result = evaluate_store(
            args.store,
            out=args.out,
            client=client,
            cam=args.cam,
            mask=args.mask,
            region=args.region,
            groups=args.groups,
            classes=args.classes,
            grid=args.grid,
            mpp=args.mpp,
            negative=args.negative,
            similarity=args.similarity,
            chunk=args.chunk,
            progress=True,
        )
    rows = result.summary(draws=args.draws, seed=args.seed)
    write_csv(args.out / "summary.csv", rows)
    if result.missing < result.settings["samples"]:
        result.scores().to_zarr(
            args.out / "scores.zarr",
            mode="w",
            zarr_format=2,  # 3 has no stable strings yet
        )
    _print(args, result, rows)
    return int(bool(result.missing or result.non_finite))


@contextmanager
def _client(address: str | None) -> Iterator[Any]:
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise missing(error, "--scheduler", extra="dask") from error
    try:
        client = Client(address, timeout=_TIMEOUT)
    except (OSError, ValueError) as error:
        raise MembraneXAIError(f"no scheduler at {address}: {error}") from error
    with client:
        yield client


def _print(args: argparse.Namespace, result: "StoreResult", rows: list[dict[str, Any]]) -> None:
    for (start, stop), error in result.failed.items():
        print(f"failed: samples {start} to {stop - 1}: {error}", file=sys.stderr)
    if result.non_finite:
        some = ", ".join(map(str, result.non_finite[:_SHOWN]))
        more = len(result.non_finite) - _SHOWN
        print(
            f"non-finite values in samples {some}{f' and {more} more' if more > 0 else ''}",
            file=sys.stderr,
        )
    if args.json:
        problems = {
            "failed": [
                {"start": start, "stop": stop, "error": error}
                for (start, stop), error in result.failed.items()
            ],
            "non_finite": result.non_finite,
        }
        print(json_text({"summary": rows, **problems, "out": str(args.out)}))
        return
    for row in rows:
        print(
            f"{row['class']}: {row['scored']} of {row['rows']} samples scored, "
            f"toward ideal {score_text(row, 'toward_ideal')} (of sums {score_text(row, OF_SUMS)}), "
            f"MAP {score_text(row, 'map')}, chance {row['chance']:z.3f}, "
            f"ideal {row['ideal']:z.3f}, {cells_text(row)}, "
            f"EC {row['ec_class']:z.3f} over {row['pairs']} pairs, "
            f"{row['ec_between']:z.3f} with other classes"
        )
    print(f"written to {args.out}")
