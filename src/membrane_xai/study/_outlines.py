"""``Outlines``: a file of outlines or of a mask, drawn when its image has been read.

An error is then that image's alone.
"""

import itertools
import os
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import column_values
from membrane_xai._disk.names import stem
from membrane_xai._disk.naming import naming
from membrane_xai.annotations import OUTLINE_SUFFIXES, Annotation
from membrane_xai.annotations._annotation import Remarks
from membrane_xai.annotations._classes import (
    is_core,
    is_membrane,
    is_region_class,
    membrane_classes,
    region_classes,
)
from membrane_xai.annotations._drawn import drawn
from membrane_xai.annotations._reading import read, read_every_image
from membrane_xai.annotations._tiles import Tile, bare_name, in_tile, lies_on_slide, tile_of
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning
from membrane_xai.io import read_mask
from membrane_xai.io._masks import is_mask_file
from membrane_xai.perturb._perturbation import Rgb

__all__ = [
    "MASK_WORDS",
    "OUTSIDE",
    "REGION_WORDS",
    "UNCLEAR",
    "Class",
    "Drawn",
    "Outlines",
    "Present",
    "check_classes",
    "classes_among",
    "counted",
    "file_of",
    "options_of_files",
    "outlines_of",
    "to_draw",
]

MASK_WORDS = ("extract",)
REGION_WORDS = ("tissue", "tumour")
"""Strings that are an option of masks and of regions; any other is a path."""

OUTSIDE = "outlines_outside"
"""Flag of an image whose outlines lie outside of it, wholly or in part."""
UNCLEAR = "coordinates_unclear"
"""Flag of a tile whose outlines fit coordinates of the slide and of the tile as well."""

LEFT_OUT = "objects_left_out"
"""Flag of an image of whose outlines some cover nothing, and were left out."""

Class = str | None
"""None is what bears no class."""


class Drawn(NamedTuple):
    """A mask, and the flags of how it was drawn."""

    mask: NDArray[Any]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlines:
    """A file of outlines or of a mask."""

    path: Path = field(repr=False)
    classes: tuple[str, ...] = ()
    """Those to draw, as somebody says; of a picture, labels."""
    of_set: tuple[Class, ...] | None = None
    """Those to draw where nobody says it, by all files together; None is by this file alone."""
    line_width: float | None = None
    """Micrometres, of lines."""
    region: bool = False
    """Whether it says where to look, instead of where membrane is."""
    tile: Tile | None = None
    """Where the image lies on its slide, if its name says it."""
    of_slide: bool = False
    """Whether the file is that of the slide, which all its tiles share."""
    others_on_slide: bool | None = None
    """Whether files of other tiles are in coordinates of the slide, for one that may be in both."""

    image: str | None = field(default=None, repr=False)
    """What a table of several images calls it."""

    def draw(self, rgb: Rgb, mpp: float | None) -> Drawn:
        """Return a mask of an image, which may well have no outlines of the classes."""
        shape = (rgb.shape[0], rgb.shape[1])
        if is_mask_file(self.path):
            return Drawn(self._read_mask(shape))
        remarks = Remarks()
        found = self._read(shape[0], remarks)
        on_slide = self._on_slide(found, shape)
        if self.tile is not None and on_slide:
            found = in_tile(found, self.tile, shape, str(self.path))
        mask, outside = drawn(self._chosen(found), shape, mpp=mpp, line_width=self.line_width)
        flags = (LEFT_OUT,) if remarks.left_out else ()
        if on_slide is None:
            flags = (UNCLEAR, *flags)
            self._warn("may be in coordinates of the slide or of the tile, and are taken for these")
        # a slide's other outlines, and the rest of a region around a tile, lie outside by right
        if outside and not (on_slide and (self.of_slide or self.region)):
            flags = (OUTSIDE, *flags)
            size = f"{shape[1]} x {shape[0]} pixels"
            self._warn(f"lie outside their image of {size}: {outside}")
        return Drawn(mask, flags)

    def _on_slide(self, found: Sequence[Annotation], shape: tuple[int, int]) -> bool | None:
        """Tell whether coordinates are those of the slide; None where nothing says it."""
        if self.tile is None or self.of_slide or not found:
            return self.of_slide
        on_slide = lies_on_slide(found, self.tile, shape)
        return self.others_on_slide if on_slide is None else on_slide

    def _read_mask(self, shape: tuple[int, int]) -> NDArray[Any]:
        mask = read_mask(self.path, shape=shape, labels=self._labels())
        if self.region and mask.dtype.kind != "b":
            raise InvalidInputError(f"{self.path}: has shares of pixels; a region takes 0 and 1")
        return mask

    def _labels(self) -> list[int]:
        """Return the classes as labels of a picture; a mask without labels is of membrane."""
        if all(one.isdecimal() for one in self.classes):
            return [int(one) for one in self.classes]
        if not self.region and all(is_membrane(one) for one in self.classes):
            return []
        raise InvalidInputError(
            f"{self.path}: is a picture, which has no class {', '.join(self.classes)}; of labels "
            f"it takes their numbers"
        )

    def _read(self, height: float, remarks: Remarks) -> list[Annotation]:
        return read(self.path, height=height, image=self.image, remarks=remarks)

    def _chosen(self, found: Sequence[Annotation]) -> list[Annotation]:
        objects = [one for one in found if self.region or not is_core(one)]
        present = {one.classification for one in objects}
        with naming(self.path):
            chosen = self._to_draw(objects, present)
        return [one for one in objects if one.classification in chosen]

    def _to_draw(self, objects: Sequence[Annotation], present: set[Class]) -> Collection[Class]:
        if self.classes:
            return self.classes
        if self.of_set is None or _holds_no_classes(objects):
            return to_draw(present, region=self.region)
        if present == {None} and None not in self.of_set:
            raise InvalidInputError(
                f"its outlines have no class, and those of other files have "
                f"{', '.join(map(repr, self.of_set))}; give them a class"
            )
        return self.of_set

    def _warn(self, what: str) -> None:
        warnings.warn(f"{self.path}: outlines {what}", MembraneXAIWarning, stacklevel=3)


