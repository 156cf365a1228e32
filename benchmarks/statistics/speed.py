"""Time of a million scores and of a million CAMs."""

from functools import partial

import numpy as np

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns
from benchmarks.metrics.inputs import cams, masks, read
from membrane_xai import EcAccumulator, shift_null, summarize

_ROUNDS = 3
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
    return [
        Row(name, "s", values, goals.get(name), {name.strip(): values})
        for name, values in seconds.items()
    ]


def _stream(batch: np.ndarray, similarity: str, groups: np.ndarray | None) -> None:
    found = EcAccumulator(similarity=similarity)
    for _ in range(_BATCHES):
        found.update(batch, groups=groups)
    found.compute()
