"""``MapAccumulator``: MAP and its frame over more samples than fit in memory; parts merge."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.vocabulary import OF_SUMS, SCORES, STATUSES, bounds_of
from membrane_xai.accumulate._running_sums import RunningSums, check_state, sums_by_group
from membrane_xai.errors import InvalidInputError
from membrane_xai.metrics import AlignmentResult, CamGrid, alignment
from membrane_xai.metrics._mass import check_negative
from membrane_xai.statistics._options import IntervalOptions
from membrane_xai.statistics._summary import Summary, summary_of
from membrane_xai.statistics._sums import Ratio

__all__ = ["MapAccumulator", "MapMean"]

_SUMS = (*SCORES, "gain", "room")
"""What is summed: also ``map - chance`` and ``ideal - chance`` where `toward_ideal` is defined."""


@dataclass(frozen=True, slots=True)
class MapMean:
    """Means of the scores of :class:`membrane_xai.AlignmentResult` over samples.

    Attributes
    ----------
    map, chance, enrichment, skill, ideal, toward_ideal, ceiling, relative, coverage : float
        Mean over the samples where the score is defined; NaN if there is none.
    n : int
        Samples seen.
    n_defined : dict of str to int
        For each score, samples where it is defined.
    status : dict of str to int
        Samples by status, "ok" among them.
    """

    map: float
    chance: float
    enrichment: float
    skill: float
    ideal: float
    toward_ideal: float
    ceiling: float
    relative: float
    coverage: float
    n: int
    n_defined: Mapping[str, int]
    status: Mapping[str, int]


class MapAccumulator:
    """Score CAMs against masks batch by batch and keep only sums, by group if wanted.

    Accumulators of parts of the data, from other processes or machines, merge into one; the order
    changes nothing but rounding, less than 1e-12 of a mean over a million samples.

    Parameters
    ----------
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.

    Notes
    -----
    A state of 11 float64 and 14 int64 per group, whatever the number of samples.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import MapAccumulator
    >>> membrane = np.array([[True, False], [True, False]])
    >>> cam = np.array([[3.0, 1.0], [0.0, 0.0]])
    >>> first, second = MapAccumulator(), MapAccumulator()
    >>> _ = first.update(cam, membrane, groups=["A"])
    >>> masks = np.stack([membrane, np.zeros((2, 2), bool)])  # the second is a HER2 0 patch
    >>> _ = second.update(np.stack([cam + 1, cam]), masks, groups=["B", "B"])
    >>> result = first.merge(second).compute()
    >>> result.map, result.n, result.status
    (0.6875, 3, {'ok': 2, 'empty_mask': 1})
    >>> first.compute_groups()["B"].map
    0.625
    """

    def __init__(self, *, negative: str = "clip") -> None:
        check_negative(negative)
        self.negative = negative
        self._state = RunningSums(len(_SUMS), len(SCORES) + len(STATUSES))

    def update(
        self,
        cams: Any,
        masks: Any,
        *,
        region: Any = None,
        grid: CamGrid | None = None,
        groups: Any = None,
    ) -> "MapAccumulator":
        """Add a batch.

        Parameters
        ----------
        cams, masks, region, grid
            As in :func:`membrane_xai.alignment`: one pair or a batch, of any library.
        groups : sequence of labels, optional
            The patient of each sample; in every update, or in none.

        Returns
        -------
        MapAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            As in :func:`membrane_xai.alignment`; groups that do not fit. Nothing is added then.
        """
        result = alignment(cams, masks, region=region, grid=grid, negative=self.negative)
        return self.update_scores(result, groups=groups)

    def update_scores(self, result: AlignmentResult, *, groups: Any = None) -> "MapAccumulator":
        """Add a batch that is scored already.

        Parameters
        ----------
        result : AlignmentResult
            Of one pair or a batch, made with the same `negative`.
        groups : sequence of labels, optional
            As in :meth:`update`.

        Returns
        -------
        MapAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            Scores made with another `negative`; groups that do not fit. Nothing is added then.
        """
        if result.negative != self.negative:
            raise InvalidInputError(
                f"result was made with negative={result.negative!r}; this accumulator has "
                f"negative={self.negative!r}"
            )
        columns = {name: _as_values(getattr(result, name)) for name in SCORES}
        values = np.stack(list(columns.values()), axis=1)
        words = np.atleast_1d(np.asarray(_as_numpy(result.status))).ravel()
        codes, rows = self._state.codes(groups, len(values))
        counts = np.zeros((rows.size, len(SCORES) + len(STATUSES)), np.int64)
        np.add.at(counts, codes, _counted(values, words))
        summed = np.column_stack([values, *gain_and_room(columns)])
        self._state.add(rows, sums_by_group(summed, codes, rows.size), counts)
        return self

    def merge(self, other: "MapAccumulator") -> "MapAccumulator":
        """Add everything another accumulator has seen.

        Parameters
        ----------
        other : MapAccumulator
            With the same options; it stays as it is.

        Returns
        -------
        MapAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            Another kind of object, other options, or one with groups and one without.
        """
        if getattr(other, "negative", None) != self.negative:
            raise InvalidInputError(
                f"other is {other!r}; it takes a MapAccumulator with negative={self.negative!r}"
            )
        self._state.merge(other._state)
        return self

    def compute(self) -> MapMean:
        """Return the means over all samples.

        Returns
        -------
        MapMean
            NaN before the first update.
        """
        return _mean(self._state.sums.sum(axis=0), self._state.counts.sum(axis=0))

    def compute_groups(self) -> dict[Any, MapMean]:
        """Return the means of each group, in order of first appearance.

        Returns
        -------
        dict of label to MapMean
            Under None if there are no groups.
        """
        sums, counts = self._state.sums, self._state.counts
        return {label: _mean(sums[row], counts[row]) for label, row in self._state.rows.items()}

    def summarize(
        self,
        score: str = "map",
        *,
        average: str = "samples",
        ci: float = 0.95,
        method: str = "jackknife",
        draws: int = 10_000,
        small_sample: bool = True,
        seed: int = 0,
    ) -> Summary:
        """Return a mean with its interval over groups.

        Parameters
        ----------
        score : str
            "map", "chance", "enrichment", "skill", "ideal", "toward_ideal", "ceiling", "relative"
            or "coverage", as in :class:`membrane_xai.AlignmentResult`; or "toward_ideal_of_sums",
            the ratio ``sum(map - chance) / sum(ideal - chance)``, over the samples with
            "toward_ideal".
        average, ci, method, draws, small_sample, seed
            As in :func:`membrane_xai.summarize`, which would give the same from the scores, with
            `bounds` (0, 1) for "map", "chance", "ideal", "ceiling" and "coverage", (0, inf) for
            "enrichment" and None for the others.

        Returns
        -------
        Summary
            Without an interval if `update` had no groups: sums know no samples.

        Raises
        ------
        InvalidInputError
            Unknown score or options.
        """
        check_choice(score, "score", (*SCORES, OF_SUMS))
        check_choice(average, "average", ("samples",) if score == OF_SUMS else _AVERAGES)
        options = IntervalOptions(ci, draws, method, small_sample, seed).checked()
        whole = score == OF_SUMS
        score = "toward_ideal" if whole else score
        counts = self._state.counts[:, SCORES.index(score)]
        sums = dict(zip(_SUMS, self._state.sums[counts > 0].T, strict=True))
        top, bottom = sums["gain" if whole else score], counts[counts > 0].astype(np.float64)
        bottom = sums["room"] if whole else bottom
        order = np.lexsort((top, bottom))
        top, bottom = top[order], bottom[order]
        if average == "groups":
            top, bottom = top / bottom, np.ones_like(bottom)
        return summary_of(
            Ratio(top, bottom),
            options,
            bounds=bounds_of(score),
            n=int(counts.sum()),
            undefined=self._undefined(score),
            clustered=None not in self._state.rows,
            average=average,
        )

    def _undefined(self, score: str) -> dict[str, int]:
        """Count undefined samples by status; with status "ok" they count as "undefined"."""
        mean = self.compute()
        missing = mean.n - mean.n_defined[score]
        reasons = {word: number for word, number in mean.status.items() if word != "ok"}
        if sum(reasons.values()) > missing:  # chance and ceiling are defined by the mask alone
            return {"undefined": missing} if missing else {}
        rest = missing - sum(reasons.values())
        return {**reasons, "undefined": rest} if rest else reasons

    def state_dict(self) -> dict[str, Any]:
        """Return everything to go on from, as a dict of lists and NumPy arrays.

        Returns
        -------
        dict
            For :meth:`load_state_dict`.
        """
        return {"kind": "MapAccumulator", "negative": self.negative, **self._state.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> "MapAccumulator":
        """Go on from a state.

        Parameters
        ----------
        state : mapping
            As :meth:`state_dict` returned it, of an accumulator with the same options.

        Returns
        -------
        MapAccumulator
            Itself.

        Raises
        ------
        InvalidInputError
            A state of something else. Nothing is changed then.
        """
        check_state(state, {"kind": "MapAccumulator", "negative": self.negative})
        self._state.load_state_dict(state)
        return self


_AVERAGES = ("samples", "groups")


def gain_and_room(scores: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ``map - chance`` and ``ideal - chance``, NaN where there is no `toward_ideal`."""
    value, chance, ideal, toward = (
        np.asarray(scores[name], np.float64) for name in ("map", "chance", "ideal", "toward_ideal")
    )
    known = ~np.isnan(toward)
    return np.where(known, value - chance, np.nan), np.where(known, ideal - chance, np.nan)


