"""What a data set holds besides the IHC patches with a score: reasons, and how they are told."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePath

from her2_models.data._derived import is_derived
from her2_models.data._he_half import is_he, is_he_root
from her2_models.data._names import SPLIT_FOLDER, read_file_name, read_grade
from her2_models.data._tree import Tree

__all__ = ["AGAIN", "NO_SCORE", "OUTSIDE", "left_out_lines", "not_ihc"]

NO_SCORE = "without a score"
OUTSIDE = "to which links lead out of the data set (follow_links=True, --follow-links, takes them)"
AGAIN = "that links show again"
_DERIVED = "made from others there, such as masks,"
_HE = "that are H&E by folder or name"


def left_out_lines(left_out: Mapping[str, Sequence[Path]], root: Path | None = None) -> list[str]:
    """Say how many images are left out for each reason, and name one."""
    return [
        f"{len(paths)} images {reason} are left out, like "
        f"{paths[0] if root is None else paths[0].relative_to(root)}"
        for reason, paths in left_out.items()
    ]


def not_ihc(images: Sequence[Path], root: Path) -> dict[Path, str]:
    """Return why an image is no IHC patch of its own, for those of which it is known."""
    places = {path: path.relative_to(root) for path in images}
    tree = Tree.of(places.values())
    is_below_he = _he_root(root)
    found = {}
    for path, place in places.items():
        if is_derived(place, tree):
            found[path] = _DERIVED
        elif is_he(place, tree) or is_below_he(place):
            found[path] = _HE
    return found


def _he_root(root: Path) -> Callable[[PurePath], bool]:
    """Return whether an image is H&E by the names of the data set's folder and those above.

    Above counts only what leads to a folder of a split or score, such as HE/train.
    """
    folder = root.resolve()
    folders = [folder]
    while SPLIT_FOLDER.fullmatch(folder.name) or read_grade(folder.name) is not None:
        folder = folder.parent
        folders.append(folder)
    beside = {one: _folders_in(one.parent) for one in folders}
    verdicts = {
        of_bci: any(is_he_root(one.name, beside[one], of_bci=of_bci) for one in folders)
        for of_bci in (False, True)
    }
    return lambda place: verdicts[read_file_name(place.stem).family == "bci"]


def _folders_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(one.name for one in folder.iterdir() if one.is_dir())
    except OSError:
        return frozenset()  # not ours to read
