"""The names below a data set, by which an image's counterpart is looked up."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

__all__ = ["Key", "Tree", "key_of"]

Key = tuple[str, ...]
"""Folders and name of an image, without suffix and in one case: some disks do not tell cases."""


def key_of(place: PurePath) -> Key:
    """Return folders and name of an image at `place`."""
    stem = place.stem.lower()
    # An OME-TIFF of an image belongs to it like a PNG
    return (*(part.lower() for part in place.parts[:-1]), stem.removesuffix(".ome"))


@dataclass(frozen=True, eq=False)
class Tree:
    """All images and folders of a data set by name."""

    images: frozenset[Key]
    children: dict[Key, frozenset[str]]
    """By folder, the names of the folders in it, as they are written."""
    _mirrors: dict[tuple[Key, Key], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, places: Iterable[PurePath]) -> "Tree":
        """Build it from the places of the images."""
        images: set[Key] = set()
        children: dict[Key, set[str]] = {}
        for place in places:
            key = key_of(place)
            images.add(key)
            for i, part in enumerate(place.parts[:-1]):
                children.setdefault(key[:i], set()).add(part)
        return cls(frozenset(images), {key: frozenset(names) for key, names in children.items()})

    def mirrors(self, one: Key, other: Key) -> bool:
        """Tell whether every image in folder `one` has one of its name in folder `other`."""
        if (one, other) not in self._mirrors:
            at = len(one)
            below = [key[at:] for key in self.images if key[:at] == one]
            found = all((*other, *key) in self.images for key in below)
            self._mirrors[one, other] = found
        return self._mirrors[one, other]
