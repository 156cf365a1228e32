"""Explanation Consistency as a metric of TorchMetrics; memory does not grow with the maps."""

import math
from typing import Any

from membrane_xai._backend.arrays import (
    as_array,
    check_arrays,
    from_numpy,
    squeeze_channel,
    to_numpy,
)
from membrane_xai._backend.checks import check_choice, check_grid, is_count
from membrane_xai._backend.labels import group_codes, read_labels
from membrane_xai._backend.numeric import read_numbers
from membrane_xai.errors import InvalidInputError
from membrane_xai.integrations.torchmetrics._base import SummedMetric, check_resampling, torch
from membrane_xai.metrics import UnitSums

__all__ = ["ExplanationConsistency"]

_CLOSED_FORM = ("pearson", "spearman", "cosine")


class ExplanationConsistency(SummedMetric):
    r"""Mean similarity over all pairs of maps, within groups if wanted; higher is better.

    Memory does not grow with the number of maps, and pairs across batches and processes count: for
    unit vectors :math:`u_i` of weights :math:`w_i`

    .. math:: \mathrm{EC} = \frac{\|\sum_i w_i u_i\|^2 - \sum_i w_i^2}
        {(\sum_i w_i)^2 - \sum_i w_i^2}

    Parameters
    ----------
    grid : (int, int)
        Rows and columns of every map.
    similarity : {"pearson", "spearman", "cosine"}
        As in :func:`membrane_xai.ec_score`; the others have no such form.
    num_groups : int, optional
        Compare maps within groups only, which `update` then takes as labels from 0.
    **kwargs
        As of every ``torchmetrics.Metric``, such as `sync_on_compute`.

    Raises
    ------
    InvalidInputError
        An unknown option.

    Notes
    -----
    States, all summed, for each group: the `vector` of the sum above (float64, one number a pixel),
    sums of weights and of their squares, and `counts` of maps that are defined, flat and not
    finite. The latter two have no direction: they are counted and left out. A device without
    float64, such as MPS, cannot hold the states. In a ``MetricCollection`` pass arguments by name,
    and within ``BootStrapper``, which resamples tensors only, groups and weights as tensors.

    Examples
    --------
    >>> import torch
    >>> from membrane_xai.integrations.torchmetrics import ExplanationConsistency
    >>> metric = ExplanationConsistency((2, 3))
    >>> ramp = torch.arange(6.0).reshape(1, 2, 3)
    >>> metric.update(torch.cat([ramp, 2 * ramp + 1]))
    >>> metric.update(torch.cat([-ramp, torch.ones(1, 2, 3)]))  # the last one is flat
    >>> round(metric.compute().item(), 3)  # pairs: 1, -1, -1
    -0.333
    >>> metric.undefined_maps().tolist()
    [1]

    One map has no pair:

    >>> by_class = ExplanationConsistency((2, 3), num_groups=2)
    >>> by_class.update(torch.cat([ramp, ramp, ramp]), groups=torch.tensor([0, 0, 1]))
    >>> [round(ec, 3) for ec in by_class.compute().tolist()]
    [1.0, nan]
    """

    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    vector: torch.Tensor
    weight: torch.Tensor
    square: torch.Tensor
    counts: torch.Tensor

    def __init__(
        self,
        grid: tuple[int, int],
        *,
        similarity: str = "pearson",
        num_groups: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice(similarity, "similarity", _CLOSED_FORM)
        if num_groups is not None and not (is_count(num_groups) and num_groups > 0):
            raise InvalidInputError(f"num_groups is {num_groups!r}; it takes a positive integer")
        self.grid = check_grid(grid)
        self.similarity = similarity
        self.num_groups = num_groups
        n = num_groups or 1
        self.add_sum("vector", (n, math.prod(self.grid)), torch.float64)
        self.add_sum("weight", (n,), torch.float64)
        self.add_sum("square", (n,), torch.float64)
        self.add_sum("counts", (n, 3), torch.int64)
        self.tell_apart(similarity=similarity)

    def update(self, cams: Any, groups: Any = None, weights: Any = None) -> None:
        """Add a batch.

        Parameters
        ----------
        cams : torch.Tensor of shape (N, h, w) or (N, 1, h, w)
            Maps of the grid given at construction, any real dtype.
        groups : N integers from 0 to ``num_groups - 1``
            The group of each map; needed if and only if `num_groups` was given.
        weights : N non-negative numbers, optional
            Weight of each map, such as confidence; a map of weight 0 is left out.

        Raises
        ------
        InvalidInputError
            Maps of another grid, labels or weights that do not fit.
        """
        check_resampling(cams=(cams, 3), groups=(groups, 1), weights=(weights, 1))
        cams = self._as_cams(cams)
        batch = UnitSums.of(
            cams,
            self.similarity,
            codes=to_numpy(self._as_labels(groups, len(cams))),
            n_groups=len(self.vector),
            weights=to_numpy(self._as_weights(weights, len(cams))),
        )
        merged = self._sums().merge(batch)
        self.vector, self.weight, self.square = merged.vectors, merged.weights, merged.squares
        self.counts = merged.counts.to(self.counts)

    def compute(self) -> torch.Tensor:
        """Return EC as a float64 scalar, or (num_groups,); NaN where no pair is defined."""
        ec: torch.Tensor = self._sums().mean()
        return ec[0] if self.num_groups is None else ec

    def undefined_maps(self) -> torch.Tensor:
        """Return how many maps of each group were left out, over all processes.

        Returns
        -------
        torch.Tensor of shape (num_groups,) or (1,), int64
            Flat maps and maps that are not finite. Under distributed use every process must call
            it.
        """
        return self.summed("counts")[:, 1:].sum(1)

    def _sums(self) -> UnitSums:
        return UnitSums(self.vector, self.weight, self.square, self.counts)

    def _as_tensor(self, x: Any) -> torch.Tensor:
        """Return an array of any library as a tensor on the device of the states."""
        tensor: torch.Tensor = x if torch.is_tensor(x) else from_numpy(self.vector, to_numpy(x))
        return tensor.to(self.vector.device)

    def _as_cams(self, cams: Any) -> torch.Tensor:
        array = self._as_tensor(as_array(cams, "cams"))
        check_arrays(array, "cams")
        plain: torch.Tensor = squeeze_channel(array, "cams")
        if plain.ndim != 3 or tuple(plain.shape[1:]) != self.grid:
            raise InvalidInputError(
                f"cams has shape {tuple(plain.shape)}; it takes (N, {self.grid[0]}, {self.grid[1]})"
            )
        return plain

    def _as_labels(self, groups: Any, count: int) -> torch.Tensor:
        if (groups is None) != (self.num_groups is None):
            takes = "none, as" if self.num_groups is None else "labels, as"
            raise InvalidInputError(f"groups: it takes {takes} num_groups is {self.num_groups}")
        if groups is None:
            return torch.zeros(count, dtype=torch.int64, device=self.vector.device)
        labels = self._as_tensor(as_array(groups) if torch.is_tensor(groups) else _labels(groups))
        whole = not (labels.is_floating_point() or labels.is_complex())
        if not whole or tuple(labels.shape) != (count,):
            raise InvalidInputError(
                f"groups is {labels.dtype} of shape {tuple(labels.shape)}; "
                f"it takes {count} integers"
            )
        if bool(((labels < 0) | (labels >= len(self.vector))).any()):
            raise InvalidInputError(
                f"groups has labels {int(labels.min())} to {int(labels.max())}; "
                f"it takes 0 to {len(self.vector) - 1}"
            )
        return labels.long()

    def _as_weights(self, weights: Any, count: int) -> torch.Tensor:
        if weights is None:
            return torch.ones(count, dtype=self.vector.dtype, device=self.vector.device)
        known = weights if torch.is_tensor(weights) else read_numbers(weights, "weights")
        values = self._as_tensor(known).to(self.vector)
        if tuple(values.shape) != (count,) or not bool((values.isfinite() & (values >= 0)).all()):
            raise InvalidInputError(
                f"weights is {weights!r}; it takes {count} finite numbers, none negative"
            )
        return values


def _labels(groups: Any) -> torch.Tensor:
    """Return labels as they are given, each one known, on the CPU."""
    labels = read_labels(groups, "groups")
    group_codes(labels, len(labels))  # none is missing
    if not all(isinstance(label, int | float) for label in labels):
        raise InvalidInputError(f"groups is {groups!r}; it takes integers, one per map")
    return torch.as_tensor(labels)
