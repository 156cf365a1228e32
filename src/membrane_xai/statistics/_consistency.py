"""``summarize_consistency``: EC with an interval that keeps groups together."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import Array, to_numpy
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.labels import group_codes
from membrane_xai.metrics._cam_sets import plain_set
from membrane_xai.metrics._similarity import Similarity, blank_non_finite, named_similarity
from membrane_xai.metrics._unit_sums import unit_sums_on_host
from membrane_xai.statistics._options import METHODS, IntervalOptions
from membrane_xai.statistics._summary import Summary, summary_of
from membrane_xai.statistics._sums import Quadratic

__all__ = ["PAIRS", "pair_sums", "quadratic", "summarize_consistency", "summary_of_pairs"]

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

_BOUNDS = (-1.0, 1.0)
"""Of every similarity."""

PAIRS = ("all", "between", "within")
"""Pairs of CAMs that count: by whether they are of one group."""


def summarize_consistency(
    cams: Any,
    groups: Any = None,
    *,
    similarity: str = "pearson",
    pairs: str = "all",
    k: float = 0.1,
    ci: float = 0.95,
    method: str = "jackknife",
    draws: int = 10_000,
    small_sample: bool = True,
    seed: int = 0,
) -> Summary:
    r"""Explanation Consistency of a set of CAMs with an interval over groups.

    .. math:: \mathrm{EC}(v) = \frac{\sum_g v_g S_{gg} + \sum_{g<h} v_g v_h S_{gh}}
        {\sum_g v_g N_{gg} + \sum_{g<h} v_g v_h N_{gh}}

    with :math:`S_{gh}` the sum of the similarities of the :math:`N_{gh}` pairs of CAMs between
    groups g and h (within g for :math:`S_{gg}`), and counts :math:`v` of the groups: all 1 for EC
    itself, one of them 0 in the jackknife, multinomial in the draws of a bootstrap. A group drawn
    twice brings its own pairs twice; pairs between its two copies are left out, as a CAM would meet
    itself there and agree perfectly.

    Parameters
    ----------
    cams : array or list of maps
        (N, h, w) or (N, 1, h, w) of any library, as in :func:`membrane_xai.ec_score`; a DataArray
        has three dims.
    groups : sequence of N labels, optional
        The patient (or slide) of each CAM. Without it every CAM is a group of its own.
    similarity, k
        As in :func:`membrane_xai.ec_score`. "pearson", "spearman" and "cosine" cost O(N + G²), the
        others compare all pairs.
    pairs : {"all", "between", "within"}
        Pairs of CAMs that count: all, only of different groups, or only of the same group.
    ci, draws, small_sample, seed
        As in :func:`membrane_xai.summarize`.
    method : {"jackknife", "bca", "percentile"}
        As in :func:`membrane_xai.summarize`; the jackknife on the scale of Fisher's z, so that no
        end leaves [-1, 1].

    Returns
    -------
    Summary
        `mean` is EC, at most 1, higher is better; with ``pairs="all"`` that of
        :func:`membrane_xai.ec_score`. `n` counts CAMs; `undefined` those that are "flat" or
        "non_finite". `average` says which pairs.

    Raises
    ------
    InvalidInputError
        As in :func:`membrane_xai.ec_score` and :func:`membrane_xai.summarize`.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.statistics import summarize_consistency
    >>> ramp = np.arange(6.0).reshape(2, 3)
    >>> cams = np.stack([ramp, 2 * ramp, ramp.T.reshape(2, 3), ramp[::-1], np.ones((2, 3))])
    >>> result = summarize_consistency(cams, ["A", "A", "B", "C", "C"])
    >>> round(result.mean, 3), result.n, result.n_groups, result.undefined
    (0.143, 4, 3, {'flat': 1})

    Within patients there is one pair, of patient A; draws without A have no pair and do not count.

    >>> round(summarize_consistency(cams, ["A", "A", "B", "C", "C"], pairs="within").mean, 3)
    1.0
    """
    compared = named_similarity(similarity, k)
    check_choice(pairs, "pairs", PAIRS)
    options = IntervalOptions(ci, draws, method, small_sample, seed).checked(METHODS)
    cams = plain_set(cams)
    count = int(cams.shape[0])
    codes, labels = group_codes(range(count) if groups is None else groups, count)
    if compared.unit_vectors:
        found = unit_sums_on_host(cams, compared, codes, len(labels))
        sums, numbers, counts = *found.similarities(), found.counts
    else:
        sums, numbers, counts = pair_sums(cams, codes, len(labels), compared)
    return summary_of_pairs(sums, numbers, counts, pairs, options, clustered=groups is not None)


def summary_of_pairs(
    sums: Floats,
    numbers: Floats,
    counts: Floats,
    pairs: str,
    options: IntervalOptions,
    *,
    clustered: bool,
) -> Summary:
    """Summarise sums over pairs; groups without a defined CAM are left out."""
    some = counts[:, 0] > 0
    statistic = quadratic(sums[some][:, some], numbers[some][:, some], pairs)
    defined, flat, non_finite = counts.sum(axis=0).astype(int).tolist()
    reasons = {"flat": flat, "non_finite": non_finite}
    return summary_of(
        statistic,
        options,
        n=defined,
        undefined={reason: number for reason, number in reasons.items() if number},
        clustered=clustered,
        average=pairs,
        bounds=_BOUNDS,
    )


def pair_sums(cams: Array, codes: Codes, n_groups: int, similarity: Similarity) -> Any:
    """Compare every pair of maps; return similarities, numbers of pairs, and counts by kind."""
    cams, finite = blank_non_finite(cams)
    found = similarity.prepare(cams)
    known = to_numpy(finite)
    defined = to_numpy(found.defined) & known
    counts = np.zeros((n_groups, 3))
    np.add.at(counts, (codes, np.where(defined, 0, np.where(known, 1, 2))), 1)
    sums = np.zeros((n_groups, n_groups))
    for i in np.flatnonzero(defined):
        scores = to_numpy(similarity.compare(found.part(int(i), int(i) + 1), found))
        others = defined.copy()
        others[i] = False
        sums[codes[i]] += np.bincount(codes[others], scores[others], n_groups)
    n = counts[:, 0]
    return sums, np.outer(n, n) - np.diag(n), counts


def quadratic(sums: Floats, numbers: Floats, pairs: str) -> Quadratic:
    """Arrange sums over pairs for the bootstrap, in an order that labels have no part in."""
    check_choice(pairs, "pairs", PAIRS)
    order = np.lexsort((sums.sum(axis=1), np.diag(numbers), numbers.sum(axis=1)))
    both = np.stack([sums, numbers])[:, order[:, None], order]
    within = np.stack([np.diag(both[0]), np.diag(both[1])], axis=1) / 2
    between = both * (1 - np.eye(len(sums)))
    sizes = (1 + np.sqrt(1 + 4 * np.diag(both[1]))) / 2  # n samples make n (n - 1) ordered pairs
    if pairs == "between":
        within = np.zeros_like(within)
    if pairs == "within":
        between = np.zeros_like(between)
    return Quadratic(within, between, within[:, 1] if pairs == "within" else sizes)
