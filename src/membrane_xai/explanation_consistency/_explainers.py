"""Call an explainer on images and views, check and split what it returns."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from membrane_xai._backend.arrays import (
    Array,
    as_array,
    check_arrays,
    is_array_list,
    is_dask_array,
    listed,
    squeeze_channel,
    to_numpy,
)
from membrane_xai._backend.cam_grid import CamGrid, check_cam_grid
from membrane_xai._backend.checks import is_count
from membrane_xai._backend.containers import is_dataarray
from membrane_xai._backend.images import check_rgb
from membrane_xai._backend.labels import plain_label
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb._perturbation import Bools, Perturbation, Rgb, everywhere
from membrane_xai.perturb._registered import restore_registered

__all__ = [
    "Explain",
    "View",
    "as_cam",
    "batches",
    "check_image",
    "explain_images",
    "explain_views",
    "grid_of",
    "view_of",
]

Explain = Callable[..., Any]
"""(n, H, W, 3) uint8, and a list of n targets if there are any -> n maps, or label -> n maps."""


class View(NamedTuple):
    """A map in the geometry of the original image."""

    cam: Array
    """(h, w)."""
    valid: Bools
    """(h, w): where the view shows the original."""


def batches(items: Iterable[Any], size: Any) -> Iterator[list[Any]]:
    """Yield items, `size` at a time."""
    if not is_count(size) or size < 1:
        raise InvalidInputError(f"batch_size is {size!r}; it takes a positive integer")
    rest = iter(items)
    while batch := list(islice(rest, int(size))):
        yield batch


def check_image(image: Any, name: str) -> Rgb:
    """Return an (H, W, 3) uint8 image as a NumPy array, or raise."""
    return check_rgb(image, name)


def explain_views(
    explain: Explain,
    images: Sequence[Rgb],
    perturbations: Sequence[Perturbation],
    targets: Sequence[Any] | None = None,
    grid: CamGrid | None = None,
) -> list[dict[Any, list[View]]]:
    """Explain images and their perturbed views; by image, a mapping from label to its views.

    The first view is the image as it is. The label is None for an explainer without labels. All
    views lie on the cells of the first; `grid`, as of :func:`grid_of`, says where those are.
    """
    original = explain_images(explain, images, targets)
    views = [{label: [view_of(one)] for label, one in cams.items()} for cams in original]
    for perturbation in perturbations:
        changed = [perturbation.apply(image) for image in images]
        for found, cams in zip(views, explain_images(explain, changed, targets), strict=True):
            if set(cams) != set(found):
                raise InvalidInputError(
                    f"explain gave labels {list(cams)} for {perturbation.name}, but {list(found)} "
                    f"for the image as it is; they must be the same"
                )
            for label, one in cams.items():
                found[label].append(_restored(perturbation, one, grid, _grid(found[label][0].cam)))
    return views


def grid_of(explain: Any, grid: Any = None) -> CamGrid | None:
    """Return `grid`, or without one that of the explainer, if it has one as its attribute `grid`.

    An attribute of another kind is another library's, and says nothing.
    """
    if grid is not None:
        return check_cam_grid(grid)
    found = getattr(explain, "grid", None)
    return found if isinstance(found, CamGrid) else None


def view_of(one: Array) -> View:
    """Return a map as the view of an image as it is."""
    return View(one, everywhere(_grid(one)))


def as_cam(given: Any, method: str) -> Array:
    """Return a map that was there before explaining as (h, w), or raise."""
    array = _computed(given)
    name = f"a map of {method!r}"
    check_arrays(array, name)
    array = array[0, ...] if array.ndim == 3 and array.shape[0] == 1 else array
    if array.ndim != 2:
        raise InvalidInputError(
            f"{name} has shape {tuple(array.shape)}; it takes (h, w), without a channel axis"
        )
    return array


def explain_images(
    explain: Explain, images: Sequence[Rgb], targets: Sequence[Any] | None = None
) -> list[dict[Any, Array]]:
    """Explain images of any shapes, those of one shape at once; by image, label -> (h, w) map."""
    found: list[dict[Any, Array]] = [{} for _ in images]
    for members in _by_shape(images):
        batch = np.stack([images[i] for i in members])
        chosen = () if targets is None else ([targets[i] for i in members],)
        given = explain(batch, *chosen)
        labeled = given if isinstance(given, Mapping) else {None: given}
        for given_label, cams in labeled.items():
            label = plain_label(given_label)
            if label in found[members[0]]:
                raise InvalidInputError(f"explain gave two sets of maps of the class {label!r}")
            for i, one in zip(members, _as_cams(cams, len(members)), strict=True):
                found[i][label] = one
    return found


def _restored(
    perturbation: Perturbation, one: Array, grid: CamGrid | None, cells: tuple[int, int]
) -> View:
    if grid is not None:
        return View(*restore_registered(perturbation, one, grid, cells=cells))
    view = View(perturbation.restore(one), np.asarray(perturbation.valid(_grid(one)), bool))
    if view.valid.shape != tuple(view.cam.shape):
        raise InvalidInputError(
            f"perturbation {perturbation.name!r} restores a map of shape {tuple(view.cam.shape)}, "
            f"but its valid region has {view.valid.shape}; they must be equal"
        )
    return view


def _by_shape(images: Iterable[Rgb]) -> list[list[int]]:
    members: dict[tuple[int, ...], list[int]] = {}
    for i, image in enumerate(images):
        members.setdefault(image.shape, []).append(i)
    return list(members.values())


def _as_cams(given: Any, count: int) -> list[Array]:
    """Split what an explainer gave into `count` maps (h, w)."""
    name = "what explain returned"
    given = listed(given)
    if is_array_list(given):
        cams = [_computed(one) for one in given]
    else:
        array = _computed(given)
        check_arrays(array, name)
        array = squeeze_channel(array, name)
        if array.ndim != 3:
            raise InvalidInputError(
                f"{name} has shape {tuple(array.shape)} for {count} images; it takes (n, h, w), "
                f"(n, 1, h, w) or a list of (h, w)"
            )
        cams = [array[i, ...] for i in range(array.shape[0])]
    if len(cams) != count:
        raise InvalidInputError(f"{name} has {len(cams)} maps for {count} images")
    for i, one in enumerate(cams):
        check_arrays(one, f"{name}, map {i},")
        if one.ndim != 2:
            raise InvalidInputError(
                f"{name}, map {i}, has shape {tuple(one.shape)}; in a list each map is (h, w)"
            )
    return cams


def _computed(given: Any) -> Array:
    array = as_array(given.data if is_dataarray(given) else given)
    return to_numpy(array) if is_dask_array(array) else array


def _grid(one: Array) -> tuple[int, int]:
    return int(one.shape[0]), int(one.shape[1])
