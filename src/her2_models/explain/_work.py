"""`Work`: a network and how it is explained; predictions, masks and pixel size of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from her2_models.explain._cams import NORMALIZATION, predict
from her2_models.explain._explainers import CamExplainer, inputs_of
from her2_models.models import Backbone, Registration, input_mpp
from membrane_xai.annotations import OUTLINE_SUFFIXES, find_outlines
from membrane_xai.cli import progress
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import MASK_SUFFIXES, read_image
from membrane_xai.tables import array_hash

__all__ = ["ImageFile", "Prediction", "Work", "masks_of", "predict_images", "resolve_mpp"]


class ImageFile(Protocol):
    """An image to explain."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def mpp(self) -> float | None:
        """Micrometres per pixel."""


class Prediction(NamedTuple):
    """Predicted grade of an image."""

    grade: str
    confidence: float
    """Its probability."""
    explained: str
    """The grade to explain: the predicted or the true one."""
    input_um_per_pixel: float
    """Micrometres per pixel at the network's input."""


@dataclass(frozen=True, slots=True)
class Work:
    """A network, how it is explained, and where the results go."""

    backbone: Backbone
    out: Path
    input_size: int
    every_class: bool
    published_protocol: bool
    """Explain the true grade, from the image that is rescaled and not normalised."""
    methods: Mapping[str, Mapping[str, Any]]
    """Options of each method's constructor."""
    batch_size: int
    mpp: float
    progress: bool
    registration: Registration

    def explainers(self) -> dict[str, CamExplainer]:
        """Return a callable for each method."""
        return {name: self.explainer(name, every_class=self.every_class) for name in self.methods}

    def explainer(self, method: str, *, every_class: bool = False) -> CamExplainer:
        """Return the callable of a method, which says where its cells lie."""
        return CamExplainer(
            self.backbone,
            method,
            self.input_size,
            every_class,
            self.methods[method],
            normalize=not self.published_protocol,
            grid=self.registration.grid,
        )

    def about(self) -> dict[str, Any]:
        """Return what the maps depend on beside the images."""
        return {
            "network": self.backbone.name,
            "weights": _hash_of(self.backbone),
            "target_layer": self.backbone.target_layer_name,
            "input_size": self.input_size,
            "classes": "all" if self.every_class else self._explained(),
            "input": "rescaled" if self.published_protocol else "normalized",
            "cam_normalization": NORMALIZATION,
            "cam_grid": self.registration.grid.to_text(),
            "grid_source": self.registration.source,
            "options": {name: said for name in self.methods if (said := self._options(name))},
        }

    def _options(self, method: str) -> dict[str, Any]:
        """Return the options of a method that its maps depend on."""
        return {k: v for k, v in self.methods[method].items() if k != "batch_size"}

    def _explained(self) -> str:
        return "true" if self.published_protocol else "predicted"


def resolve_mpp(images: Sequence[ImageFile], mpp: float | None) -> float:
    """Return the one pixel size of all images, or raise."""
    if not images:
        raise InvalidInputError("images is empty; it takes at least one image")
    sizes = {image.mpp for image in images} if mpp is None else {mpp}
    if len(sizes) > 1 or None in sizes:
        listed = ", ".join(sorted(map(str, sizes)))
        raise InvalidInputError(
            f"mpp is not given, and the images say {listed}; it takes one pixel size for all, in "
            f"micrometres"
        )
    return float(sizes.pop() or 0)


def predict_images(
    work: Work, paths: Sequence[Path], grades: Sequence[str | None]
) -> list[Prediction | None]:
    """Predict every image; None for one that cannot be read. `grades` are the true ones."""
    predictions: dict[int, Prediction] = {}
    places = list(enumerate(paths))
    with progress(len(paths), shown=work.progress) as show:
        for start in range(0, len(paths), work.batch_size):
            batch = places[start : start + work.batch_size]
            read = {place: rgb for place, path in batch if (rgb := _read(path, work)) is not None}
            true = [grades[place] for place in read]
            predictions |= zip(read, _predict(work, list(read.values()), true), strict=True)
            show(start + len(batch), "predicting")
    return [predictions.get(place) for place in range(len(paths))]


def _read(path: Path, work: Work) -> NDArray[np.uint8] | None:
    try:
        return read_image(path, mpp=work.mpp).rgb
    except (OSError, ValueError, ImportError):
        return None  # explaining it will say what is wrong


def _predict(
    work: Work, images: Sequence[NDArray[np.uint8]], grades: Sequence[str | None]
) -> list[Prediction]:
    if not images:
        return []
    inputs = inputs_of(work.backbone, images, work.input_size)
    found = []
    for p, true, image in zip(predict(work.backbone, inputs), grades, images, strict=True):
        grade = GRADES[int(p.argmax())]
        explained = true if work.published_protocol and true is not None else grade
        size = input_mpp(image.shape, mpp=work.mpp, size=work.input_size)
        found.append(Prediction(grade, float(p.max()), explained, size))
    return found


def masks_of(
    images: Sequence[ImageFile], annotations: str | Path | None, *, without: Sequence[Path] = ()
) -> str | list[Path]:
    """Return "extract", or the file of an expert's outlines or mask for each image.

    Of an image in folders the file lies in folders of the same names, as many as tell it apart.
    """
    if annotations is None:
        return "extract"
    names = [_names_of(image.path) for image in images]
    files = find_outlines(
        annotations,
        [name for own in names for name in own],
        pictures=MASK_SUFFIXES,
        without=[*without, *(image.path for image in images)],
    )
    found = [next((files[name] for name in own if name in files), None) for own in names]
    absent = [image.path.name for image, path in zip(images, found, strict=True) if path is None]
    if absent:
        raise InvalidInputError(
            f"annotations: {annotations} has no outlines for {', '.join(absent[:5])}"
            f"{' and others' if len(absent) > 5 else ''}; files are named like the images and end "
            f"in {', '.join((*OUTLINE_SUFFIXES, *MASK_SUFFIXES))}"
        )
    masks = [path for path in found if path is not None]
    _check_one_each(images, masks)
    return masks


def _names_of(path: Path) -> list[str]:
    """Return the names that the file of an image may have, the longest first."""
    parts = path.with_suffix("").parts[path.is_absolute() :]
    return ["/".join(parts[i:]) for i in range(len(parts))]


def _check_one_each(images: Sequence[ImageFile], masks: Sequence[Path]) -> None:
    """Raise where images of one name would share a file; tiles of a slide share that of it."""
    first: dict[tuple[Path, str], Path] = {}
    for image, mask in zip(images, masks, strict=True):
        other = first.setdefault((mask, image.path.stem), image.path)
        if other != image.path:
            raise InvalidInputError(
                f"annotations: {mask} would be of {other} and of {image.path}; put files into "
                f"folders named like those of the images"
            )


def _hash_of(backbone: Backbone) -> str:
    weights = backbone.network.state_dict()
    hashes = [f"{name} {array_hash(tensor.cpu().numpy())}" for name, tensor in weights.items()]
    return array_hash(np.array(hashes))
