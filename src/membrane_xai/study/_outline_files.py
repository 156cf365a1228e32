"""Files of outlines together: which classes they have, and which of these are drawn.

Some image may have none that is membrane, which only the others tell.
"""

import itertools
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import column_values
from membrane_xai.annotations import Annotation
from membrane_xai.annotations._classes import Class, is_core, is_membrane, is_region_class
from membrane_xai.annotations._reading import read_every_image
from membrane_xai.annotations._tiles import lies_on_slide
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.io._masks import is_mask_file
from membrane_xai.study._outlines import (
    MASK_WORDS,
    REGION_WORDS,
    Outlines,
    file_of,
    holds_no_classes,
    not_called_membrane,
    outlines_of,
    to_draw,
)

__all__ = ["Present", "check_classes", "classes_among", "counted", "options_of_files"]


def options_of_files(
    values: Any, classes: Any, name: str, images: Any, *, region: bool = False, not_of: Any = ()
) -> dict[str, Any]:
    """Return the options of :class:`Outlines` for all files among masks or regions.

    Of a list the classes of all files together are looked at before any work; of what is read as
    it is needed, those of each file. `not_of` are classes that are something else.
    """
    wanted = _names(classes, name)
    words = REGION_WORDS if region else MASK_WORDS
    values = column_values(values)
    named = isinstance(values, np.ndarray) and values.dtype.kind in "UO"
    listed = isinstance(values, list | tuple) or named
    images = images if isinstance(images, list | tuple) else ()
    pairs = itertools.zip_longest(values, images) if listed else ()
    files = [outlines_of(path, image) for one, image in pairs if (path := file_of(one, words))]
    if wanted and not files and (listed or values is None or isinstance(values, str)):
        raise InvalidInputError(f"{name} is {classes!r}, but there are no paths of outlines")
    present = classes_among(files, until=wanted)
    if wanted and present.all:
        check_classes(present, wanted, name)
    here = present.all if region else present.objects
    others = _names(not_of, "region_classes")
    of_set = None
    if here and not wanted:
        of_set = to_draw(here, region=region, without=others)
    if of_set is not None and not region:
        if assumed := not_called_membrane(of_set):
            warnings.warn(
                f"outlines of {assumed}; mask_classes names those that are",
                MembraneXAIWarning,
                stacklevel=3,
            )
        known = (*of_set, *others)
        _warn_of_others({one: n for one, n in present.objects.items() if one not in known})
    return {
        "classes": wanted,
        "of_set": of_set,
        "region": region,
        "others_on_slide": present.others_on_slide,
    }


def _fits(name: str) -> bool:
    """Tell classes that a picture can have: labels, and what a mask of membrane is of."""
    return name.isdecimal() or is_membrane(name)


def check_classes(present: "Present", wanted: Sequence[str], name: str) -> None:
    """Raise for classes that no file has: a slip, and not images without membrane."""
    here = present.all
    absent = [one for one in wanted if one not in here and not (present.pictures and _fits(one))]
    if absent:
        known = ", ".join(sorted(repr(one) for one in here if one is not None)) or "none"
        raise InvalidInputError(
            f"{name} is {', '.join(map(repr, sorted(absent)))}, which no annotation has; there are "
            f"{known}"
        )


class Present(NamedTuple):
    """How many outlines of each class there are."""

    objects: dict[Class, int]
    """Of files that hold classes: well-known text and bare geometries have none."""
    cores: dict[Class, int]
    """Of a tissue microarray."""
    pictures: list[Path]
    """Files that are masks, and have labels at most."""
    on_slide: set[bool]
    """Whether outlines of tiles are in coordinates of the slide, where that is clear."""

    @property
    def all(self) -> set[Class]:
        """The classes of both."""
        return {*self.objects, *self.cores}

    @property
    def others_on_slide(self) -> bool | None:
        """The same of tiles where it is not clear; None where the others do not agree."""
        return next(iter(self.on_slide)) if len(self.on_slide) == 1 else None


def classes_among(files: Iterable[Outlines], *, until: Collection[str] = ()) -> Present:
    """Count the outlines of each class in all files that can be read, or until some are seen."""
    present = Present({}, {}, [], set())
    for file in {file.path: file for file in files}.values():
        if until and present.all.issuperset(until) and file.tile is None:
            break
        try:
            found = _read_quietly(file.path, file.tile.shape[0] if file.tile else 1)
        except (OSError, ValueError, ImportError):
            continue  # the row of its image will tell
        if found is None:
            present.pictures.append(file.path)
            continue
        if file.tile is not None and not file.of_slide and found:
            on_slide = lies_on_slide(found, file.tile, file.tile.shape)
            present.on_slide.update(() if on_slide is None else (on_slide,))
        for one in [] if holds_no_classes(found) else found:
            counts = present.cores if is_core(one) else present.objects
            counts[one.classification] = counts.get(one.classification, 0) + 1
    return present


def _read_quietly(path: Path, height: float) -> list[Annotation] | None:
    """Return annotations, of which drawing them will warn; None for a picture."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return None if is_mask_file(path) else read_every_image(path, height)


def _names(classes: Any, name: str) -> tuple[str, ...]:
    found = (classes,) if isinstance(classes, str) else tuple(classes)
    if not all(isinstance(one, str) for one in found):
        raise InvalidInputError(f"{name} is {classes!r}; it takes names of classes")
    return found


def _warn_of_others(left_out: Mapping[Class, int]) -> None:
    """Say which outlines are not drawn, but for regions, which never are."""
    others = {one: count for one, count in left_out.items() if not is_region_class(one)}
    if others:
        warnings.warn(
            f"outlines not taken for membrane: {counted(others)}; mask_classes names "
            f"those that are",
            MembraneXAIWarning,
            stacklevel=4,
        )


def counted(classes: Mapping[Class, int]) -> str:
    """Return classes and how many outlines each has, in words."""
    return ", ".join(f"{name or 'no class'} ({count})" for name, count in classes.items())
