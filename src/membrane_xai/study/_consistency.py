"""EC among the kept maps of a study that should be alike, such as those of one class."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from membrane_xai.accumulate._ec import EcAccumulator
from membrane_xai.metrics import UnitSums
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
    """Return EC among and between parts, over the pairs of maps of one grid.

    Between are the pairs of a part's maps with those of the parts whose keys differ in the last
    value alone, of other images. Rows of errors are left out.

    Each map is read twice for all parts. Rows come in the order of the last parts, which are those
    of groups, of which there may be many: a part that has all its maps is finished and let go.
    """
    places: dict[Place, list[int]] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            if row["status"] != "error":
                places.setdefault((row["key"], row["method"], row["class"]), []).append(number)
    families = _Families([_family(part) for part in parts], similarity)
    for same in _by_image(places):
        families.add([(read_kept_cam(out, *place), places[place]) for place in same])
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
                found[number] = [
                    _row(parts[number].key, grid, one, families.between(number, grid, one.total))
                    for grid, one in sums.pop(number).items()
                ]
    return [row for number in sorted(found) for row in found[number]]


Place = tuple[str, str, Any]
Grid = tuple[int, ...]


def _family(part: Part) -> tuple[Any, ...]:
    """Return what parts share that are held against each other: all of the key but its last."""
    *shared, _ = part.key.items()
    return tuple(shared)


def _by_image(places: Iterable[Place]) -> list[list[Place]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(place[0], []).append(place)
    return list(found.values())


@dataclass(slots=True)
class _Sum:
    """EC so far, and of how many maps."""

    total: EcAccumulator
    count: int = 0

    def add(self, cam: NDArray[Any]) -> None:
        self.total.update(cam)
        self.count += 1


class _Families:
    """Sums of unit vectors over the parts that are held against each other."""

    def __init__(self, names: Sequence[tuple[Any, ...]], similarity: str) -> None:
        self._names = names
        self._similarity = similarity
        self._totals: dict[tuple[Any, Grid], UnitSums] = {}
        self._same: dict[tuple[int, Grid], NDArray[np.float64]] = {}
        """By part, sum and number of the pairs that are of one image: of its several classes."""

    def add(self, maps: Sequence[tuple[NDArray[Any], Sequence[int]]]) -> None:
        """Add all maps of an image, each with the numbers of its parts."""
        of_image: dict[tuple[Any, Grid], dict[int, UnitSums]] = {}
        for cam, numbers in maps:
            one = UnitSums.of(cam[None], self._similarity)
            for number in numbers:
                members = of_image.setdefault((self._names[number], cam.shape), {})
                members[number] = members[number].merge(one) if number in members else one
        for (name, grid), members in of_image.items():
            together = _merged(list(members.values()))
            before = self._totals.get((name, grid))
            self._totals[name, grid] = together if before is None else before.merge(together)
            for number, own in members.items() if len(members) > 1 else ():
                pair = _pairs_between(own, together)
                self._same[number, grid] = self._same.get((number, grid), 0.0) + pair

    def between(self, number: int, grid: Grid, part: EcAccumulator) -> tuple[float, int]:
        """Return EC of a part's maps with those of the others, and the number of pairs."""
        pair = _pairs_between(part.unit_sums(), self._totals[self._names[number], grid])
        total, pairs = pair - self._same.get((number, grid), 0.0)
        pairs = round(float(pairs))
        return (float(np.clip(total / pairs, -1, 1)) if pairs else math.nan), pairs


def _merged(sums: Sequence[UnitSums]) -> UnitSums:
    first, *rest = sums
    for one in rest:
        first = first.merge(one)
    return first


def _pairs_between(own: UnitSums, together: UnitSums) -> NDArray[np.float64]:
    """Return sum and number of the pairs of some maps with the rest of those together."""
    mine, n = own.vectors[0], float(own.weights[0])
    total = float(mine @ (together.vectors[0] - mine))
    return np.array([total, n * (float(together.weights[0]) - n)])


def _row(
    key: Mapping[str, Any], grid: Grid, found: _Sum, between: tuple[float, int]
) -> dict[str, Any]:
    result = found.total.compute()
    return {
        **key,
        "grid": "x".join(map(str, grid)),
        "cams": found.count,
        "ec": result.ec,
        "ec_between": between[0],
        "pairs": result.n_pairs,
        "pairs_between": between[1],
        "undefined_pairs": result.n_undefined,
        "status": result.status,
    }
