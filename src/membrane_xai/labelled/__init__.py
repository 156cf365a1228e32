"""The metrics on xarray, lazily on dask, and over Zarr stores larger than memory.

Every function of ``membrane_xai`` that takes maps takes ``xarray.DataArray`` and keeps dims and
coordinates; on dask it computes nothing until it is asked to. Here are all scores of a Dataset at
once, and studies of a store, in parts, on this machine or on the workers of a dask client.
"""

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from membrane_xai import __version__
from membrane_xai._backend.cam_grid import cell_columns, check_cam_grid
from membrane_xai._backend.checks import check_choice, check_mpp
from membrane_xai._backend.vocabulary import SCORES, STATUSES
from membrane_xai._disk.progress import progress as progress_bar
from membrane_xai.accumulate._columns import columns_of_sums
from membrane_xai.accumulate._ec import SIMILARITIES
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.labelled._layout import Layout, Part, parts_of, read_layout
from membrane_xai.labelled._part import Measures, Sums, bad_samples, score_part, sums_of
from membrane_xai.labelled._results import PartFiles
from membrane_xai.labelled._run import run_parts
from membrane_xai.metrics import (
    AlignmentResult,
    CamGrid,
    alignment,
    pixel_auc,
    pointing_game,
    rank_accuracy,
)
from membrane_xai.metrics._mass import check_negative
from membrane_xai.results import check_settings

__all__ = ["StoreResult", "evaluate_store", "score_dataset"]

_RANKED = {
    "rank_accuracy": rank_accuracy,
    "pointing_game": pointing_game,
    "pixel_auc": pixel_auc,
}
_ABOUT = ("grid", "cam_grid", "negative")
"""Of a result, what is said of all samples together."""


def score_dataset(
    data: Any,
    *,
    cam: str = "cam",
    mask: str = "mask",
    region: str | None = None,
    grid: CamGrid | None = None,
    negative: str = "clip",
    ranked: bool = False,
) -> Any:
    """Score the CAMs of a Dataset: MAP with all that goes with it, one variable a score.

    Parameters
    ----------
    data : xarray.Dataset
        With variables of dims (..., row, column): CAMs, masks and perhaps regions. Rows and columns
        of CAMs and masks may differ in name and number; other dims are matched by name.
    cam, mask, region : str
        Names of the variables.
    grid : CamGrid, optional
        Where the cells of the CAMs lie; by default what the attribute ``cam_grid`` of their
        variable says, a text as :meth:`membrane_xai.CamGrid.from_text` reads, else half-pixel
        centres.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.
    ranked : bool
        Whether to add `rank_accuracy`, `pointing_game` and `pixel_auc`, which sort all pixels.

    Returns
    -------
    xarray.Dataset
        Variables `map`, `chance`, `enrichment`, `skill`, `ideal`, `toward_ideal`, `ceiling`,
        `relative`, `coverage`, `status`, `cam_min`, `cam_max`, over the batch dims with their
        coordinates; on dask if the variables were. Higher is better for all but `chance`, `ideal`
        and `ceiling`; NaN where `status` is not "ok". Attributes: `grid`, rows and columns of the
        CAMs; `cam_grid`, the text of where they lie, empty for half-pixel centres; `negative`.

    Raises
    ------
    InvalidInputError
        No such variable; as in :func:`membrane_xai.alignment`, for dask arrays when computed.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from membrane_xai.labelled import score_dataset
    >>> cams = np.array([[[3.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    >>> masks = np.array([[[True, False], [True, False]]] * 2)
    >>> dims = ("patch", "row", "column")
    >>> data = xr.Dataset({"cam": (dims, cams), "mask": (dims, masks)}, {"patch": ["a", "b"]})
    >>> scores = score_dataset(data)
    >>> scores["map"].sel(patch="a").item(), scores["status"].sel(patch="b").item()
    (0.75, 'no_activation')
    >>> score_dataset(data.chunk(patch=1))["map"].chunks
    ((1, 1),)
    """
    maps = [_variable(data, name) for name in (cam, mask)]
    where = None if region is None else _variable(data, region)
    text = _text_of(grid, getattr(maps[0], "attrs", {}).get("cam_grid"))
    placed = CamGrid.from_text(text) if text else None
    result = alignment(*maps, region=where, grid=placed, negative=negative)
    every = {field.name: getattr(result, field.name) for field in fields(AlignmentResult)}
    found = {name: x for name, x in every.items() if x is not None and name not in _ABOUT}
    if ranked:
        options = {} if where is None else {"region": where}
        found |= {name: metric(*maps, grid=placed, **options) for name, metric in _RANKED.items()}
    return _dataset(found, {"grid": list(result.grid), "cam_grid": text, "negative": negative})


