"""Time of a million scores, of a million CAMs, and of BCa intervals beside SciPy's."""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from scipy import stats

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns, ratios
from benchmarks.metrics.inputs import cams, masks, read
from membrane_xai import EcAccumulator, shift_null, summarize

_ROUNDS = 3
_TURNS, _DRAWS = 9, 10_000
_SCORES, _PATIENTS = 1_000_000, 1000
_BATCH, _BATCHES, _SIDE = 100_000, 10, 14


def speed() -> list[Row]:
    """Time summarize, EcAccumulator and shift_null."""
    rng = np.random.default_rng(0)
    scores, codes = rng.random(_SCORES), rng.integers(0, _PATIENTS, _SCORES)
    names = np.array([f"patient {code}" for code in range(_PATIENTS)])[codes].tolist()
    batch, few = cams(_BATCH, _SIDE), (cams(2000, _SIDE), masks(2000, 56))
    patients = codes[:_BATCH]
    clocks = {
        "summarize, 1,000,000 scores, 1000 patients": partial(summarize, scores, codes),
        "  patients as text": partial(summarize, scores, names),
        "EcAccumulator, 1,000,000 14x14 float32": partial(_stream, batch, "pearson", None),
        "  of 1000 patients": partial(_stream, batch, "pearson", patients),
        "  spearman": partial(_stream, batch, "spearman", None),
        "  plain read of the same": lambda: [read(batch) for _ in range(_BATCHES)],
        "shift_null, 2000 14x14 CAMs, 1567 moves each": partial(shift_null, *few),
    }
    seconds = in_turns({name: clock(call) for name, call in clocks.items()}, _ROUNDS)
    goals = {"summarize, 1,000,000 scores, 1000 patients": Goal("<=", 5)}
    rows = [
        Row(name, "s", values, goals.get(name), {name.strip(): values})
        for name, values in seconds.items()
    ]
    return [*rows, *beside_scipy()]


def beside_scipy() -> list[Row]:
    """Divide the time of our interval by that of SciPy's BCa, of as many draws of 1000 patients.

    SciPy resamples arrays, so the mean over samples takes two of them, sums and sizes by patient;
    its plain mean of one array, which knows nothing of sizes, is the least it can do. Time of the
    process counts, and time on the clock beside it: other processes lengthen only the latter.
    """
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 9, _PATIENTS).astype(float)
    sums = rng.random(_PATIENTS) * sizes
    theirs = {"method": "BCa", "n_resamples": _DRAWS, "vectorized": True, "rng": 0}
    scipy = {
        "ratio of two arrays": partial(
            stats.bootstrap, (sums, sizes), _ratio, paired=True, **theirs
        ),
        "mean of one array": partial(stats.bootstrap, (sums,), np.mean, **theirs),
    }
    options = {"weights": sizes, "method": "bca", "draws": _DRAWS}
    ours = partial(summarize, sums / sizes, range(_PATIENTS), **options)
    rows = []
    for kind, timer in (("process", time.process_time), ("clock", time.perf_counter)):
        clocks = {name: _timed(call, timer) for name, call in {"ours": ours, **scipy}.items()}
        seconds = in_turns(clocks, _TURNS)
        rows += [
            Row(
                f"summarize over SciPy's BCa of a {name}, {kind} time",
                "ratio",
                ratios(seconds["ours"], seconds[name]),
                Goal("<=", 1),
                {"ours": seconds["ours"], "SciPy": seconds[name]},
            )
            for name in scipy
        ]
    return rows


def _timed(call: Callable[[], object], timer: Callable[[], float]) -> Callable[[], float]:
    def seconds() -> float:
        start = timer()
        call()
        return timer() - start

    return seconds


def _ratio(sums: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
    return sums.sum(axis=axis) / sizes.sum(axis=axis)


def _stream(batch: np.ndarray, similarity: str, groups: np.ndarray | None) -> None:
    found = EcAccumulator(similarity=similarity)
    for _ in range(_BATCHES):
        found.update(batch, groups=groups)
    found.compute()
