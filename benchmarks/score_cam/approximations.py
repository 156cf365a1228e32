"""Closeness of maps of fewer channels, on a trained network and a stained image."""

from typing import Any

from benchmarks.harness.rows import Row
from her2_models.explain import predict
from her2_models.models import imagenet_efficientnet_lite0
from her2_models.score_cam import ScoreCAM, approximation_error
from membrane_xai.datasets import ihc_sample

_SIDE = 224
_SETTINGS: dict[str, dict[str, Any]] = {
    "half of the channels by mass": {"max_channels": 160},
    "a quarter by mass": {"max_channels": 80},
    "a tenth by mass": {"max_channels": 32},
    "bf16": {"precision": "bf16"},
}


def approximations() -> list[Row]:
    """Give Pearson's correlation with the exact map, and the share of forward passes."""
    backbone = imagenet_efficientnet_lite0()
    image = backbone.to_input(ihc_sample().rgb, _SIDE)
    category = int(predict(backbone, image)[0].argmax())
    rows = []
    for variant in ("pytorch-grad-cam", "official"):
        for name, settings in _SETTINGS.items():
            layers = [backbone.explained_layer()]
            cam = ScoreCAM(backbone.network, layers, variant=variant, **settings)
            error = approximation_error(cam, image, [lambda output: output[category]])
            head = f"EfficientNet-Lite0, ImageNet, variant {variant}, {name}"
            share = error.forwards / error.exact_forwards
            rows += [
                Row(f"{head}: Pearson to the exact map", "", error.pearson.tolist()),
                Row("  share of forward passes", "", [share]),
            ]
    return rows
