"""Score one part of a store, and pack its result as arrays for a file.

A result is a flat dict of arrays, without objects, so that a file needs no pickle.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.labels import group_codes
from membrane_xai._backend.vocabulary import SCORES, STATUSES
from membrane_xai.accumulate._columns import scored_alike
from membrane_xai.accumulate._ec import EcAccumulator
from membrane_xai.accumulate._map import MapAccumulator
from membrane_xai.labelled._layout import Part, Samples, Source, read_part
from membrane_xai.metrics import AlignmentResult, CamGrid, alignment

__all__ = ["Measures", "Sums", "bad_samples", "score_part", "sums_of"]

Arrays = dict[str, NDArray[Any]]

_STATE = ("sums", "counts")


class Measures(NamedTuple):
    """Options of the scores of samples."""

    negative: str
    similarity: str
    cam_grid: str
    """Text of a CamGrid; empty for half-pixel centres."""

    def accumulators(self) -> "Sums":
        """Return empty sums."""
        return Sums(self, {}, EcAccumulator(similarity=self.similarity))


class Sums(NamedTuple):
    """MAP of each class, by group, and EC by class; None is the class where there are none."""

    measures: Measures
    maps: dict[Any, MapAccumulator]
    ec: EcAccumulator

    def map_of(self, label: Any) -> MapAccumulator:
        """Return the accumulator of a class."""
        return self.maps.setdefault(label, MapAccumulator(negative=self.measures.negative))

    def merge(self, other: "Sums") -> None:
        """Add everything of another."""
        for label, accumulator in other.maps.items():
            self.map_of(label).merge(accumulator)
        self.ec.merge(other.ec)


def score_part(source: Source, part: Part, measures: Measures) -> Arrays:
    """Read a part and score it."""
    data = read_part(source, part)
    count = part.stop - part.start
    grid = CamGrid.from_text(measures.cam_grid) if measures.cam_grid else None
    result = alignment(
        data.cam, data.mask, region=data.region, grid=grid, negative=measures.negative
    )
    sums = measures.accumulators()
    sums.ec.update(data.cam, groups=data.label)
    codes, labels = np.zeros(count, np.intp), [None]
    if data.label is not None:
        codes, labels = group_codes(data.label, count)
    for code, label in enumerate(labels):
        rows = np.flatnonzero(codes == code)
        groups = None if data.group is None else data.group[rows]
        sums.map_of(label).update_scores(scored_alike(_rows(result, rows)), groups=groups)
    return _samples(result, data) | _packed(sums, labels)


def sums_of(arrays: Mapping[str, NDArray[Any]], measures: Measures) -> Sums:
    """Read the sums back from a result."""
    sums = measures.accumulators()
    sums.ec.load_state_dict(
        _unpacked(arrays, "ec", sums.ec.state_dict() | {"grid": tuple(arrays["ec.grid"].tolist())})
    )
    for code, label in enumerate(_labels(arrays, "ec")):
        found = sums.map_of(label)
        found.load_state_dict(_unpacked(arrays, f"map{code}", found.state_dict()))
    return sums


def bad_samples(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Return which samples of a part, from 0, have NaN or infinity in their CAM or mask."""
    return np.flatnonzero(arrays["status"] == STATUSES.index("non_finite"))


def _samples(result: AlignmentResult, data: Samples) -> Arrays:
    found: Arrays = {name: getattr(result, name) for name in SCORES}
    words = result.status[:, None] == np.array(STATUSES)
    found["status"] = words.argmax(axis=1).astype(np.int8)
    for name in ("group", "label", "identity"):
        values = getattr(data, name)
        if values is not None:
            found[name] = _without_objects(values.tolist())
    return found


def _packed(sums: Sums, labels: list[Any]) -> Arrays:
    state = sums.ec.state_dict()
    packed = {f"ec.{name}": state[name] for name in _STATE} | {"ec.grid": np.array(state["grid"])}
    _pack_labels(packed, "ec", state["labels"])
    for code, label in enumerate(labels):
        state = sums.maps[label].state_dict()
        packed |= {f"map{code}.{name}": state[name] for name in _STATE}
        _pack_labels(packed, f"map{code}", state["labels"])
    return packed


def _pack_labels(packed: Arrays, name: str, labels: list[Any]) -> None:
    if labels != [None]:
        packed[f"{name}.labels"] = _without_objects(labels)


def _unpacked(
    arrays: Mapping[str, NDArray[Any]], name: str, empty: Mapping[str, Any]
) -> dict[str, Any]:
    state = {part: arrays[f"{name}.{part}"] for part in _STATE}
    return {**empty, **state, "labels": _labels(arrays, name)}


def _labels(arrays: Mapping[str, NDArray[Any]], name: str) -> list[Any]:
    found: list[Any] = arrays[f"{name}.labels"].tolist() if f"{name}.labels" in arrays else [None]
    return found


def _without_objects(values: list[Any]) -> NDArray[Any]:
    array = np.array(values)
    return array.astype(str) if array.dtype.kind == "O" else array


def _rows(result: AlignmentResult, rows: NDArray[np.intp]) -> AlignmentResult:
    names = (*SCORES, "status", "cam_min", "cam_max")
    return replace(result, **{name: getattr(result, name)[rows] for name in names})
