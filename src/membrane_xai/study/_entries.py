"""``Entry``: an image of a study with all that belongs to it, and its key, a hash."""

import hashlib
import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import as_array, to_numpy
from membrane_xai._backend.labels import is_missing, plain_label
from membrane_xai._disk.hashes import Content, content_hash, read_content
from membrane_xai.baselines import control_masks, tumour_region
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._explainers import as_cam, check_image
from membrane_xai.io import read_image
from membrane_xai.io._cams import decode_cam
from membrane_xai.masks import MembraneMask, extract_membrane_mask
from membrane_xai.perturb._perturbation import Rgb
from membrane_xai.study._outlines import MASK_WORDS, REGION_WORDS, Outlines, file_of, outlines_of
from membrane_xai.tables import array_hash

__all__ = ["Entry", "Loaded", "entries"]

_KEY_DIGITS = 24
"""96 bits: even among 1e9 images two of one key are less likely than one in 1e10."""
_LARGEST_HELD = 2**22
"""Bytes of a CAM file that is held until it is scored: a map of 1024 x 1024 floats. A batch holds
a few of them; what is larger is read a second time."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An image of a study with all that belongs to it, as it was given."""

    id: Any
    image: Any
    """Path or array."""
    mask: Any
    """"extract", outlines, a MembraneMask or an array."""
    region: Any = None
    """"tissue", "tumour", outlines, None or an array."""
    mpp: float | None = None
    bits: int | None = None
    group: Any = None
    target: Any = None
    """What is explained."""
    labels: Mapping[str, Any] = field(default_factory=dict)
    """More columns of the table."""
    cams: Mapping[str, Any] = field(default_factory=dict)
    """By method, maps that were there before: arrays, paths, or None where there is none."""
    controls: tuple[str, ...] = ()
    """Control masks to make, which is a setting of the study."""

    @cached_property
    def key(self) -> str:
        """A hash of all that the scores of this image depend on."""
        parts = [self.id, self.group, self.target, self.mpp, sorted(self.labels.items())]
        parts.append(self._identity(self.image, file_of(self.image)))
        parts += [self._identity(x, _path_of(x)) for x in (self.mask, self.region)]
        if self.cams:
            maps = ((name, self._identity(x, file_of(x))) for name, x in self.cams.items())
            parts.append(sorted(maps))
        text = json.dumps(parts, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_DIGITS]

    @cached_property
    def inputs(self) -> dict[str, str]:
        """SHA-256 of each file that belongs to the image, by path."""
        paths = [file_of(self.image), _path_of(self.mask), _path_of(self.region)]
        found = {str(path): content_hash(path) for path in paths if path is not None}
        cams = {file_of(self.cams[name]): one.digest for name, one in self._cam_files.items()}
        return found | {str(path): digest for path, digest in cams.items()}

    @cached_property
    def _cam_files(self) -> dict[str, Content]:
        """By method, files of maps: read once, so that the hash is that of the map."""
        paths = {name: file_of(one) for name, one in self.cams.items()}
        return {
            name: read_content(path, _LARGEST_HELD)
            for name, path in paths.items()
            if path is not None
        }

    def _identity(self, value: Any, path: Path | None) -> str:
        if path is None:
            return _identity(value)
        digest = self.inputs[str(path)]
        return f"{digest} {value}" if isinstance(value, Outlines) else digest

    def has(self, method: str) -> bool:
        """Tell whether there is, or can be, a map by that method."""
        return self.cams.get(method, self) is not None

    def load_cam(self, method: str) -> NDArray[Any]:
        """Return a map that was there before, (h, w)."""
        path = file_of(self.cams[method])
        if path is not None:
            return decode_cam(path, self._cam_files[method].data)
        found: NDArray[Any] = as_cam(self.cams[method], method)
        return found

    def load(self) -> "Loaded":
        """Read the image and find its mask."""
        rgb, mpp, own = self._pixels()
        mask, region = self.mask, self.region
        flags: tuple[str, ...] = ()
        if isinstance(mask, str):
            mask = extract_membrane_mask(rgb, mpp=_known(mpp, self.id, "masks='extract'"))
        elif isinstance(mask, Outlines):
            mask, flags = mask.draw(rgb, mpp)
        stain = mask if isinstance(mask, MembraneMask) else None
        if stain is None and isinstance(region, str) and region == "tissue":
            stain = extract_membrane_mask(rgb, mpp=_known(mpp, self.id, "regions='tissue'"))
        flags = (*own, *flags) if stain is None else (*stain.flags, *own, *flags)
        mask = _of_image(mask.mask if isinstance(mask, MembraneMask) else mask, "mask", rgb)
        if isinstance(region, Outlines):
            region, more = region.draw(rgb, mpp)
            flags = tuple(dict.fromkeys((*flags, *more)))
        else:
            region = self._region(rgb, mask, stain, mpp)
        region = None if region is None else _of_image(region, "region", rgb)
        return Loaded(self, rgb, mask, region, flags, mpp, self._control_masks(rgb, mask, mpp))

    def _region(
        self, rgb: Rgb, mask: NDArray[Any], stain: MembraneMask | None, mpp: float | None
    ) -> Any:
        if not isinstance(self.region, str):
            return self.region
        if stain is not None and self.region == "tissue":
            return stain.tissue
        return tumour_region(rgb, mask, mpp=_known(mpp, self.id, "regions='tumour'"))

    def _control_masks(
        self, rgb: Rgb, mask: NDArray[Any], mpp: float | None
    ) -> dict[str, NDArray[np.bool_]]:
        if not self.controls:
            return {}
        mpp = _known(mpp, self.id, "controls")
        return control_masks(rgb, mask, mpp=mpp, names=self.controls)

    def _pixels(self) -> tuple[Rgb, float | None, tuple[str, ...]]:
        """Return the image, its pixel size and flags of its file."""
        path = file_of(self.image)
        if path is not None:
            found = read_image(path, mpp=self.mpp, bits=self.bits)
            return found.rgb, found.mpp, found.flags
        return check_image(self.image, "image"), self.mpp, ()


