"""Time of nuclei, cells and score, each and together, the membrane mask given."""

from functools import partial
from typing import Any

from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns, scaled
from membrane_xai import (
    extract_membrane_mask,
    her2_rule_score,
    membrane_completeness,
    segment_nuclei,
)
from membrane_xai.datasets import synthetic_her2

_ROUNDS = 7
_MPP = 0.25
_SIDE = 1024


def speed_of_cells() -> list[Row]:
    """Measure on one synthetic 2+ field."""
    field = synthetic_her2("2+", size=_SIDE, mpp=_MPP, seed=0)
    found = extract_membrane_mask(field.rgb, mpp=_MPP)
    nuclei = segment_nuclei(field.rgb, mpp=_MPP)
    follow = partial(membrane_completeness, mpp=_MPP, dab=found.dab)
    cells = follow(found.mask, nuclei)

    def all_three() -> Any:
        return her2_rule_score(follow(found.mask, segment_nuclei(field.rgb, mpp=_MPP)))

    calls = {
        "all three": all_three,
        "segment_nuclei": partial(segment_nuclei, field.rgb, mpp=_MPP),
        "membrane_completeness": partial(follow, found.mask, nuclei),
        "her2_rule_score": partial(her2_rule_score, cells),
    }
    seconds = in_turns({name: clock(call) for name, call in calls.items()}, _ROUNDS)
    name = f"nuclei, cells and score, {_SIDE}x{_SIDE}, {_MPP:g} um/px, {len(cells)} cells, one core"
    total, *parts = seconds.items()
    return [
        Row(f"{name}: time", "ms", scaled(total[1], 1e3), Goal("<=", 1000), seconds),
        *(Row(f"  {part}: time", "ms", scaled(times, 1e3)) for part, times in parts),
    ]