def _text_of(grid: Any, attribute: Any) -> str:
    """Return the text of a grid: as given, else what a store or Dataset says; "" is half-pixel."""
    if grid is not None:
        placed = check_cam_grid(grid)
        return "" if placed is None else placed.to_text()
    if not attribute:
        return ""
    try:
        return CamGrid.from_text(attribute).to_text()
    except InvalidInputError as error:
        raise InvalidInputError(f"the attribute cam_grid of the CAMs: {error}") from error


def _variable(data: Any, name: str) -> Any:
    if name not in data:
        raise InvalidInputError(f"data has no {name!r}; it has {sorted(map(str, data.variables))}")
    return data[name]


def _dataset(variables: Mapping[str, Any], attrs: Mapping[str, Any]) -> Any:
    try:
        import xarray
    except ImportError as error:
        raise missing(error, "a Dataset of scores", extra="labelled") from error
    return xarray.Dataset(dict(variables), attrs=dict(attrs))


@dataclass(frozen=True, slots=True, eq=False)
class StoreResult:
    """What :func:`membrane_xai.labelled.evaluate_store` found, in a folder of parts.

    Attributes
    ----------
    failed : dict of (int, int) to str
        First sample and the one after the last of every part that could not be read or scored, and
        why.
    non_finite : list of int
        Samples with NaN or infinity in CAM, mask or region: they have no score.
    missing : int
        Samples without a row.
    settings : dict
        What was chosen.
    """

    failed: dict[tuple[int, int], str]
    non_finite: list[int]
    missing: int
    settings: dict[str, Any]
    _parts: list[Part]
    _files: PartFiles
    _measures: Measures
    _cells: dict[str, Any]

    def summary(
        self, *, ci: float = 0.95, draws: int = 10_000, seed: int = 0
    ) -> list[dict[str, Any]]:
        """Average by class, with intervals over groups.

        Parameters
        ----------
        ci : float in (0, 1)
            Nominal coverage of the intervals.
        draws, seed : int
            Of a bootstrap; the intervals are by the jackknife, which draws nothing.

        Returns
        -------
        list of dict
            One row for all samples, class "all", then one for each class. Counts, means, ends of
            intervals and notes are named as in :meth:`membrane_xai.StudyResult.summary`; `rows` are
            samples. Without groups all intervals are withheld, with the note "few_groups". Also
            `grid`, `cam_grid` and `cell_um` as there, `ec_class`, the mean similarity over all
            `pairs` of CAMs of the class, and `ec_between`, over all `pairs_between` of these CAMs
            with those of other classes.
        """
        sums = self._sums()
        every = self._measures.accumulators().map_of(None)
        for accumulator in sums.maps.values():
            every.merge(accumulator)
        options = {"ci": ci, "draws": draws, "seed": seed}
        whole = sums.ec.compute()
        rows = [self._row("all", every, (whole.ec, whole.n_pairs), (math.nan, 0), options)]
        if None not in sums.maps:
            by_class, between = sums.ec.compute_groups(), sums.ec.compute_between()
            labels = list(by_class.groups or ())
            for label in sorted(sums.maps, key=str):
                place = labels.index(label)
                one, rest = (
                    (found.ec[place], found.n_pairs[place]) for found in (by_class, between)
                )
                rows.append(self._row(label, sums.maps[label], one, rest, options))
        return rows

    def scores(self) -> Any:
        """Return the scores of all samples.

        Returns
        -------
        xarray.Dataset
            The scores of :func:`membrane_xai.labelled.score_dataset` over the dim "sample", with
            the coordinates `sample`, and `id`, `group` and `class` if the store has them. Samples
            of parts that failed are left out.
        """
        columns: dict[str, list[Any]] = {}
        for part, arrays in self._files.results(self._parts):
            columns.setdefault("sample", []).append(np.arange(part.start, part.stop))
            for name in (*SCORES, "status", *_COORDINATES):
                if name in arrays:
                    columns.setdefault(name, []).append(arrays[name])
        whole = {name: np.concatenate(blocks) for name, blocks in columns.items()}
        if not whole:
            raise InvalidInputError("no part of the store could be scored; see `failed`")
        whole["status"] = np.array(STATUSES)[whole["status"]]
        coordinates = {
            public: ("sample", whole[name])
            for name, public in _COORDINATES.items()
            if name in whole
        }
        names = (*SCORES, "status")
        found = _dataset({name: ("sample", whole[name]) for name in names}, {})
        return found.assign_coords(sample=whole["sample"], **coordinates)

    def _row(
        self,
        label: Any,
        accumulator: Any,
        among: tuple[float, int],
        between: tuple[float, int],
        options: Mapping[str, Any],
    ) -> dict[str, Any]:
        means = columns_of_sums(accumulator, **options)
        return {
            "class": label,
            **means,
            **self._cells,
            "ec_class": float(among[0]),
            "ec_between": float(between[0]),
            "pairs": int(among[1]),
            "pairs_between": int(between[1]),
        }

    def _sums(self) -> Sums:
        sums = self._measures.accumulators()
        for _, arrays in self._files.results(self._parts):
            sums.merge(sums_of(arrays, self._measures))
        return sums


