"""Images, masks and CAMs of a study, kept on disk for the page and for people."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from membrane_xai._backend.arrays import to_numpy
from membrane_xai._backend.cam_grid import CamGrid
from membrane_xai._disk.atomic import atomic_path
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._explainers import View
from membrane_xai.explanation_consistency._shelf import Shelf, pack, unpack
from membrane_xai.perturb._perturbation import Rgb
from membrane_xai.results import write_arrays
from membrane_xai.study._entries import Loaded

__all__ = [
    "KeptView",
    "PerturbedMaps",
    "Views",
    "has_view",
    "read_kept_cam",
    "read_view",
    "remove_views",
]

_FOLDER = "views"
_PERTURBED = "perturbed"
"""Suffix, in the folder of an image, of the file with its maps under all perturbations."""
_IMAGE = "image.npz"


@dataclass(frozen=True, slots=True, eq=False)
class KeptView:
    """An image of a study with its mask and maps.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        The image.
    mask : ndarray of bool or fractions, shape (H, W)
        What its maps were held against.
    region : ndarray of bool, shape (H, W), or None
        Where pixels counted.
    maps : dict of str to dict
        By method, then by class as in the rows: maps (h, w) as the explainer gave them.
    grids : dict of str to CamGrid or None
        By method, where the cells of its maps lie; None for half-pixel centres.
    """

    rgb: Rgb
    mask: NDArray[Any]
    region: NDArray[np.bool_] | None
    maps: dict[str, dict[Any, NDArray[Any]]]
    grids: dict[str, CamGrid | None] = field(default_factory=dict)


class Views:
    """A folder for each image, with a file for the image and one for each method.

    Without `out` nothing is kept.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out

    def add_image(self, image: Loaded) -> None:
        """Keep image, mask and region."""
        if self._out is not None:
            arrays = {"rgb": image.rgb, "mask": image.mask}
            if image.region is not None:
                arrays["region"] = image.region
            write_arrays(_folder(self._out, image.entry.key) / _IMAGE, arrays, compressed=True)

    def add_cams(
        self,
        key: str,
        method: str,
        views: Mapping[Any, list[View]],
        target: Any,
        grid: CamGrid | None,
    ) -> None:
        """Keep the maps of the image as it is; `target` names the one that has no label."""
        if self._out is not None:
            classes = [target if c is None else c for c in views]
            text = "" if grid is None else grid.to_text()
            about = {"method": method, "classes": classes, "cam_grid": text}
            arrays = {f"map {i}": to_numpy(shown[0].cam) for i, shown in enumerate(views.values())}
            said = np.array(json.dumps(about, default=str))
            path = _folder(self._out, key) / f"{_file_name(method)}.npz"
            write_arrays(path, {"about": said, **arrays}, compressed=True)


class PerturbedMaps:
    """Maps of images in all views, which wait for those of other images.

    In the folder of the study, below that of each image; without a folder on a shelf.
    """

    def __init__(self, out: Path | None) -> None:
        self._out = out
        self._shelf = Shelf()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._shelf.__exit__(*error)

    def add(self, key: str, method: str, label: Any, views: list[View]) -> None:
        """Keep the maps of an image."""
        if self._out is None:
            self._shelf.add((key, method, label), views)
        else:
            path = self._path(key, method, label)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **pack(views))

    def has(self, row: Mapping[str, Any]) -> bool:
        """Tell whether there are maps of a row."""
        place = row["key"], row["method"], row["class"]
        return place in self._shelf if self._out is None else self._path(*place).is_file()

    def read(self, row: Mapping[str, Any]) -> list[View]:
        """Return the maps of a row, that of the image as it is first."""
        place = row["key"], row["method"], row["class"]
        if self._out is None:
            return self._shelf.read(place)
        with np.load(self._path(*place), allow_pickle=False) as kept:
            return unpack(kept)

    def _path(self, key: str, method: str, label: Any) -> Path:
        name = _file_name(json.dumps([method, label], default=str))
        return _folder(self._out or Path(), key) / f"{name}.{_PERTURBED}"


def remove_views(out: Path, keys: Iterable[str]) -> None:
    """Remove what was kept of some images."""
    for key in filter(str.isalnum, keys):
        shutil.rmtree(_folder(out, key), ignore_errors=True)


def read_view(out: str | Path, key: str) -> KeptView:
    """Read what ``evaluate(..., out=out, views=True)`` kept of an image.

    Parameters
    ----------
    out : path
        The folder of the study.
    key : str
        Of the image, as in the rows.

    Returns
    -------
    KeptView

    Raises
    ------
    InvalidInputError
        Nothing was kept of such an image.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.study import evaluate, read_view
    >>> out, image = getfixture("tmp_path") / "study", np.full((8, 8, 3), 90, np.uint8)
    >>> methods = {"darkness": lambda rgb: 240.0 - rgb[:, ::4, ::4].mean(axis=-1)}
    >>> mask = np.eye(8, dtype=bool)
    >>> rows = evaluate(methods, [image], [mask], out=out, views=True).rows
    >>> view = read_view(out, rows[0]["key"])
    >>> view.rgb.shape, view.mask.shape, view.maps["darkness"][None].shape
    ((8, 8, 3), (8, 8), (2, 2))
    >>> read_view(out, "0123")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: key is '0123'; nothing was kept of such an image
    """
    folder = _folder(Path(out), key)
    if not key.isalnum() or not (folder / _IMAGE).is_file():
        raise InvalidInputError(f"key is {key!r}; nothing was kept of such an image")
    with np.load(folder / _IMAGE, allow_pickle=False) as image:
        rgb, mask, region = image["rgb"], image["mask"], image.get("region")
    found: dict[str, dict[Any, NDArray[Any]]] = {}
    grids: dict[str, CamGrid | None] = {}
    for path in sorted(folder.glob("*.npz")):
        if path.name != _IMAGE:
            with np.load(path, allow_pickle=False) as kept:
                about = json.loads(str(kept["about"]))
                classes = about["classes"]
                found[about["method"]] = {c: kept[f"map {i}"] for i, c in enumerate(classes)}
                text = about["cam_grid"]
                grids[about["method"]] = CamGrid.from_text(text) if text else None
    return KeptView(rgb, mask, region, found, grids)


def read_kept_cam(out: Path, key: str, method: str, label: Any) -> NDArray[Any]:
    """Return one map that was kept of an image, and read no other."""
    path = _folder(out, key) / f"{_file_name(method)}.npz"
    if not path.is_file():
        raise InvalidInputError(f"key is {key!r}; no map by {method!r} was kept of such an image")
    with np.load(path, allow_pickle=False) as kept:
        found: NDArray[Any] = kept[f"map {json.loads(str(kept['about']))['classes'].index(label)}"]
    return found


def has_view(out: Path, key: str) -> bool:
    """Tell whether the files of an image are there and whole, without reading what is in them."""
    paths = sorted(_folder(out, key).glob("*.npz"))
    return any(path.name == _IMAGE for path in paths) and all(map(zipfile.is_zipfile, paths))


def _folder(out: Path, key: str) -> Path:
    return out / _FOLDER / key


def _file_name(method: str) -> str:
    """Return a name for a file that no method can lead astray, and no two methods share."""
    plain = "".join(c if c.isalnum() and c.isascii() else "-" for c in method)[:40]
    return f"{plain}-{hashlib.sha256(method.encode()).hexdigest()[:8]}"
