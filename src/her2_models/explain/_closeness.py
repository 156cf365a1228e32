"""How close a Score-CAM that was asked to approximate comes, on some of a study's images."""

from collections.abc import Sequence

from her2_models.data import SCORES
from her2_models.explain._cams import on_device, scores_of
from her2_models.explain._explainers import inputs_of
from her2_models.explain._kept_rows import KeptRows
from her2_models.explain._work import Image, Prediction, Work
from her2_models.score_cam import ScoreCAM, approximation_error
from membrane_xai.io import read_image

__all__ = ["evenly", "score_cam_closeness"]

_APPROXIMATE = ("precision", "max_channels", "cluster")
_IMAGES = 4  # the exact maps are computed for them, too


def evenly(count: int, most: int) -> list[int]:
    """Return `most` of `count` places, or all, evenly over them."""
    most = min(most, count)
    return [i * count // most for i in range(most)]


def score_cam_closeness(
    work: Work, images: Sequence[Image], predictions: Sequence[Prediction | None]
) -> list[float]:
    """Return Pearson's correlation with the exact map for some images; empty if maps are exact."""
    options = dict(work.methods.get("ScoreCAM", {}))
    if not any(name in options for name in _APPROXIMATE):
        return []
    known = [(i, p) for i, p in zip(images, predictions, strict=True) if p is not None]
    some = [known[place] for place in evenly(len(known), _IMAGES)]
    kept = KeptRows(work.out / "closeness.jsonl", ["path"])
    cam = ScoreCAM(work.backbone.network, [work.backbone.target_layer], **options)
    found: list[float] = []
    for image, prediction in some:
        row = kept.get(str(image.path))
        if row is None:
            row = {"path": str(image.path), "pearson": _pearson(work, cam, image, prediction)}
            kept.add([row])
        found.append(row["pearson"])
    return found


def _pearson(work: Work, cam: ScoreCAM, image: Image, prediction: Prediction) -> float:
    rgb = read_image(image.path, mpp=work.mpp).rgb
    inputs = on_device(work.backbone, inputs_of(work.backbone, [rgb], work.input_size))
    targets = scores_of(SCORES.index(prediction.score), 1)
    return float(approximation_error(cam, inputs, targets).pearson[0])
