"""MAP and EC run by Quantus, beside its own Relevance Mass Accuracy."""

import numpy as np
import quantus
import torch

from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.quantus import ExplanationConsistency, MembraneActivationPrecision

SIDE = 192

fields = [synthetic_her2(score, size=SIDE, seed=0) for score in ("2+", "3+")]
backbone = imagenet_efficientnet_lite0()
images = torch.cat([backbone.to_input(field.rgb, SIDE) for field in fields])
classes = backbone.network(images).argmax(1).numpy()

found = quantus.evaluate(
    metrics={
        "MAP": MembraneActivationPrecision(negative="abs"),
        "toward ideal": MembraneActivationPrecision("toward_ideal", negative="abs"),
        "EC": ExplanationConsistency(n_views=2),
        "mass accuracy": quantus.RelevanceMassAccuracy(abs=True, disable_warnings=True),
    },
    xai_methods={"Saliency": quantus.explain, "InputXGradient": quantus.explain},
    explain_func_kwargs={"xai_lib": "captum"},
    model=backbone.network,
    x_batch=images.numpy(),
    y_batch=classes,
    s_batch=np.stack([field.membrane for field in fields])[:, None],
    agg_func=np.nanmean,
)

columns = list(found["Saliency"])
print(f"{'method':16}" + "".join(f"{name:>15}" for name in columns))
for method, scores in found.items():
    print(f"{method:16}" + "".join(f"{scores[name]:15.3f}" for name in columns))
