"""Options of an interval, checked in one place."""

from typing import Any, NamedTuple

from membrane_xai._backend.checks import check_choice, check_number, check_seed, is_count
from membrane_xai.errors import InvalidInputError

__all__ = ["METHODS", "OF_MEANS", "IntervalOptions"]

METHODS = ("jackknife", "bca", "percentile")
OF_MEANS = (*METHODS, "studentized")
"""Methods of a mean or a ratio of sums, which has a standard error in each draw as well."""


class IntervalOptions(NamedTuple):
    """Options of an interval: coverage, method, and of the bootstrap draws, small samples, seed."""

    ci: float = 0.95
    draws: int = 10_000
    method: str = "jackknife"
    small_sample: bool = True
    seed: int = 0

    def checked(self, methods: tuple[str, ...] = OF_MEANS) -> Any:
        """Return itself with plain types, or raise."""
        ci = check_number(self.ci, "ci", "a number in (0, 1)", lambda x: 0 < x < 1)
        check_choice(self.method, "method", methods)
        if not is_count(self.draws) or self.draws < 100:
            raise InvalidInputError(f"draws is {self.draws!r}; it takes an integer of at least 100")
        if not isinstance(self.small_sample, bool):
            raise InvalidInputError(f"small_sample is {self.small_sample!r}; it takes a bool")
        return self._replace(ci=ci, draws=int(self.draws), seed=check_seed(self.seed))
