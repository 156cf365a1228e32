"""Where do the CAMs of a trained HER2 classifier look on unseen slides, and where ImageNet's."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from her2_models.data import Record
from her2_models.explain import native_cam, predict
from her2_models.models import Backbone, her2_backbone, imagenet_efficientnet_lite0
from her2_models.train import Run
from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_image

__all__ = ["METHODS", "compare_networks"]

METHODS = ("GradCAM", "LayerCAM")
"""Fast enough for a demo."""

_SCORES = (2, 3)  # 0 and 1+ have hardly any membrane to look at
_SLIDES = 6  # of each score, one patch each


def compare_networks(folder: Path) -> list[dict[str, Any]]:
    """Score the CAMs of both networks on test patches of a run.

    Parameters
    ----------
    folder : Path
        Of the training run. Its images need known micrometres per pixel.

    Returns
    -------
    list of dict
        One row a network and method: means over patches, and how many had no score.
    """
    run = Run(folder)
    records = _chosen(run.manifest.by_split()["test"])
    size = run.config.model.input_size
    networks = {
        "ImageNet": imagenet_efficientnet_lite0(),
        "HER2, trained": her2_backbone(run.config.model, run.weights),
    }
    return [
        _summary(name, method, list(_scores(backbone, records, method, size)))
        for name, backbone in networks.items()
        for method in METHODS
    ]


def _chosen(records: Sequence[Record]) -> list[Record]:
    """Return the first patch of the first slides of each score."""
    chosen: list[Record] = []
    for score in _SCORES:
        first = {record.group: record for record in reversed(records) if record.score == score}
        chosen += [first[name] for name in sorted(first, key=str)[:_SLIDES]]
    return chosen


def _scores(
    backbone: Backbone, records: Sequence[Record], method: str, size: int
) -> Iterator[dict[str, Any]]:
    """Explain what is predicted for each patch, and align the CAM with the extracted mask."""
    for record in records:
        if record.mpp is None:
            raise InvalidInputError(f"{record.path}: its micrometres per pixel are not known")
        rgb = read_image(record.path, mpp=record.mpp).rgb
        membrane = extract_membrane_mask(rgb, mpp=record.mpp)
        inputs = backbone.to_input(rgb, size)
        target = int(predict(backbone, inputs)[0].argmax())
        cam = native_cam(backbone, inputs, method, target=target)[0]
        yield alignment(cam, membrane.mask).to_dict()


def _summary(network: str, method: str, scores: Sequence[dict[str, Any]]) -> dict[str, Any]:
    scored = [row for row in scores if row["status"] == "ok"]
    means = {
        name: float(np.mean([row[name] for row in scored])) if scored else float("nan")
        for name in ("map", "chance", "ceiling", "relative", "coverage")
    }
    return {
        "network": network,
        "method": method,
        **means,
        "patches": len(scored),
        "undefined": len(scores) - len(scored),
    }
