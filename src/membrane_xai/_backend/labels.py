"""Labels of samples, from whatever sequence or column they come in, and their codes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import column_values, to_numpy
from membrane_xai.errors import InvalidInputError

__all__ = ["group_codes", "is_missing", "is_null", "read_labels"]

Codes = NDArray[np.intp]


def read_labels(labels: Any, name: str) -> list[Any]:
    """Return labels as a list of Python objects, whatever sequence or column they come in."""
    labels = column_values(labels)
    if hasattr(labels, "shape"):
        array = to_numpy(labels)
        if array.ndim > 1:
            raise InvalidInputError(
                f"{name} has shape {array.shape}; it takes (N,), one per sample"
            )
        labels = array.tolist()
    if isinstance(labels, str | bytes) or not np.iterable(labels):
        return [labels]
    return list(labels)


def group_codes(groups: Any, count: int) -> tuple[Codes, list[Any]]:
    """Return the number of each sample's group, and the labels in order of first appearance."""
    labels = read_labels(groups, "groups")
    if len(labels) != count:
        raise InvalidInputError(f"groups has {len(labels)} labels for {count} samples")
    found: dict[Any, int] = {}
    codes = np.fromiter((found.setdefault(x, len(found)) for x in labels), np.intp, count)
    for label, code in found.items():
        if is_missing(label):
            at = int(np.flatnonzero(codes == code)[0])
            raise InvalidInputError(
                f"groups[{at}] is {label!r}; every sample needs a label, "
                f"or the unknown ones would count as one patient"
            )
    return codes, list(found)


def is_missing(label: Any) -> bool:
    """Tell whether a label is not known."""
    return label is None or (isinstance(label, float) and np.isnan(label)) or is_null(label)


def is_null(value: Any) -> bool:
    """Tell what stands in a column of pandas where there is no value, but for NaN."""
    return type(value).__name__ in ("NAType", "NaTType")
