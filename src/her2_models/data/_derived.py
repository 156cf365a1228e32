"""Which images were made from others: masks, overlays and previews beside the patches."""

import re
from itertools import product
from pathlib import PurePath

from her2_models.data._tree import Key, Tree, key_of

__all__ = ["is_derived"]

_MASK = ".mask"  # as ``membrane-xai mask`` ends its names; nobody else does
_NAME = re.compile(
    r"(?P<base>.+?)[-_. ](?:membrane[-_. ]|tissue[-_. ])?"
    r"(?:masks?|overlay|preview|heat_?map|cam|thumb(?:nail)?|annotat(?:ed|ions?)|label_?map|labels?|"
    r"seg(?:mentation)?|contours?|outlines?|gt)"
)
# A folder like one of these beside the images' own
_SINGULAR = re.compile(
    r"(?:(?:membrane|tissue)[-_ ]?)?(?:mask|overlay|preview|heat_?map|cam|thumbnail|annotation|"
    r"label|segmentation|gt|ground[-_ ]?truth)"
)
_PLURAL = re.compile(
    r"(?:(?:membrane|tissue)[-_ ]?)?(?:masks|overlays|previews|heat_?maps|cams|thumbnails|"
    r"annotations|labels|segmentations|ground[-_ ]?truths?)"
)
_IMAGES = (
    "data", "ihc", "image", "images", "img", "imgs", "input", "inputs", "original", "originals",
    "patch", "patches", "png", "raw", "tile", "tiles",
)  # fmt: skip


def is_derived(place: PurePath, tree: Tree) -> bool:
    """Tell whether an image at `place` is a mask or picture of another one of the data set.

    Only an image that is there has one: a slide may be called "mask".
    """
    key = key_of(place)
    if key[-1].endswith(_MASK):
        return True
    found = _NAME.fullmatch(key[-1])
    names = [found["base"], key[-1]] if found else [key[-1]]
    return any(
        (*folders, name) in tree.images
        for folders, name in product(_folders_of_images(key[:-1]), names)
        if (*folders, name) != key
    )


def _folders_of_images(folders: Key) -> list[Key]:
    """Return where the image of a mask in `folders` may lie: there, or where images would."""
    found = [folders]
    for i, part in enumerate(folders):
        above, below = folders[:i], folders[i + 1 :]
        if _PLURAL.fullmatch(part):
            found.append((*above, *below))
        if _PLURAL.fullmatch(part) or _SINGULAR.fullmatch(part):
            found += [(*above, name, *below) for name in _IMAGES]
    return found
