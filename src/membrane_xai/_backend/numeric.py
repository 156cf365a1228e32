"""Real numbers of samples, from whatever sequence, array or column they come in."""

import math
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.conversion import to_numpy
from membrane_xai._backend.labels import is_missing
from membrane_xai.errors import InvalidInputError

__all__ = ["read_numbers"]


def read_numbers(x: Any, name: str) -> NDArray[np.float64]:
    """Return real numbers as float64, NaN where one is missing.

    Parameters
    ----------
    x : number, sequence, array of any library, column or table of pandas
        Of real numbers, also a list of 0-d arrays. None, pandas.NA and masked cells are missing.
    name : str
        What it is called in errors.

    Returns
    -------
    ndarray of float64
        Of the same shape.

    Raises
    ------
    InvalidInputError
        Words, even if they spell numbers; complex numbers, dates, rows of unequal lengths.

    Examples
    --------
    >>> from membrane_xai.statistics import read_numbers
    >>> read_numbers([1, 0.5, None], "scores")
    array([1. , 0.5, nan])
    >>> read_numbers(["0.5"], "scores")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: scores has dtype <U3; it takes real numbers
    """
    try:
        array = to_numpy(x)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error}") from error
    if array.dtype.kind == "O":
        return _from_objects(array, name)
    if array.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} has dtype {array.dtype}; it takes real numbers")
    return array.astype(np.float64)


def _from_objects(array: NDArray[Any], name: str) -> NDArray[np.float64]:
    values = array.ravel().tolist()
    for i, value in enumerate(values):
        if not (isinstance(value, Real | Decimal | np.bool_) or is_missing(value)):
            got = f"dtype {array.dtype}, {name}[{i}] is" if array.ndim else "shape (): it is"
            raise InvalidInputError(f"{name} has {got} {value!r}; it takes real numbers")
    numbers = [math.nan if is_missing(value) else float(value) for value in values]
    return np.array(numbers, dtype=np.float64).reshape(array.shape)
