"""EC among the kept maps of a study that should be alike, such as those of one class."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from membrane_xai.accumulate._ec import EcAccumulator
from membrane_xai.study._finished import Rows
from membrane_xai.study._summary import Part
from membrane_xai.study._views import read_kept_cam

__all__ = ["consistency_of"]


def consistency_of(
    parts: Sequence[Part],
    out: Path,
    *,
    similarity: str = "pearson",
    show: Callable[[int], None] = lambda _done: None,
) -> Rows:
    """Return EC of each part, over the pairs of its maps of one grid; rows of errors are left out.

    Each map is read once for all parts. Rows come in the order of the last parts, which are those
    of groups, of which there may be many: a part that has all its maps is finished and let go.
    """
    places: dict[tuple[Any, ...], list[int]] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            if row["status"] != "error":
                places.setdefault((row["key"], row["method"], row["class"]), []).append(number)
    left = Counter(number for numbers in places.values() for number in numbers)
    sums: dict[int, dict[tuple[int, ...], _Sum]] = {}
    found: dict[int, Rows] = {}
    ordered = sorted(places, key=lambda place: places[place][-1])
    for done, place in enumerate(ordered):
        show(done)
        cam = read_kept_cam(out, *place)
        for number in places[place]:
            by_grid = sums.setdefault(number, {})
            by_grid.setdefault(cam.shape, _Sum(EcAccumulator(similarity=similarity))).add(cam)
            left[number] -= 1
            if not left[number]:
                by_grid = sums.pop(number)
                found[number] = [_row(parts[number].key, *pair) for pair in by_grid.items()]
    return [row for number in sorted(found) for row in found[number]]


@dataclass(slots=True)
class _Sum:
    """EC so far, and of how many maps."""

    total: EcAccumulator
    count: int = 0

    def add(self, cam: NDArray[Any]) -> None:
        self.total.update(cam)
        self.count += 1


def _row(key: Mapping[str, Any], grid: tuple[int, ...], found: _Sum) -> dict[str, Any]:
    result = found.total.compute()
    return {
        **key,
        "grid": "x".join(map(str, grid)),
        "cams": found.count,
        "ec": result.ec,
        "pairs": result.n_pairs,
        "undefined_pairs": result.n_undefined,
        "status": result.status,
    }
