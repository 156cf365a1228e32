"""Quantus: MAP and EC as its metrics, so that ``quantus.evaluate`` runs them beside its own."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import squeeze_channel
from membrane_xai._backend.cam_grid import check_cam_grid
from membrane_xai._backend.checks import check_choice, is_count
from membrane_xai._backend.vocabulary import SCORES
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.quantus._base import EvaluationCategory, ImageMetric
from membrane_xai.metrics import CamGrid, alignment, ec_score
from membrane_xai.metrics._mass import check_negative
from membrane_xai.metrics._similarity import named_similarity

__all__ = ["ExplanationConsistency", "MembraneActivationPrecision", "gaussian_noise"]


Perturb = Callable[[NDArray[Any], np.random.Generator], NDArray[Any]]


class MembraneActivationPrecision(ImageMetric):
    """Membrane Activation Precision, or one of its kin, as a metric of Quantus.

    Parameters
    ----------
    score : str
        Which field of :class:`membrane_xai.AlignmentResult` to return: one of
        ``membrane_xai.metrics.SCORES``, such as "map" or "toward_ideal".
    grid : CamGrid, optional
        Where the cells of the maps lie, as in :func:`membrane_xai.map_score`.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`; Quantus's `abs` and `normalise` are not needed, as
        scaling changes no score.
    return_aggregate : bool
        Return the mean over the images that have a score, in a list.
    display_progressbar : bool
        Show Quantus's bar.

    Raises
    ------
    InvalidInputError
        An unknown option.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.integrations.quantus import MembraneActivationPrecision
    >>> images, labels = np.zeros((2, 3, 4, 4), np.float32), np.zeros(2, int)
    >>> maps = np.array([[[3.0, 0.0], [1.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]])
    >>> membrane = np.zeros((2, 1, 4, 4), bool)
    >>> membrane[0, 0, :2] = True
    >>> metric = MembraneActivationPrecision()

    The maps may be coarser than the images. The second image has no membrane, and no score:

    >>> scores = metric(None, images, labels, maps, membrane)
    >>> [round(score, 6) for score in scores]
    [0.6875, nan]
    """

    name = "Membrane Activation Precision"
    evaluation_category = EvaluationCategory.LOCALISATION

    def __init__(
        self,
        score: str = "map",
        *,
        grid: CamGrid | None = None,
        negative: str = "clip",
        return_aggregate: bool = False,
        display_progressbar: bool = False,
    ) -> None:
        check_choice(score, "score", SCORES)
        check_negative(negative)
        super().__init__(return_aggregate, display_progressbar)
        self.score = score
        self.grid = check_cam_grid(grid)
        self.negative = negative

    def custom_preprocess(self, *, s_batch: NDArray[Any] | None, **_: Any) -> None:
        """Raise unless there are masks."""
        if s_batch is None:
            raise InvalidInputError("s_batch is None; it takes the membrane masks, (N, 1, H, W)")

    def evaluate_batch(
        self,
        *,
        a_batch: NDArray[Any],
        s_batch: NDArray[Any],
        custom_batch: NDArray[Any] | None = None,
        **_: Any,
    ) -> list[float]:
        """Score a batch of maps against its masks; called by Quantus."""
        cams = a_batch if custom_batch is None else custom_batch
        result = alignment(cams, np.asarray(s_batch), grid=self.grid, negative=self.negative)
        scores: list[float] = np.asarray(getattr(result, self.score)).tolist()
        return scores


def gaussian_noise(x_batch: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Add noise whose standard deviation is 5 % of each image's range.

    Parameters
    ----------
    x_batch : ndarray of shape (N, C, H, W)
        Network inputs.
    rng : numpy.random.Generator
        Where the noise comes from.

    Returns
    -------
    ndarray of shape (N, C, H, W)
        Of the same dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.integrations.quantus import gaussian_noise
    >>> flat = np.ones((1, 3, 2, 2), np.float32)
    >>> bool((gaussian_noise(flat, np.random.default_rng(0)) == flat).all())  # no range, no noise
    True
    """
    axes = tuple(range(1, x_batch.ndim))
    spread = x_batch.max(axes, keepdims=True) - x_batch.min(axes, keepdims=True)
    noisy: NDArray[Any] = x_batch + 0.05 * spread * rng.standard_normal(x_batch.shape)
    return noisy.astype(x_batch.dtype, copy=False)


class ExplanationConsistency(ImageMetric):
    """Explanation Consistency of each image under perturbation, as a metric of Quantus.

    Parameters
    ----------
    similarity : str
        As in :func:`membrane_xai.ec_score`.
    perturb : callable
        ``perturb(x_batch, rng)`` gives images of the same shape and geometry;
        :func:`gaussian_noise` by default. It is called with one image at a time, of shape
        (1, C, H, W).
    n_views : int
        Perturbed views of each image, from 1.
    seed : int, optional
        Of the `rng` that `perturb` gets; None draws another one in every call. Each image has one
        of its own, started from the seed and the image's values, so that its score depends neither
        on the batch nor on the order.
    return_aggregate, display_progressbar
        As in :class:`MembraneActivationPrecision`.

    Raises
    ------
    InvalidInputError
        An unknown option.

    Notes
    -----
    The score is the mean similarity over all pairs among the explanation of the image and those of
    its views, at most 1; NaN if the maps are flat. It needs a model and `explain_func`. Given
    attributions may be coarser than those of `explain_func`: they are upsampled.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from membrane_xai.integrations.quantus import ExplanationConsistency
    >>> def brightness(model, inputs, targets, **_):
    ...     return np.asarray(inputs).mean(1)
    >>> images = np.random.default_rng(0).random((2, 3, 8, 8), dtype=np.float32)
    >>> images[1] = 0.5  # a flat image has a flat map, which has no direction
    >>> network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    >>> metric = ExplanationConsistency(n_views=2)
    >>> scores = metric(network, images, np.zeros(2, int), explain_func=brightness)
    >>> 0.9 < scores[0] < 1.0, scores[1]
    (True, nan)
    """

    name = "Explanation Consistency"
    evaluation_category = EvaluationCategory.ROBUSTNESS

    def __init__(
        self,
        similarity: str = "pearson",
        *,
        perturb: Perturb = gaussian_noise,
        n_views: int = 4,
        seed: int | None = 0,
        return_aggregate: bool = False,
        display_progressbar: bool = False,
    ) -> None:
        named_similarity(similarity, 0.1)
        if not (is_count(n_views) and n_views > 0):
            raise InvalidInputError(f"n_views is {n_views!r}; it takes a positive integer")
        if seed is not None and not (is_count(seed) and seed >= 0):
            raise InvalidInputError(f"seed is {seed!r}; it takes an integer from 0")
        super().__init__(return_aggregate, display_progressbar)
        self.similarity = similarity
        self.perturb = perturb
        self.n_views = n_views
        self.seed = seed

    def custom_preprocess(self, *, model: Any, **_: Any) -> None:
        """Check what is needed, and take the seed; called by Quantus."""
        if model is None or self.explain_func is None:
            raise InvalidInputError("model and explain_func are needed to explain perturbed images")
        self._entropy = np.random.SeedSequence(self.seed).generate_state(4).tolist()

    def evaluate_batch(
        self,
        *,
        model: Any,
        x_batch: NDArray[Any],
        y_batch: NDArray[Any],
        a_batch: NDArray[Any],
        custom_batch: NDArray[Any] | None = None,
        **_: Any,
    ) -> list[float]:
        """Explain views of a batch and compare; called by Quantus."""
        first = a_batch if custom_batch is None else custom_batch
        sets = [squeeze_channel(np.asarray(first), "a_batch")]
        for views in zip(*map(self._views, x_batch), strict=True):
            cams = np.asarray(self.explain_batch(model, np.concatenate(views), y_batch))
            sets.append(squeeze_channel(cams, "explain_func's result"))
        return [
            ec_score(list(cams), similarity=self.similarity) for cams in zip(*sets, strict=True)
        ]

    def _views(self, image: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the views of an image, each of shape (1, C, H, W)."""
        values = hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
        rng = np.random.default_rng([*self._entropy, int.from_bytes(values, "big")])
        return [np.asarray(self.perturb(image[None], rng)) for _ in range(self.n_views)]
