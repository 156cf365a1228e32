"""Time functions in turns, so that a busy machine slows all of them."""

import timeit
from collections.abc import Callable, Mapping, Sequence

Seconds = dict[str, list[float]]


def clock(call: Callable[[], object], number: int = 1) -> Callable[[], float]:
    """Return a function that makes `number` calls and returns the mean seconds of one."""
    return lambda: timeit.timeit(call, number=number) / number


def in_turns(clocks: Mapping[str, Callable[[], float]], rounds: int) -> Seconds:
    """Read every clock once a round, in reverse order every second round.

    Parameters
    ----------
    clocks : mapping of str to function
        Each returns the seconds of what it runs.
    rounds : int
        Rounds that count; one more goes first to fill caches.

    Returns
    -------
    dict of str to list of float
        For each name the seconds of every round. Element i of two lists is a pair.
    """
    for read in clocks.values():
        read()
    seconds: Seconds = {name: [] for name in clocks}
    for turn in range(rounds):
        for name in reversed(clocks) if turn % 2 else clocks:
            seconds[name].append(clocks[name]())
    return seconds


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Divide pair by pair."""
    return [a / b for a, b in zip(over, under, strict=True)]


def scaled(values: Sequence[float], factor: float) -> list[float]:
    """Multiply every value, such as seconds by 1e3 for milliseconds."""
    return [factor * value for value in values]


def rates(amount: float, seconds: Sequence[float]) -> list[float]:
    """Divide an amount, such as samples or bytes, by every time."""
    return [amount / value for value in seconds]
