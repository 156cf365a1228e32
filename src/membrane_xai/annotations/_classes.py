"""Which classes of outlines are membrane, and which say where to look or what to leave out.

QuPath brings the classes Tumor, Stroma, Immune cells, Necrosis, Other, Positive, Negative, Region*
and Ignore*. What ends in an asterisk it takes for no object of interest; TMA cores are objects of
their own kind, ``tmaCore``.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any

from membrane_xai.annotations._annotation import Annotation
from membrane_xai.errors import InvalidInputError

__all__ = [
    "Class",
    "is_core",
    "is_membrane",
    "is_region_class",
    "membrane_classes",
    "region_classes",
    "taken_for_membrane",
]

Class = str | None
"""None is what bears no class."""

# Words that a class of a region starts with, then whole names of such classes.
_AREAS = {"tissue", "region", "regions", "roi", "rois"}
_IGNORED = {
    "ignore",
    "ignored",
    "background",
    "artefact",
    "artefacts",
    "artifact",
    "artifacts",
    "exclude",
    "excluded",
    "exclusion",
    "glass",
    "whitespace",
}
_TMA = {"tma", "tmacore"}
_NAMES = {
    "analysis area",
    "annotated area",
    "annotated region",
    "annotation",
    "annotation area",
    "annotation region",
    "area",
    "bounding box",
    "core",
    "crop",
    "field",
    "field of view",
    "fov",
    "image",
    "patch",
    "slide",
    "tile",
    "white space",
    "whole slide",
    "whole tissue",
}
_MEMBRANE = "membran"  # membrane, membranes, membranous, Membran
_NOT = re.compile(r"(no|non|not|without|outside)\b|non?[a-z]*membran")
# Grades of one thing, as QuPath and the guideline write them; negative is no stained membrane.
_GRADES = {"1+", "2+", "3+", "weak", "moderate", "strong", "positive", "complete", "incomplete"}
_CORES = ("tmaCore", "tma_core", "TMACoreObject")
"""How QuPath has called the object that is a core, from version 0.2 on."""


def is_region_class(name: Class) -> bool:
    """Tell classes that say where to look, or what to leave out, from those of objects."""
    return name is not None and (_is_ignored(name) or _is_area(name))


def membrane_classes(
    present: Collection[Class], without: Collection[str] = ()
) -> tuple[Class, ...]:
    """Return which of the classes that there are is membrane, where nobody says it.

    Those called so; else those that are no regions, if they are one class or grades of one. Raises
    where that leaves none or several. `without` are classes that are known to be something else.
    """
    rest = [one for one in present if one not in without and not is_region_class(one)]
    named = [one for one in rest if is_membrane(one)]
    if named or not present:
        return _ordered(named)
    if not rest:
        raise InvalidInputError(f"there are outlines of {_listed(present)} only, which are regions")
    if len({_without_grade(one) for one in rest}) > 1:
        raise InvalidInputError(
            f"there are outlines of {_listed(rest)}, and none of a class called membrane"
        )
    return _ordered(rest)


def taken_for_membrane(chosen: Collection[Class]) -> tuple[str, ...]:
    """Return which of the classes of :func:`membrane_classes` are not called so, nor grades."""
    named = [one for one in chosen if one is not None and not is_membrane(one)]
    return tuple(sorted(one for one in named if _without_grade(one)))


def region_classes(present: Collection[Class]) -> tuple[Class, ...]:
    """Return which of the classes that there are is the region, where nobody says it.

    Those of areas, such as Tissue; else the only one that is neither membrane nor to be ignored.
    """
    rest = [one for one in present if one is None or not _is_ignored(one)]
    areas = [one for one in rest if one is not None and _is_area(one)]
    if areas or not present:
        return _ordered(areas)
    if len(rest) > 1:
        rest = [one for one in rest if one is not None]  # a class goes before none
    rest = [one for one in rest if not is_membrane(one)]
    if len(rest) != 1:
        raise InvalidInputError(
            f"there are outlines of {_listed(present)}, and none of a class called tissue or region"
        )
    return _ordered(rest)


def _is_ignored(name: str) -> bool:
    starts = {word for part in name.split(":") for word in _words(part)[:1]}
    return bool(starts & _IGNORED) or (name.rstrip().endswith("*") and not _is_area(name))


def _is_area(name: str) -> bool:
    """Tell areas by the first name of a derived class: "Tissue: 2" is one of "Tissue"."""
    words = _words(name.partition(":")[0])
    return not is_membrane(name) and (
        bool({*words[:1]} & (_AREAS | _TMA)) or " ".join(words) in _NAMES
    )


def is_core(one: Annotation) -> bool:
    """Tell cores of a tissue microarray from what was drawn."""
    kinds: list[Any] = [one.properties.get(key) for key in ("objectType", "object_type", "type")]
    return any(kind in _CORES for kind in (*kinds, one.id))


def is_membrane(name: Class) -> bool:
    """Tell classes that are called membrane."""
    text = "" if name is None else name.casefold()
    return _MEMBRANE in text and not _NOT.match(text)


def _words(name: str) -> list[str]:
    """Return the words of a name in lower case, without numbers."""
    return re.findall(r"[^\W\d_]+", name.casefold())


def _without_grade(name: Class) -> Class:
    """Return a class without its grades: "Tumor: 2+" is one of "Tumor"."""
    if name is None:
        return None
    parts = [part.strip() for part in name.split(":")]
    return ": ".join(part for part in parts if part.casefold() not in _GRADES)


def _ordered(names: Sequence[Class]) -> tuple[Class, ...]:
    return tuple(sorted(names, key=str))


def _listed(names: Collection[Class]) -> str:
    known = [repr(one) for one in _ordered(list(names)) if one is not None]
    return ", ".join([*known, "no class"] if None in names else known)
