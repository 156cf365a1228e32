"""EC0, the zero of EC: similarity of maps of different images of one class, and skill above it."""

from collections.abc import Callable, Hashable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai.explanation_consistency._agreement import (
    Measure,
    Places,
    mean_of,
    similar,
    unit_vectors,
)
from membrane_xai.explanation_consistency._explainers import View
from membrane_xai.metrics._similarity import named_similarity

__all__ = ["EC0_BOUND", "MIN_PARTNERS", "Member", "Skill", "skill_of", "zeros_of"]

EC0_BOUND = 0.95
"""From here on a map counts as one that ignores its image: at most a twentieth of what maps vary by
is the image's. Set by hand. It is no matter of noise: in a simulation with maps of 8 x 8 the skill
scatters alike on both sides. But a centre blob with a ripple of its image would have skill 1."""
MIN_PARTNERS = 2
"""Other images, at least: of one pair nobody knows how it scatters."""
_SAMPLED = 16
"""Images that each image is compared with where a similarity has no closed form: their mean has a
standard error of a quarter of the scatter of one pair."""

Floats = NDArray[np.float64]
Read = Callable[[int], Sequence[View]]


class Member(NamedTuple):
    """An image among those that can be each other's zero."""

    label: Hashable
    """What is explained, and by what: only images of one label are compared."""
    group: Hashable
    """Patient or slide: images of one group are not compared."""


class Skill(NamedTuple):
    """EC of one image with its zero."""

    ec: float
    ec0: float
    skill: float
    """(EC - EC0) / (1 - EC0); NaN where the status is not "ok"."""
    status: str
    """"ok", "no_ec", "too_few_images" or "ignores_image"."""


def skill_of(ec: Floats, ec0: Floats, chosen: NDArray[np.bool_] | None = None) -> Skill:
    """Put similarities of pairs of views beside their zeros, of the `chosen` pairs."""
    if chosen is not None:
        ec, ec0 = ec[chosen], ec0[chosen]
    both = np.isfinite(ec) & np.isfinite(ec0)
    if not np.isfinite(ec).any():
        return Skill(np.nan, np.nan, np.nan, "no_ec")
    if not both.any():
        return Skill(mean_of(ec), np.nan, np.nan, "too_few_images")
    zero = float(ec0[both].mean())
    if zero >= EC0_BOUND:
        return Skill(mean_of(ec), zero, np.nan, "ignores_image")
    return Skill(mean_of(ec), zero, (float(ec[both].mean()) - zero) / (1 - zero), "ok")


def zeros_of(
    members: Sequence[Member], read: Read, measure: Measure, places: Places, *, seed: int
) -> list[Floats]:
    """Return EC0 of each image and each pair of views; NaN where there are too few other images.

    `read` gives the views of an image: two images of a label are compared if their maps have the
    same grids. For similarities of unit vectors it is the mean over all other images, in closed
    form: memory holds a vector a pair and a label. For others a fixed number of images of each
    label is drawn, from as many groups as there are, and held.
    """
    first: dict[Any, int] = {}
    places_of_groups = [first.setdefault(one.group, i) for i, one in enumerate(members)]
    order = sorted(range(len(members)), key=places_of_groups.__getitem__)
    if named_similarity(measure.name, measure.k).unit_vectors:
        found = _by_sums(members, order, read, measure, places)
    else:
        found = _by_sample(members, order, read, measure, places, seed)
    return [found[i] for i in range(len(members))]


class _Sums:
    """Sums of the unit vectors of the second views of pairs."""

    def __init__(self) -> None:
        self.vectors: list[Any] = []
        self.counts: Any = 0

    def add(self, units: Sequence[Floats | None]) -> None:
        if not self.vectors:
            self.vectors = [0.0] * len(units)
            self.counts = np.zeros(len(units))
        for k, unit in enumerate(units):
            if unit is not None:
                self.vectors[k] = self.vectors[k] + unit
                self.counts[k] += 1


def _by_sums(
    members: Sequence[Member], order: Sequence[int], read: Read, measure: Measure, places: Places
) -> dict[int, Floats]:
    total: dict[Any, _Sums] = {}
    for i in order:
        label, units = _units(members[i], read(i), measure, places)
        total.setdefault(label, _Sums()).add([second for _, second in units])
    found: dict[int, Floats] = {}
    for _, together in groupby(order, key=lambda i: members[i].group):
        group = list(together)
        own: dict[Any, _Sums] = {}
        for i in group:
            label, units = _units(members[i], read(i), measure, places)
            own.setdefault(label, _Sums()).add([second for _, second in units])
            if len(group) == 1:
                found[i] = _apart(units, total[label], own[label])
        for i in group if len(group) > 1 else ():
            label, units = _units(members[i], read(i), measure, places)
            found[i] = _apart(units, total[label], own[label])
    return found


def _units(
    member: Member, views: Sequence[View], measure: Measure, places: Places
) -> tuple[Any, list[tuple[Floats | None, Floats | None]]]:
    """Return the label with the grids of all maps, and the unit vectors of each pair of views."""
    units = [unit_vectors(views[a], views[b], measure) for a, b in places]
    return (member.label, _grids(views)), units


def _grids(views: Sequence[View]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(view.cam.shape) for view in views)


def _apart(
    units: Sequence[tuple[Floats | None, Floats | None]], total: _Sums, own: _Sums
) -> Floats:
    """Return the mean similarity of the first maps of pairs with those of other groups."""
    found = np.full(len(units), np.nan)
    for k, (first, _) in enumerate(units):
        others = total.counts[k] - own.counts[k]
        if first is not None and others >= MIN_PARTNERS:
            found[k] = float(first @ (total.vectors[k] - own.vectors[k])) / others
    bounded: Floats = np.clip(found, -1.0, 1.0)
    return bounded


def _by_sample(
    members: Sequence[Member],
    order: Sequence[int],
    read: Read,
    measure: Measure,
    places: Places,
    seed: int,
) -> dict[int, Floats]:
    labels: dict[Any, list[int]] = {}
    for i in order:
        labels.setdefault((members[i].label, _grids(read(i))), []).append(i)
    found: dict[int, Floats] = {}
    for same in labels.values():
        drawn = _drawn(members, same, seed)
        held = {j: read(j) for j in drawn}
        for i in same:
            others = [views for j, views in held.items() if members[j].group != members[i].group]
            found[i] = _compared(read(i), others, measure, places)
    return found


def _drawn(members: Sequence[Member], same: Sequence[int], seed: int) -> list[int]:
    """Draw images, groups taking turns; one group alone cannot fill the sample."""
    groups: dict[Any, list[int]] = {}
    rng = np.random.default_rng(seed)
    for place in rng.permutation(len(same)):
        groups.setdefault(members[same[place]].group, []).append(same[place])
    turns = [(turn, i) for group in groups.values() for turn, i in enumerate(group)]
    # One more than are compared, as an image is not compared with itself.
    return [i for _, i in sorted(turns, key=lambda one: one[0])[: _SAMPLED + 1]]


def _compared(
    views: Sequence[View], others: Sequence[Sequence[View]], measure: Measure, places: Places
) -> Floats:
    scores = np.array(
        [[similar(views[a], other[b], measure).similarity for a, b in places] for other in others]
    ).reshape(len(others), len(places))
    counts = np.isfinite(scores).sum(axis=0)
    sums = np.nansum(scores, axis=0)
    return np.where(counts >= MIN_PARTNERS, sums / np.maximum(counts, 1), np.nan)