_COORDINATES = {"identity": "id", "group": "group", "label": "class"}


def evaluate_store(
    store: str | Path,
    *,
    out: str | Path,
    client: Any = None,
    cam: str = "cam",
    mask: str = "mask",
    region: str | None = None,
    groups: str | None = None,
    classes: str | None = None,
    grid: CamGrid | None = None,
    mpp: float | None = None,
    negative: str = "clip",
    similarity: str = "pearson",
    chunk: int | None = None,
    progress: bool = False,
) -> StoreResult:
    """Score all CAMs of a Zarr store in parts: MAP of each, EC of each class.

    A part is in memory once for each worker, so that stores may be larger than that. Results are
    kept part by part: a call that was stopped, or whose workers died, goes on where it was, and
    parts that could not be read, or have NaN in them, are tried again.

    Parameters
    ----------
    store : path or URL
        Zarr, version 2 or 3, as xarray writes it: ``cam`` of dims (sample, row, column); ``mask``
        likewise on any grid, or (row, column) for all samples; perhaps ``region``, and ``group``,
        ``class`` and ``id`` of dims (sample,).
    out : path
        Folder for the parts; of one store and one choice of options.
    client : dask.distributed.Client, optional
        Whose workers score the parts; they must be able to read `store`. By default this process
        does.
    cam, mask, region, groups, classes : str
        Names in the store. `region`, `groups` and `classes` are "region", "group" and "class" if
        the store has these.
    grid : CamGrid, optional
        Where the cells of the CAMs lie; by default what the attribute ``cam_grid`` of their
        variable says, as in :func:`score_dataset`.
    mpp : float, optional
        Micrometres per pixel of the masks, for the size of a cell; by default what the attribute
        ``mpp`` of their variable says.
    negative : {"clip", "abs", "raise"}
        As in :func:`membrane_xai.map_score`.
    similarity : {"pearson", "spearman", "cosine"}
        Of EC.
    chunk : int, optional
        Samples in a part; by default a chunk of the CAMs as they are stored, which is read once.
    progress : bool
        Whether to show on stderr how far it has come, by :func:`membrane_xai.cli.progress`.

    Returns
    -------
    StoreResult
        Means with intervals, the scores of all samples, and what went wrong.

    Raises
    ------
    InvalidInputError
        A store without what is named, or with a codec that is not among the plain ones; a folder of
        other settings, unknown options.
    MissingDependencyError
        zarr is not installed.

    Notes
    -----
    The folder knows its store by path, names and sizes, not by its content: score a store that has
    changed into another folder.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from membrane_xai.labelled import evaluate_store
    >>> rng = np.random.default_rng(0)
    >>> masks = ("sample", "mask_row", "mask_column")
    >>> data = xr.Dataset(
    ...     {
    ...         "cam": (("sample", "row", "column"), rng.random((6, 4, 4))),
    ...         "mask": (masks, rng.random((6, 8, 8)) < 0.3),
    ...     },
    ...     {"group": ("sample", list("aabbcc")), "class": ("sample", list("012012"))},
    ... )
    >>> data["cam"][5, 0, 0] = np.nan
    >>> folder = getfixture("tmp_path")
    >>> _ = data.to_zarr(folder / "cams.zarr", zarr_format=2)
    >>> result = evaluate_store(folder / "cams.zarr", out=folder / "scored", chunk=2)
    >>> result.non_finite, result.failed
    ([5], {})
    >>> for row in result.summary():
    ...     print(row["class"], row["rows"], row["scored"], round(row["map"], 3), row["pairs"])
    all 6 5 0.257 10
    0 2 2 0.27 1
    1 2 2 0.289 1
    2 2 1 0.17 0
    """
    check_negative(negative)
    check_choice(similarity, "similarity", SIMILARITIES)
    layout = read_layout(store, cam=cam, mask=mask, region=region, groups=groups, classes=classes)
    text = _text_of(grid, layout.cam_grid)
    parts, measures = parts_of(layout, chunk), Measures(negative, similarity, text)
    size = layout.mpp if mpp is None else mpp
    cells = cell_columns(
        layout.grid,
        CamGrid.from_text(text) if text else None,
        layout.mask,
        None if size is None else check_mpp(size),
    )
    folder = Path(out)
    settings = _settings(layout, parts, measures)
    check_settings(folder, settings, what="parts")
    files = PartFiles(folder)
    failed = _score_missing(layout, parts, measures, files, client, shown=progress)
    bad, missing = _undone(parts, files)
    return StoreResult(failed, bad, missing, settings, parts, files, measures, cells)


