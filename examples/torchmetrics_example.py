"""MAP and EC as TorchMetrics, summed up over batches of native Grad-CAM maps."""

import numpy as np
import torch
from torchmetrics import MetricCollection

from her2_models.explain import native_cam
from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.torchmetrics import (
    ExplanationConsistency,
    MembraneActivationPrecision,
)

SCORES = ("2+", "3+")
GRID = (7, 7)

backbone = imagenet_efficientnet_lite0()
metrics = MetricCollection(
    {
        "MAP": MembraneActivationPrecision(),
        "toward ideal": MembraneActivationPrecision(score="toward_ideal"),
        "EC": ExplanationConsistency(GRID, num_groups=len(SCORES)),
    }
)
for seed in range(3):  # a batch has one image of each score
    fields = [synthetic_her2(score, size=256, seed=seed) for score in SCORES]
    images = torch.cat([backbone.to_input(field.rgb, 224) for field in fields])
    cams = torch.from_numpy(native_cam(backbone, images, "GradCAM", target=0))
    masks = np.stack([field.membrane for field in fields])
    metrics.update(cams=cams, masks=masks, groups=range(len(SCORES)))

values = metrics.compute()
print(f"{'MAP':20}{values['MAP']:8.3f}")
print(f"{'toward ideal':20}{values['toward ideal']:8.3f}")
for score, ec in zip(SCORES, values["EC"].tolist(), strict=True):
    print(f"{f'EC within {score}':20}{ec:8.3f}")
print("samples:", metrics["MAP"].status_counts())
