"""Explain the predictions of a trained classifier, and score the explanations."""

from her2_models.explain._cams import (
    NORMALIZATION,
    cam_method,
    cam_methods,
    native_cam,
    on_device,
    predict,
    scores_of,
)
from her2_models.explain._explainers import CamExplainer, inputs_of
from her2_models.explain._study import (
    ExplainedImage,
    ExplainedStudy,
    explain_images,
    explained_images,
)

__all__ = [
    "NORMALIZATION",
    "CamExplainer",
    "ExplainedImage",
    "ExplainedStudy",
    "cam_method",
    "cam_methods",
    "explain_images",
    "explained_images",
    "inputs_of",
    "native_cam",
    "on_device",
    "predict",
    "scores_of",
]