def _settings(layout: Layout, parts: list[Part], measures: Measures) -> dict[str, Any]:
    return {
        "membrane-xai": __version__,
        **layout.source._asdict(),
        "samples": layout.samples,
        "grid": list(layout.grid),
        "mask_grid": list(layout.mask),
        "chunk": parts[0].stop if parts else 0,
        **measures._asdict(),
    }


def _score_missing(
    layout: Layout,
    parts: list[Part],
    measures: Measures,
    files: PartFiles,
    client: Any,
    *,
    shown: bool,
) -> dict[tuple[int, int], str]:
    """Score the parts that are not done, keeping each as it comes; return those that fail."""
    missing = [part for part in parts if not files.is_done(part)]
    done = layout.samples - sum(part.stop - part.start for part in missing)
    score = partial(score_part, layout.source, measures=measures)
    failed: dict[tuple[int, int], str] = {}
    outcomes = run_parts(score, missing, client)
    with closing(outcomes), progress_bar(layout.samples, shown=shown) as show:
        for part, arrays, error in outcomes:
            if arrays is None:
                failed[part.start, part.stop] = error
            else:
                files.write(part, arrays)
            done += part.stop - part.start
            show(done, "scoring")
    return dict(sorted(failed.items()))


def _undone(parts: list[Part], files: PartFiles) -> tuple[list[int], int]:
    """Return samples with NaN or infinity, and how many samples have no row."""
    bad: list[int] = []
    there = 0
    for part, arrays in files.results(parts):
        bad += (part.start + bad_samples(arrays)).tolist()
        there += part.stop - part.start
    return bad, sum(part.stop - part.start for part in parts) - there
