"""Score, split, group and source of an image, from the names of its folders and its own."""

from pathlib import Path, PurePath

from her2_models.data._he_half import is_ihc_folder
from her2_models.data._manifest import Record
from her2_models.data._names import SPLIT_FOLDER, read_file_name, read_grade
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES

__all__ = ["record_of"]

_NO_SLIDES = frozenset({"image", "images", "patch", "patches", "png", "tile", "tiles"})
_MAGNIFICATIONS = {"bci": 20.0, "her2-ihc-40x": 40.0}
# BCI: NanoZoomer S60, Liu et al., BCI, CVPR Workshops 2022, section 3.1. HER2-IHC-40x: nominal
_MPP = {"bci": 0.46, "her2-ihc-40x": 0.25}
# BCI scores slides; HER2-IHC-40x puts each patch into a class, Nabi et al., Data in Brief 2025
_LABEL_LEVELS = {"bci": "slide", "her2-ihc-40x": "patch"}


def record_of(path: Path, place: PurePath, root: Path) -> Record | None:
    """Return the record of an image at `place` below `root`; None if nothing says its score."""
    name = read_file_name(place.stem)
    below = place.parts[:-1]
    at = _class_level(below, place)
    # Of the root's own name only what is no mere digit counts: /data/2 may be the second disk
    folder_grade = read_grade(root.name, bare=False) if at is None else read_grade(below[at])
    if name.family == "bci" and folder_grade is not None and folder_grade != name.grade:
        folder = root.name if at is None else below[at]
        raise InvalidInputError(
            f"{place}: the folder {folder!r} says score {GRADES[folder_grade]}, the name, one of "
            f"BCI, says {GRADES[name.grade or 0]}; it takes folders that agree, or a CSV with path "
            f"and score"
        )
    grade = name.grade if folder_grade is None else folder_grade
    if grade is None:
        return None
    family = name.family or ""
    return Record(
        path,
        grade,
        _split((root.name, *below)),
        _group(below, at, folder_grade is not None),
        _MAGNIFICATIONS.get(family),
        _MPP.get(family),
        _source(family, (*root.parts, *below)),
        _LABEL_LEVELS.get(family),
    )


def _class_level(folders: tuple[str, ...], place: PurePath) -> int | None:
    """Return which of the folders names the score.

    Spellings such as "class_2+" go before mere digits, which may be numbers of slides.
    """
    for bare in (False, True):
        levels = [i for i, part in enumerate(folders) if read_grade(part, bare=bare) is not None]
        if len({read_grade(folders[i]) for i in levels}) > 1:
            names = " and ".join(repr(folders[i]) for i in levels)
            raise InvalidInputError(
                f"{place}: the folders {names} name different scores; "
                f"it takes one, spelled like 'class_2+', or a CSV with path and score"
            )
        if levels:
            # "2/2" is slide 2 of class 2; nobody spells a slide like a class twice
            return levels[0] if bare else levels[-1]
    return None


def _split(folders: tuple[str, ...]) -> str | None:
    """Return the split by the innermost folder that names one."""
    for part in reversed(folders):
        if found := SPLIT_FOLDER.fullmatch(part):
            return found["split"].lower()
    return None


def _group(folders: tuple[str, ...], class_level: int | None, by_folder: bool) -> str | None:
    """Return the folders between class and file, which are slides or patients."""
    if not by_folder:
        return None
    inner = folders if class_level is None else folders[class_level + 1 :]
    return "/".join(part for part in inner if not _is_no_slide(part)) or None


def _is_no_slide(part: str) -> bool:
    return bool(part.lower() in _NO_SLIDES or SPLIT_FOLDER.fullmatch(part) or is_ihc_folder(part))


def _source(family: str, folders: tuple[str, ...]) -> str:
    if family == "bci":
        return "bci"
    if family:
        for part in reversed(folders):
            for kind in ("patch", "wsi"):
                if kind in part.lower():
                    return f"her2-ihc-40x-{kind}"
    return "folder"
