"""``Outlines``: a file of outlines or of a mask, drawn when its image has been read.

An error is then that image's alone.
"""

import os
import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from membrane_xai._disk.names import stem
from membrane_xai._disk.naming import naming
from membrane_xai.annotations import OUTLINE_SUFFIXES, Annotation
from membrane_xai.annotations._annotation import Remarks
from membrane_xai.annotations._classes import (
    Class,
    is_core,
    is_membrane,
    membrane_classes,
    region_classes,
    taken_for_membrane,
)
from membrane_xai.annotations._drawn import drawn
from membrane_xai.annotations._reading import read
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
    "Drawn",
    "Outlines",
    "file_of",
    "holds_no_classes",
    "not_called_membrane",
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
        if self.of_set is None or holds_no_classes(objects):
            chosen = to_draw(present, region=self.region)
            if not self.region and self.of_set is None and (assumed := not_called_membrane(chosen)):
                self._warn(f"of {assumed}; mask_classes names those that are")
            return chosen
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


def file_of(value: Any, words: Sequence[str] = ()) -> Path | None:
    """Return a path as such, and any string but the words; None for everything else."""
    is_path = isinstance(value, os.PathLike) or (isinstance(value, str) and value not in words)
    return Path(value) if is_path else None


def to_draw(
    present: Collection[Class], *, region: bool = False, without: Collection[str] = ()
) -> tuple[Class, ...]:
    """Return the classes to draw where nobody says it, or raise saying how to."""
    try:
        return region_classes(present) if region else membrane_classes(present, without)
    except InvalidInputError as error:
        what = "region_classes, --tissue-class" if region else "mask_classes, --annotation-class"
        raise InvalidInputError(f"{error}; name those to draw ({what})") from None


def not_called_membrane(chosen: Collection[Class]) -> str:
    """Say which classes are taken for membrane because no class is called so; empty for none."""
    assumed = taken_for_membrane(chosen)
    if not assumed:
        return ""
    return f"{', '.join(map(repr, assumed))} are taken for membrane, as no class is called so"


def holds_no_classes(found: Sequence[Annotation]) -> bool:
    """Tell well-known text and bare geometries, which have no place for a class."""
    return all(
        one.classification is None and one.id is None and not one.properties for one in found
    )
