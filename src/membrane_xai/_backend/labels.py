"""Labels of samples, from whatever sequence or column they come in, and their codes.

One rule everywhere. A label is a plain Python value, that of a 0-d array or tensor included, and
labels are one group if Python holds them for equal: 1, 1.0 and True are, "1" is another. None, NaN,
NaT, pandas.NA and masked cells are no labels.
"""

from collections.abc import Hashable, Mapping, MappingView, Set
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.conversion import column_values, to_numpy
from membrane_xai.errors import InvalidInputError

__all__ = [
    "group_codes",
    "is_missing",
    "is_null",
    "label_members",
    "plain_label",
    "plain_labels",
    "read_labels",
]

Codes = NDArray[np.intp]

_PLAIN = {str, int, float, bool, type(None)}


def read_labels(labels: Any, name: str) -> list[Any]:
    """Return labels as a list of plain Python values.

    Parameters
    ----------
    labels : sequence of labels
        As :func:`group_codes` takes them; those that are missing stay as they are.
    name : str
        What they are called in errors.

    Returns
    -------
    list
        One value a sample. A word or number alone is a list of one.

    Raises
    ------
    InvalidInputError
        Several axes, a mapping, a set, or a label that is no single value.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.statistics import read_labels
    >>> read_labels([np.float32(0.5), np.array(3), "3+", None], "targets")
    [0.5, 3, '3+', None]
    """
    if isinstance(labels, Mapping | Set) and not isinstance(labels, MappingView):
        raise InvalidInputError(
            f"{name} is {labels!r}; it takes a sequence, in the order of the samples"
        )
    found = _as_list(labels, name)
    if set(map(type, found)) <= _PLAIN:
        return found
    for i, label in enumerate(found):
        if getattr(label, "ndim", 0) or not isinstance(label, Hashable):
            got = f"{name}[{i}] is {label!r}"
            if isinstance(label, list) and _alike(found):
                got = f"{name} has shape {(len(found), len(label))}, {got}"
            raise InvalidInputError(f"{got}; it takes a single value, such as a word or a number")
    return found


def _alike(labels: list[Any]) -> bool:
    """Tell a table of rows of one length."""
    rows = [len(label) for label in labels if isinstance(label, list)]
    return len(rows) == len(labels) and len(set(rows)) == 1


def _as_list(labels: Any, name: str) -> list[Any]:
    labels = column_values(labels)
    if isinstance(labels, str | bytes) or not (np.iterable(labels) or hasattr(labels, "shape")):
        return [plain_label(labels)]
    if hasattr(labels, "shape"):
        array = to_numpy(labels)
        if array.ndim > 1:
            raise InvalidInputError(
                f"{name} has shape {array.shape}; it takes (N,), one per sample"
            )
        # Dates of nanoseconds have no counterpart in Python: they go one by one.
        labels = list(array.ravel()) if array.dtype.kind in "mM" else array.ravel().tolist()
    listed = list(labels)
    return listed if set(map(type, listed)) <= _PLAIN else [plain_label(x) for x in listed]


def plain_labels(labels: Any) -> list[Any]:
    """Return what each sample is asked for as a list, 0-d arrays as plain values."""
    return [plain_label(label) for label in column_values(labels)]


def plain_label(label: Any) -> Any:
    """Return the plain Python value of a 0-d array of any library; what is none as it is."""
    if type(label) in (str, int, float):
        return label
    if isinstance(label, np.datetime64 | np.timedelta64):
        return _plain_date(label)
    array = hasattr(label, "shape") and (hasattr(label, "__array__") or hasattr(label, "detach"))
    return to_numpy(label).item() if array and not tuple(label.shape) else label


def group_codes(
    groups: Any, count: int, *, name: str = "groups", of: str = "samples"
) -> tuple[Codes, list[Any]]:
    """Return the number of each sample's group, and the labels in order of first appearance.

    Parameters
    ----------
    groups : sequence of `count` labels
        Words, numbers or other plain values; an array or tensor of any library, a list of 0-d ones,
        a column of pandas or polars, whatever its index.
    count : int
        Samples.
    name, of : str
        What labels and samples are called in errors.

    Returns
    -------
    codes : ndarray of int, shape (count,)
        From 0.
    labels : list
        The label of each number, a plain Python value. Labels are one group if Python holds them
        for equal: 1, 1.0, True and a tensor of 1 are, "1" is another.

    Raises
    ------
    InvalidInputError
        Another number of labels, one that is missing (None, NaN, NaT, pandas.NA or a masked cell),
        or one that is no single value.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.statistics import group_codes
    >>> group_codes(["B", np.str_("A"), "B"], 3)
    (array([0, 1, 0]), ['B', 'A'])
    >>> group_codes([1, np.int64(1), 1.0], 3)
    (array([0, 0, 0]), [1])
    >>> group_codes(["A", None], 2)
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: groups[1] is None; every sample needs a label, ...
    """
    labels = read_labels(groups, name)
    if len(labels) != count:
        raise InvalidInputError(f"{name} has {len(labels)} labels for {count} {of}")
    found: dict[Any, int] = {}
    codes = np.fromiter((found.setdefault(x, len(found)) for x in labels), np.intp, count)
    unknown = [code for label, code in found.items() if is_missing(label)]
    if unknown:
        missing = np.flatnonzero(np.isin(codes, unknown))
        raise InvalidInputError(
            f"{name}[{missing[0]}] is {labels[missing[0]]!r}; every sample needs a label, or the "
            f"unknown ones would count as one group ({missing.size} of {count} have none)"
        )
    return codes, list(found)


def label_members(groups: Any, count: int, of: str = "samples") -> dict[Any, Codes]:
    """Return the indices of each group's samples, by label in order of first appearance."""
    codes, labels = group_codes(groups, count, of=of)
    order = np.argsort(codes, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    return dict(zip(labels, parts, strict=True))


def is_missing(label: Any) -> bool:
    """Tell whether a label is not known."""
    if label is None or is_null(label):
        return True
    try:
        return bool(label != label)  # as of NaN of any type alone
    except (TypeError, ValueError):
        return False


def is_null(value: Any) -> bool:
    """Tell what stands in a column where there is no value, but for NaN."""
    return type(value).__name__ in ("NAType", "NaTType", "MaskedConstant")


def _plain_date(label: Any) -> Any:
    """Return a date of NumPy as Python's, if that can hold it; NaT as None."""
    if np.isnat(label):
        return None
    plain = label.item()
    if not isinstance(plain, int):
        return plain
    micro = label.astype("M8[us]" if isinstance(label, np.datetime64) else "m8[us]")
    return micro.item() if micro == label else label
