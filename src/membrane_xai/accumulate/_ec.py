"""``EcAccumulator``: EC over more CAMs than fit in memory; parts merge."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import as_array, is_array_list, listed
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.vocabulary import EC_STATUSES
from membrane_xai.accumulate._running_sums import RunningSums, check_state
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import ConsistencyResult
from membrane_xai.metrics._cam_sets import plain_set
from membrane_xai.metrics._unit_sums import UnitSums, mean_of_pairs, unit_sums_on_host
from membrane_xai.statistics._consistency import PAIRS, summary_of_pairs
from membrane_xai.statistics._options import METHODS, IntervalOptions
from membrane_xai.statistics._summary import Summary

__all__ = ["SIMILARITIES", "EcAccumulator"]

SIMILARITIES = ("pearson", "spearman", "cosine")


class EcAccumulator:
    r"""Mean similarity over all pairs of CAMs, batch by batch, without keeping a CAM.

    .. math:: \mathrm{EC} = \frac{\|\sum_i u_i\|^2 - n}{n (n - 1)}

    with unit vectors :math:`u_i`: pairs between batches count like all others. Accumulators of
    parts of the data merge into one; the order changes nothing but rounding, less than 1e-12.

    Parameters
    ----------
    similarity : {"pearson", "spearman", "cosine"}
        As in :func:`membrane_xai.ec_score`; the others have no such sum.

    Notes
    -----
    A state of h w float64 per group, whatever the number of CAMs. All CAMs have one size.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import EcAccumulator, ec_score
    >>> cams = np.random.default_rng(0).random((6, 4, 4))
    >>> cams[5] = 1  # flat: it has no direction, and is counted
    >>> first, second = EcAccumulator().update(cams[:4]), EcAccumulator().update(cams[4:])
    >>> result = first.merge(second).compute()
    >>> abs(result.ec - ec_score(cams)) < 1e-15, result.n_pairs, result.n_undefined
    (True, 10, 5)
    >>> first.undefined
    {'flat': 1}
    """

    def __init__(self, *, similarity: str = "pearson") -> None:
        check_choice(similarity, "similarity", SIMILARITIES)
        self.similarity = similarity
        self._state = RunningSums(0, 3)
        self._grid: tuple[int, int] | None = None

    @property
    def undefined(self) -> dict[str, int]:
        """Number of CAMs that are "flat" and "non_finite"; a reason without CAMs is left out."""
        _, flat, non_finite = self._state.counts.sum(axis=0).tolist()
        return {k: n for k, n in (("flat", flat), ("non_finite", non_finite)) if n}

    def update(self, cams: Any, *, groups: Any = None) -> "EcAccumulator":
        """Add a batch.

        Parameters
        ----------
        cams : array
            (h, w), (N, h, w) or (N, 1, h, w), of any library; a DataArray (map, row, column).
        groups : sequence of N labels, optional
            The patient of each CAM; in every update, or in none.

        Returns
        -------
        EcAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            As in :func:`membrane_xai.ec_score`; CAMs of another size than before, groups that do
            not fit. Nothing is added then.
        """
        cams = listed(cams)
        if not is_array_list(cams):
            cams = cams if is_dataarray(cams) else as_array(cams, "cams")
            if cams.ndim == 2:
                cams = (cams.data if is_dataarray(cams) else cams)[None, ...]
        cams = plain_set(cams)
        grid = (int(cams.shape[-2]), int(cams.shape[-1]))
        self._check_grid(grid)
        codes, rows = self._state.codes(groups, int(cams.shape[0]))
        found = unit_sums_on_host(cams, self.similarity, codes, rows.size)
        self._set_grid(grid)
        self._state.add(rows, found.vectors, found.counts)
        return self

    def merge(self, other: "EcAccumulator") -> "EcAccumulator":
        """Add everything another accumulator has seen.

        Parameters
        ----------
        other : EcAccumulator
            Of the same similarity and CAM size; it stays as it is.

        Returns
        -------
        EcAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            Another kind of object, similarity or size, or one with groups and one without.
        """
        if getattr(other, "similarity", None) != self.similarity:
            raise InvalidInputError(
                f"other is {other!r}; it takes an EcAccumulator of {self.similarity!r}"
            )
        if other._grid is not None:
            self._check_grid(other._grid)
            self._set_grid(other._grid)
            self._state.merge(other._state)
        return self

    def compute(self) -> ConsistencyResult:
        """Return EC over all pairs, those between groups included.

        Returns
        -------
        ConsistencyResult
            As of :func:`membrane_xai.consistency` without groups.
        """
        columns = _result_columns(self.unit_sums())
        ec, pairs, undefined, status = (column[0] for column in columns)
        return ConsistencyResult(
            float(ec), int(pairs), int(undefined), str(status), None, self.similarity
        )

    def compute_groups(self) -> ConsistencyResult:
        """Return EC within each group.

        Returns
        -------
        ConsistencyResult
            As of :func:`membrane_xai.consistency` with groups.
        """
        by_group = _sums(self._state.sums, self._state.counts)
        ec, pairs, undefined, status = _result_columns(by_group)
        labels = tuple(self._state.rows)
        return ConsistencyResult(ec, pairs, undefined, status, labels, self.similarity)

    def compute_between(self) -> ConsistencyResult:
        """Return EC between the CAMs of each group and those of all others.

        EC within a class says something only beside it.

        Returns
        -------
        ConsistencyResult
            As of :meth:`compute_groups`; of a single group it has no pair.

        Examples
        --------
        >>> import numpy as np
        >>> from membrane_xai import EcAccumulator
        >>> ramp = np.arange(6.0).reshape(2, 3)
        >>> found = EcAccumulator().update([ramp, 2 * ramp, -ramp], groups=["3+", "3+", "0"])
        >>> found.compute_groups().ec.round(3), found.compute_between().ec.round(3)
        (array([ 1., nan]), array([-1., -1.]))
        """
        vectors, counts = self._state.sums, self._state.counts
        rest = vectors.sum(axis=0) - vectors
        n, every = counts[:, 0], counts.sum(axis=1)
        pairs, possible = n * (n.sum() - n), every * (every.sum() - every)
        total = np.vecdot(vectors, rest)
        ec = mean_of_pairs(total, pairs.astype(np.float64), pairs > 0)
        labels = tuple(self._state.rows)
        return ConsistencyResult(
            ec, pairs, possible - pairs, _statuses(pairs, possible), labels, self.similarity
        )

    def unit_sums(self) -> UnitSums:
        """Return the sums over all CAMs, of whatever group.

        Returns
        -------
        UnitSums
            Of one group.
        """
        state = self._state
        return _sums(state.sums.sum(axis=0)[None], state.counts.sum(axis=0)[None])

    def summarize(
        self,
        *,
        pairs: str = "all",
        ci: float = 0.95,
        method: str = "jackknife",
        draws: int = 10_000,
        small_sample: bool = True,
        seed: int = 0,
    ) -> Summary:
        """Return EC with its interval over groups.

        Parameters
        ----------
        pairs, ci, method, draws, small_sample, seed
            As in :func:`membrane_xai.statistics.summarize_consistency`, which would give the same
            from the CAMs.

        Returns
        -------
        Summary
            Without an interval if `update` had no groups.

        Raises
        ------
        InvalidInputError
            Unknown options.
        """
        check_choice(pairs, "pairs", PAIRS)
        options = IntervalOptions(ci, draws, method, small_sample, seed).checked(METHODS)
        by_group = _sums(self._state.sums, self._state.counts)
        labeled = None not in self._state.rows
        return summary_of_pairs(
            *by_group.similarities(), by_group.counts, pairs, options, clustered=labeled
        )

    def state_dict(self) -> dict[str, Any]:
        """Return everything to go on from, as a dict of lists and NumPy arrays.

        Returns
        -------
        dict
            For :meth:`load_state_dict`.
        """
        kind = {"kind": "EcAccumulator", "similarity": self.similarity}
        return {**kind, "grid": self._grid, **self._state.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> "EcAccumulator":
        """Go on from a state.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` returned it, of an accumulator of the same similarity.

        Returns
        -------
        EcAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            A state of something else. Nothing is changed then.
        """
        check_state(state, {"kind": "EcAccumulator", "similarity": self.similarity})
        grid = state.get("grid")
        pixels = int(grid[0]) * int(grid[1]) if grid is not None else 0
        if np.shape(state["sums"])[1:] != (pixels,):
            raise InvalidInputError(
                f"state has sums of shape {np.shape(state['sums'])} and a grid of {grid}; "
                f"it takes what state_dict returned"
            )
        self._state.load_state_dict(state)
        self._grid = None if grid is None else (int(grid[0]), int(grid[1]))
        return self

    def _check_grid(self, grid: tuple[int, int]) -> None:
        if self._grid not in (None, grid):
            raise InvalidInputError(f"cams are {grid}; those before were {self._grid}")

    def _set_grid(self, grid: tuple[int, int]) -> None:
        if self._grid is None:
            self._grid = grid
            self._state.resized(grid[0] * grid[1])


def _sums(vectors: NDArray[np.float64], counts: NDArray[np.int64]) -> UnitSums:
    """Return sums over maps that all weigh 1."""
    defined = counts[:, 0].astype(np.float64)
    return UnitSums(vectors, defined, defined, counts)


def _result_columns(sums: UnitSums) -> tuple[Any, ...]:
    """Return EC, pairs, undefined pairs and status of each group."""
    n, total = sums.counts[:, 0], sums.counts.sum(axis=1)
    pairs, possible = n * (n - 1) // 2, total * (total - 1) // 2
    return sums.mean(), pairs, possible - pairs, _statuses(pairs, possible)


def _statuses(pairs: NDArray[np.int64], possible: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the status of numbers of defined and of possible pairs."""
    return np.array(EC_STATUSES)[np.where(pairs > 0, 0, np.where(possible > 0, 2, 1))]
