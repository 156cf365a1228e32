"""map_score against Relevance Mass Accuracy of Quantus, which is the same number."""

import warnings
from functools import partial

import numpy as np

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns, ratios, scaled
from membrane_xai import map_score

_ROUNDS = 5
_SUBSET = 100


def against_quantus(cam: np.ndarray, mask: np.ndarray) -> list[Row]:
    """Time both per sample: map_score on all CAMs, Quantus on the first hundred."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Quantus' own imports
        import quantus
    few, goal = cam[:_SUBSET, None], mask[:_SUBSET, None]
    peer = quantus.RelevanceMassAccuracy(abs=False, normalise=False, disable_warnings=True)
    full = partial(
        peer,
        model=None,
        x_batch=np.zeros_like(few),
        y_batch=np.zeros(len(few), dtype=int),
        a_batch=few,
        s_batch=goal,
        channel_first=True,
    )
    np.testing.assert_allclose(map_score(few, goal), full(), rtol=1e-5)
    seconds = in_turns(
        {
            "map_score": clock(partial(map_score, cam, mask)),
            "Quantus": clock(full),
            "Quantus, arithmetic": clock(partial(peer.evaluate_batch, a_batch=few, s_batch=goal)),
        },
        _ROUNDS,
    )
    ours = scaled(seconds["map_score"], 1 / len(cam))
    theirs = scaled(seconds["Quantus"], 1 / len(few))
    bare = scaled(seconds["Quantus, arithmetic"], 1 / len(few))
    return [
        Row(f"map_score, {len(cam)} samples: time per sample", "us", scaled(ours, 1e6)),
        Row(f"Quantus, {len(few)} of them: time per sample", "us", scaled(theirs, 1e6)),
        Row("  Quantus / map_score", "x", ratios(theirs, ours), Goal(">=", 500), seconds),
        Row("  Quantus without its input checks / map_score", "x", ratios(bare, ours)),
    ]