def outlines_of(path: Path, image: Any, *, called: str | None = None, **options: Any) -> Outlines:
    """Return a file as outlines of an image, whose name may say where on a slide it lies.

    Of a table of several images those are meant that are `called` so.
    """
    name = stem(Path(image).name) if isinstance(image, str | Path) else ""
    own = stem(path.name, OUTLINE_SUFFIXES)
    tile = tile_of(name)
    of_slide = tile is not None and own == bare_name(name)
    return Outlines(path, tile=tile or tile_of(own), of_slide=of_slide, image=called, **options)


def _fits(name: str) -> bool:
    """Tell classes that a picture can have: labels, and what a mask of membrane is of."""
    return name.isdecimal() or is_membrane(name)


def file_of(value: Any, words: Sequence[str] = ()) -> Path | None:
    """Return a path as such, and any string but the words; None for everything else."""
    is_path = isinstance(value, os.PathLike) or (isinstance(value, str) and value not in words)
    return Path(value) if is_path else None


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
        known = (*of_set, *others)
        _warn_of_others({one: n for one, n in present.objects.items() if one not in known})
    return {
        "classes": wanted,
        "of_set": of_set,
        "region": region,
        "others_on_slide": present.others_on_slide,
    }


def to_draw(
    present: Collection[Class], *, region: bool = False, without: Collection[str] = ()
) -> tuple[Class, ...]:
    """Return the classes to draw where nobody says it, or raise saying how to."""
    try:
        return region_classes(present) if region else membrane_classes(present, without)
    except InvalidInputError as error:
        what = "region_classes, --tissue-class" if region else "mask_classes, --annotation-class"
        raise InvalidInputError(f"{error}; name those to draw ({what})") from None


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
        for one in [] if _holds_no_classes(found) else found:
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


def _holds_no_classes(found: Sequence[Annotation]) -> bool:
    """Tell well-known text and bare geometries, which have no place for a class."""
    return all(
        one.classification is None and one.id is None and not one.properties for one in found
    )
