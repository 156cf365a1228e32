"""`Cases`: labels, probabilities and groups, checked and as plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.statistics import group_codes, read_labels, read_numbers

__all__ = [
    "Cases",
    "check_count",
    "check_draws",
    "check_labels",
    "check_level",
    "check_names",
]


_FEWEST_DRAWS = 100  # as of the bootstrap
_SUM_TOLERANCE = 1e-3  # what softmax in half precision leaves


@dataclass(frozen=True, eq=False)
class Cases:
    """Checked labels (n,), probabilities (n, K), and group index (n,) of n samples."""

    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: NDArray[np.int64]
    n_groups: int
    names: tuple[str, ...]
    clustered: bool

    @classmethod
    def of(
        cls, labels: Any, probabilities: Any, *, groups: Any = None, names: Sequence[str] = GRADES
    ) -> "Cases":
        """Check and convert; without groups each sample is its own."""
        names = check_names(names)
        checked = check_labels(labels, len(names))
        index, n_groups = _check_groups(groups, len(checked))
        return cls(
            labels=checked,
            probabilities=_check_probabilities(probabilities, len(checked), names),
            groups=index,
            n_groups=n_groups,
            names=names,
            clustered=groups is not None,
        )

    @property
    def called(self) -> NDArray[np.int64]:
        """Most probable class; the lower one of two that tie."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


def check_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of at least two classes as a tuple."""
    if isinstance(names, str) or len(names) < 2 or len(set(names)) < len(names):
        raise InvalidInputError(f"names is {names!r}; it takes at least two different names")
    return tuple(str(name) for name in names)


def check_labels(labels: Any, n_classes: int) -> NDArray[np.int64]:
    """Return integer labels in 0..n_classes-1 as int64, at least one."""
    values = read_labels(labels, "labels")
    codes, classes = group_codes(values, len(values), name="labels", of="cases")
    array = np.array(classes)[codes]
    if array.ndim != 1 or array.size == 0:
        raise InvalidInputError(f"labels has shape {array.shape}; it takes (n,) with n at least 1")
    if array.dtype.kind not in "iu":
        raise InvalidInputError(f"labels has dtype {array.dtype}; it takes integer class indices")
    outside = np.flatnonzero((array < 0) | (array >= n_classes))
    if outside.size:
        raise InvalidInputError(
            f"labels[{outside[0]}] is {array[outside[0]]}; it takes 0 to {n_classes - 1}"
        )
    return array.astype(np.int64)


def check_level(ci: float) -> None:
    """Refuse a level that is not strictly between 0 and 1."""
    number = read_numbers(ci, "ci")
    if isinstance(ci, bool | np.bool_) or number.shape or not 0 < number < 1:
        raise InvalidInputError(f"ci is {ci!r}; it takes a level between 0 and 1, such as 0.95")


def check_count(name: str, value: Any, least: int) -> None:
    """Refuse what is not an integer from `least`, 0 or 1, on."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        takes = "a positive integer" if least else "a non-negative integer"
        raise InvalidInputError(f"{name} is {value!r}; it takes {takes}")


def check_draws(draws: Any) -> None:
    """Refuse what is neither 0 nor enough draws for an interval."""
    check_count("draws", draws, 0)
    if 0 < draws < _FEWEST_DRAWS:
        raise InvalidInputError(
            f"draws is {draws}; it takes an integer from {_FEWEST_DRAWS}, or 0 for no intervals"
        )


def _check_probabilities(probabilities: Any, n: int, names: tuple[str, ...]) -> NDArray[np.float64]:
    try:
        array = read_numbers(probabilities, "probabilities")
    except InvalidInputError as error:
        raise InvalidInputError(
            f"probabilities cannot be read as numbers ({error}); it takes shape ({n}, {len(names)})"
        ) from error
    if array.shape != (n, len(names)):
        raise InvalidInputError(
            f"probabilities has shape {array.shape}; it takes ({n}, {len(names)}): "
            f"one row per label, one column for each of {', '.join(names)}"
        )
    bad = np.flatnonzero(~((array >= 0) & (array <= 1)).all(axis=1))  # NaN is bad, too
    if bad.size:
        raise InvalidInputError(
            f"probabilities[{bad[0]}] is {array[bad[0]].tolist()}; it takes values in [0, 1]"
        )
    sums = array.sum(axis=1)
    bad = np.flatnonzero(np.abs(sums - 1) > _SUM_TOLERANCE)
    if bad.size:
        raise InvalidInputError(
            f"probabilities[{bad[0]}] sums to {sums[bad[0]]:.6g}; it takes rows that sum to 1 "
            "(logits need a softmax first)"
        )
    return array


def _check_groups(groups: Any, n: int) -> tuple[NDArray[np.int64], int]:
    if groups is None:
        return np.arange(n), n
    codes, found = group_codes(groups, n, of="cases")
    # In the order of the labels, if they have one: draws of a bootstrap do not hang on that of
    # the cases.
    try:
        order = sorted(range(len(found)), key=lambda code: found[code])
    except TypeError as error:
        raise InvalidInputError(
            f"groups mixes types ({error}); it takes names or numbers"
        ) from error
    place = np.empty(len(found), np.int64)
    place[order] = np.arange(len(found))
    return place[codes], len(found)
