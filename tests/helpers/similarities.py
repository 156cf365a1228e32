"""The six similarities by other libraries, or as they are defined."""

import numpy as np
from scipy import stats
from scipy.spatial.distance import cosine
from skimage.metrics import structural_similarity


def ssim(a, b):
    return structural_similarity(a, b, data_range=max(a.max(), b.max()) - min(a.min(), b.min()))


def pearson(a, b):
    return np.corrcoef(a.ravel(), b.ravel())[0, 1]


def soft_iou(a, b):
    a, b = np.maximum(a, 0), np.maximum(b, 0)
    return np.minimum(a, b).sum() / np.maximum(a, b).sum()


def topk_iou(a, b, k):
    top_a, top_b = (set(np.argsort(-x.ravel())[:k].tolist()) for x in (a, b))
    return len(top_a & top_b) / len(top_a | top_b)


INDEPENDENT = {
    "pearson": lambda a, b: np.corrcoef(a.ravel(), b.ravel())[0, 1],
    "spearman": lambda a, b: stats.spearmanr(a.ravel(), b.ravel()).statistic,
    "cosine": lambda a, b: 1 - cosine(a.ravel(), b.ravel()),
    "ssim": ssim,
    "soft_iou": soft_iou,
    "topk_iou": lambda a, b: topk_iou(a, b, 9),
}
