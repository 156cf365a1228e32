"""MAP and its frame of reference over images of several scores, explained by TorchCAM."""

import numpy as np
import torch
from torchcam.methods import GradCAM, LayerCAM

from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.torchcam import MembraneActivationPrecision

fields = [synthetic_her2(score, size=256, seed=0) for score in ("0", "2+", "3+")]
backbone = imagenet_efficientnet_lite0()
images = torch.cat([backbone.to_input(field.rgb, 224) for field in fields])
masks = np.stack([field.membrane for field in fields])
masks[0] = False  # next to nothing on the field of score 0: taken for no membrane at all
columns = ("map", "chance", "ideal", "toward_ideal", "scored", "empty_mask")

print(f"{'method':10}" + "".join(f"{name:>14}" for name in columns))
for method in (GradCAM, LayerCAM):
    with method(backbone.network, "blocks.4") as extractor:
        metric = MembraneActivationPrecision(extractor)
        metric.update(images, masks)
    summary = metric.summary()
    print(f"{method.__name__:10}" + "".join(f"{summary[name]:14.3g}" for name in columns))
