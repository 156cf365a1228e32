"""MAP: time against a plain read of the same arrays, throughput, latency and memory."""

import tracemalloc
from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns, rates, ratios, scaled
from benchmarks.metrics.inputs import cams, fast_read, masks, read
from membrane_xai import alignment, map_score, pool_mask

_ROUNDS = 15


def equal_shapes(cam: np.ndarray, mask: np.ndarray) -> list[Row]:
    """Score CAMs on the masks' own grid, against reading both arrays."""
    signed = cam - np.float32(0.5)
    seconds = in_turns(
        {
            "map_score": clock(partial(map_score, cam, mask)),
            "read": clock(partial(read, cam, mask)),
            "fast read": clock(partial(fast_read, cam, mask)),
            "map_score, signed": clock(partial(map_score, signed, mask)),
        },
        _ROUNDS,
    )
    name = f"map_score, {_shape(cam)} CAMs and masks"
    score, plain = seconds["map_score"], seconds["read"]
    beyond = _peak_bytes(partial(map_score, cam, mask))
    return [
        Row(f"{name}: time", "ms", scaled(score, 1e3)),
        Row("  read (np.sum) of the same arrays: time", "ms", scaled(plain, 1e3)),
        Row("  map_score / read", "x", ratios(score, plain), Goal("<=", 2), seconds),
        Row("  map_score / fast read (np.max)", "x", ratios(score, seconds["fast read"])),
        Row(
            "  map_score of CAMs with negative values / read",
            "x",
            ratios(seconds["map_score, signed"], plain),
        ),
        Row("  peak memory beyond the inputs", "MB", [beyond / 1e6]),
        Row(
            "  the same as a share of the inputs", "%", [100 * beyond / (cam.nbytes + mask.nbytes)]
        ),
    ]


def pooled(mask: np.ndarray) -> list[Row]:
    """Pool masks to a 7x7 grid once, then score 7x7 CAMs on them."""
    cam = cams(len(mask), 7)
    pool = partial(pool_mask, mask, (7, 7))
    ready = pool()
    score = partial(map_score, cam, ready.mask, region=ready.region)
    np.testing.assert_allclose(score(), map_score(cam, mask), rtol=1e-5)
    seconds = in_turns(
        {
            "pool_mask": clock(pool),
            "read of masks": clock(partial(read, mask)),
            "map_score, pooled": clock(score, number=20),
        },
        _ROUNDS,
    )
    n = len(mask)
    return [
        Row(
            f"map_score, {_shape(cam)} CAMs, pooled masks: throughput",
            "samples/s",
            rates(n, seconds["map_score, pooled"]),
            seconds=seconds,
        ),
        Row(
            f"pool_mask, {_shape(mask)} to 7x7: time per mask",
            "us",
            scaled(seconds["pool_mask"], 1e6 / n),
        ),
        Row(
            "  pool_mask / read of the masks",
            "x",
            ratios(seconds["pool_mask"], seconds["read of masks"]),
        ),
    ]


def coarse_cams(mask: np.ndarray) -> list[Row]:
    """Align 14x14 CAMs with full-size masks."""
    cam = cams(len(mask), 14)
    seconds = in_turns(
        {
            "alignment": clock(partial(alignment, cam, mask)),
            "read": clock(partial(read, cam, mask)),
        },
        _ROUNDS,
    )
    return [
        Row(
            f"alignment, {_shape(cam)} CAMs, {_side(mask)} masks: throughput",
            "samples/s",
            rates(len(mask), seconds["alignment"]),
            seconds=seconds,
        ),
        Row("  alignment / read", "x", ratios(seconds["alignment"], seconds["read"])),
    ]


def single_pairs() -> list[Row]:
    """Time one call on one pair: what the library costs around the arithmetic."""
    cam, mask = cams(1, 14)[0], masks(1, 224)[0]
    ready = pool_mask(mask, (14, 14))
    calls = {
        "map_score, one 14x14 CAM, 224x224 mask": partial(map_score, cam, mask),
        "map_score, one 14x14 CAM, pooled mask": partial(
            map_score, cam, ready.mask, region=ready.region
        ),
        "alignment, one 14x14 CAM, 224x224 mask": partial(alignment, cam, mask),
    }
    seconds = in_turns({name: clock(call, number=200) for name, call in calls.items()}, _ROUNDS)
    return [
        Row(f"{name}: time", "us", scaled(times, 1e6), seconds={name: times})
        for name, times in seconds.items()
    ]


def _peak_bytes(call: Callable[[], object]) -> int:
    """Return the most memory that Python and NumPy held during a call, beyond what was there."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _shape(maps: np.ndarray) -> str:
    return f"{len(maps)} {_side(maps)} {maps.dtype}"


def _side(maps: np.ndarray) -> str:
    return f"{maps.shape[-2]}x{maps.shape[-1]}"