class Loaded(NamedTuple):
    """An entry ready to be explained and scored."""

    entry: Entry
    rgb: Rgb
    mask: NDArray[Any]
    region: NDArray[Any] | None
    flags: tuple[str, ...]
    mpp: float | None
    """Micrometres per pixel, if they are known."""
    controls: Mapping[str, NDArray[np.bool_]]
    """Control masks by name."""


def entries(
    images: Any,
    masks: Any,
    *,
    groups: Sequence[Any] | None,
    ids: Sequence[Any] | None,
    targets: Sequence[Any] | None,
    regions: Any,
    labels: Mapping[str, Iterable[Any]],
    cams: Mapping[str, Iterable[Any]],
    mpp: float | None,
    bits: int | None = None,
    controls: tuple[str, ...] = (),
    mask_options: Mapping[str, Any],
    region_options: Mapping[str, Any],
) -> Generator[Entry, None, None]:
    """Yield what belongs together; raise where one argument has more values than another.

    The options are those of :class:`Outlines`, for masks and regions that are files.
    """
    given = {"masks": masks, "groups": groups, "ids": ids, "targets": targets, "regions": regions}
    given |= {f"labels[{name!r}]": values for name, values in labels.items()}
    given |= {_cams_of(name): values for name, values in cams.items()}
    shared = {name: x for name, x in given.items() if x is None or isinstance(x, str)}
    rest: dict[str, Iterator[Any]] = {
        name: iter(x) for name, x in given.items() if name not in shared
    }
    for i, image in enumerate(images):
        one = dict(shared)
        for name, values in rest.items():
            one[name] = _next(values, name, i)
        default = i if file_of(image) is None else str(image)
        identifier = default if ids is None else _label(one["ids"])
        named = file_of(image)
        called = str(identifier) if named is None else named.name
        yield Entry(
            id=identifier,
            image=image,
            mask=_from_file(one["masks"], MASK_WORDS, image, called, mask_options),
            region=_from_file(one["regions"], REGION_WORDS, image, called, region_options),
            mpp=mpp,
            bits=bits,
            group=_label(one["groups"]),
            target=_label(one["targets"]),
            labels={name: _label(one[f"labels[{name!r}]"]) for name in labels},
            cams={name: one[_cams_of(name)] for name in cams},
            controls=controls,
        )
    for name, values in rest.items():
        if next(values, rest) is not rest:
            raise InvalidInputError(
                f"{name} has more values than there are images; it takes one each"
            )


def _cams_of(method: str) -> str:
    return f"explainers[{method!r}]"


def _next(values: Iterable[Any], name: str, i: int) -> Any:
    for value in values:
        return value
    raise InvalidInputError(f"{name} has {i} values, but there are more images; it takes one each")


def _label(value: Any) -> Any:
    """Return a label as a plain value that JSON keeps."""
    plain = plain_label(value)
    if is_missing(plain):
        return None
    if isinstance(plain, Decimal | Fraction):
        return float(plain)
    return plain if isinstance(plain, str | int | float) else str(plain)


def _from_file(
    value: Any, words: Sequence[str], image: Any, called: str, options: Mapping[str, Any]
) -> Any:
    path = file_of(value, words)
    return value if path is None else outlines_of(path, image, called=called, **options)


def _path_of(value: Any) -> Path | None:
    """Return the file that a value stands for, or None."""
    if isinstance(value, Outlines):
        return value.path
    return value if isinstance(value, Path) else None


def _identity(value: Any) -> str:
    if isinstance(value, MembraneMask):
        return f"{array_hash(value.mask)} {array_hash(value.tissue)} {value.flags}"
    if value is None or isinstance(value, str):
        return str(value)
    try:
        return array_hash(_plain(value))
    except (TypeError, ValueError) as error:
        return f"unreadable: {error}"  # as loading will tell


def _plain(value: Any) -> NDArray[Any]:
    return to_numpy(as_array(value))


def _of_image(value: Any, name: str, rgb: Rgb) -> NDArray[Any]:
    array = _plain(value)
    if array.shape != rgb.shape[:2]:
        raise InvalidInputError(
            f"{name} has shape {array.shape} for an image of {rgb.shape}; it takes {rgb.shape[:2]}"
        )
    return array


def _known(mpp: float | None, name: Any, what: str) -> float:
    if mpp is None:
        raise InvalidInputError(
            f"mpp is None, and image {name} does not say its pixel size; "
            f"{what} takes it in micrometres per pixel"
        )
    return mpp