def _mean(sums: NDArray[np.float64], counts: NDArray[np.int64]) -> MapMean:
    defined, statuses = counts[: len(SCORES)].tolist(), counts[len(SCORES) :].tolist()
    sums = sums[: len(SCORES)]
    means = [s / n if n else float("nan") for s, n in zip(sums.tolist(), defined, strict=True)]
    return MapMean(
        **dict(zip(SCORES, means, strict=True)),
        n=sum(statuses),
        n_defined=dict(zip(SCORES, defined, strict=True)),
        status={word: n for word, n in zip(STATUSES, statuses, strict=True) if n},
    )


def _counted(values: NDArray[np.float64], words: Any) -> NDArray[np.int64]:
    """Return for each sample which scores are defined, and its status among the five."""
    table = np.zeros((len(values), len(SCORES) + len(STATUSES)), dtype=np.int64)
    table[:, : len(SCORES)] = ~np.isnan(values)
    table[:, len(SCORES) :] = words[:, None] == np.array(STATUSES)
    return table


def _as_numpy(x: Any) -> Any:
    return x.values if is_dataarray(x) else to_numpy(x) if hasattr(x, "shape") else x


def _as_values(x: Any) -> NDArray[np.float64]:
    row: NDArray[np.float64] = np.atleast_1d(np.asarray(_as_numpy(x), dtype=np.float64)).ravel()
    return row
