"""Explanation Consistency: how its time grows with the number of CAMs."""

from functools import partial

import numpy as np

from benchmarks.harness.rows import Row
from benchmarks.harness.timing import Seconds, clock, in_turns, rates, ratios, scaled
from benchmarks.metrics.inputs import cams, read
from membrane_xai import ec_score

_ROUNDS = 9
_SIDE = 14
_COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000)


def consistency() -> list[Row]:
    """Time ec_score (Pearson, all pairs) and a plain read of the same CAMs."""
    sets = {n: cams(n, _SIDE) for n in _COUNTS}
    seconds = in_turns(
        {
            **{_ours(n): clock(partial(ec_score, x)) for n, x in sets.items()},
            **{_plain(n): clock(partial(read, x)) for n, x in sets.items()},
        },
        _ROUNDS,
    )
    rows = []
    for n, x in sets.items():
        times, plain = seconds[_ours(n)], seconds[_plain(n)]
        raw = {_ours(n): times, _plain(n): plain}
        rows += [
            Row(
                f"ec_score, {n} {_SIDE}x{_SIDE} float32: time", "ms", scaled(times, 1e3), None, raw
            ),
            Row("  throughput", "GB/s", rates(x.nbytes / 1e9, times)),
            Row("  ec_score / read", "x", ratios(times, plain)),
        ]
    return [
        *rows,
        Row("ec_score: slope of log time over log n (1 is linear)", "", _slopes(seconds)),
    ]


def _slopes(seconds: Seconds) -> list[float]:
    """Fit one straight line a round."""
    times = np.array([seconds[_ours(n)] for n in _COUNTS])
    return np.polyfit(np.log(_COUNTS), np.log(times), 1)[0].tolist()


def _ours(n: int) -> str:
    return f"ec_score, {n}"


def _plain(n: int) -> str:
    return f"read, {n}"
