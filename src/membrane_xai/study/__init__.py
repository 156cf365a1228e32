"""Explainers, images and masks in, one table out: MAP and EC of every image by every method."""

from collections import Counter
from collections.abc import Iterable, Mapping, MappingView, Sequence, Set
from contextlib import closing
from pathlib import Path
from typing import Any

from membrane_xai._backend.arrays import column_values
from membrane_xai._backend.checks import check_choice
from membrane_xai._backend.vocabulary import CONTROLS, NULLS
from membrane_xai.errors import InvalidInputError
from membrane_xai.perturb._perturbation import Perturbation
from membrane_xai.study._columns import read_columns
from membrane_xai.study._consistency import consistency_of
from membrane_xai.study._entries import entries
from membrane_xai.study._finished import Rows, read_finished
from membrane_xai.study._outline_files import options_of_files
from membrane_xai.study._outlines import MASK_WORDS, REGION_WORDS, file_of
from membrane_xai.study._result import StudyResult
from membrane_xai.study._rows import CHANCE_TEST, COLUMNS, CONTROL_COLUMNS
from membrane_xai.study._run import Options, check_explainers, is_iterable, run
from membrane_xai.study._summary import parts_by
from membrane_xai.study._views import KeptView, read_view
from membrane_xai.study._zero import with_kept_skill

__all__ = [
    "KeptView",
    "StudyResult",
    "class_consistency",
    "evaluate",
    "read_study",
    "read_view",
]


def evaluate(
    explainers: Mapping[str, Any],
    images: Any,
    masks: Any,
    *,
    groups: Sequence[Any] | None = None,
    ids: Sequence[Any] | None = None,
    labels: Mapping[str, Iterable[Any]] | None = None,
    targets: Sequence[Any] | None = None,
    perturbations: Sequence[Perturbation] = (),
    similarity: str = "pearson",
    k: float = 0.1,
    regions: Any = None,
    mask_classes: str | Sequence[str] = (),
    region_classes: str | Sequence[str] = (),
    controls: Sequence[str] = (),
    grid: Any = None,
    negative: str = "clip",
    mpp: float | None = None,
    bits: int | None = None,
    batch_size: int = 8,
    progress: bool = False,
    out: str | Path | None = None,
    views: bool = False,
    about: Mapping[str, Any] | None = None,
    chance_test: bool | str = False,
    draws: int = 10_000,
    seed: int = 0,
) -> StudyResult:
    """Score explainers on a set of images: MAP against masks, EC under perturbations.

    Parameters
    ----------
    explainers : mapping of str to callable, or to N maps
        By name of the method: images of one shape, (n, H, W, 3) uint8, to n maps, (n, h, w),
        (n, 1, h, w) or a list of (h, w), of any array library; or to a mapping from class to such
        maps. With `targets` it is called as ``explain(rgb, targets)``. Instead of a callable, maps
        that there are already: an array or iterable of N (h, w) arrays, or paths that
        :func:`membrane_xai.io.read_cam` reads; None for an image that has none by this
        method, which then gets no row.
    images : array (N, H, W, 3), or iterable of (H, W, 3) uint8 arrays or of paths
        Read as they are needed.
    masks : "extract", or iterable of N
        (H, W) arrays of bool or fractions in [0, 1], :class:`MembraneMask`, or paths: of outlines
        that :func:`read_annotations` reads, or of masks that :func:`membrane_xai.io.read_mask`
        reads. "extract" finds each by :func:`extract_membrane_mask`, whose flags go into the table;
        any other str is a path. Of a CSV of several images the rows of the one are drawn, by the
        name of its file, or else by `ids`.
    groups, ids : sequence of N, optional
        Labels for the table, such as slide and name. `ids` are paths or positions by default.
    labels : mapping of str to iterable of N, optional
        More columns of the table, such as the HER2 score or the magnification. Micrometres per
        pixel at the network's input go by the name ``input_um_per_pixel``: the page says them.
    targets : sequence of N, optional
        What is explained in each image, such as a class.
    perturbations : sequence of Perturbation
        For EC, of different names; without any there is none. Maps that there are already have no
        perturbed views.
    similarity, k
        As in :func:`perturbation_consistency`.
    regions : "tissue", "tumour", or iterable of N, optional
        Where pixels count for MAP: bool arrays (H, W), or paths as for `masks`. "tissue" is that of
        a :class:`MembraneMask`, "tumour" the nests of stained cells,
        :func:`membrane_xai.baselines.tumour_region`; both take `mpp`. Bring outlines or arrays for
        tumour that is not stained.
    mask_classes, region_classes : str or sequence of str, optional
        Classes of outlines that are membrane, and that are the region; of pictures of labels, their
        numbers. By default membrane is what is called so, else the one class that is no region
        (Tissue, ROI, Background, and with QuPath Region*, Ignore*, and cores of a TMA); the region
        is what is called tissue or region, else the only class that is not membrane. Several
        other classes are refused.
    controls : sequence of str
        Control masks of :func:`membrane_xai.baselines.control_masks` that each map is held against,
        such as "inside"; they take `mpp`.
    grid : CamGrid, or mapping of str to CamGrid or None, optional
        Where the cells of the maps lie, of all methods or by method, see
        :class:`membrane_xai.CamGrid`; None is half-pixel centres. What is not given is asked of the
        explainer: a CamGrid that it has as its attribute ``grid``.
    negative : str
        As in :func:`map_score`.
    mpp : float, optional
        Micrometres per pixel for "extract", "tissue", "tumour" and `controls`, and for the size of
        a cell; by default the files say.
    bits : int, optional
        As in :func:`membrane_xai.io.read_image`, for images that are paths.
    batch_size : int
        Images that are explained in one call, and after which rows are kept in `out`.
    progress : bool
        Whether to show on stderr how far it has come, by :func:`membrane_xai.cli.progress`.
    out : path, optional
        A folder that keeps the rows batch by batch: called again after it was stopped, with the
        same settings, `evaluate` goes on where it was. :func:`membrane_xai.study.read_study` reads
        it.
    views : bool
        Whether to keep in `out`, too, what the scores were made from: images, masks and maps, each
        map as its explainer gave it. :func:`membrane_xai.study.read_view` reads them.
    about : mapping, optional
        What else the scores depend on, such as a hash of the network's weights, in values that JSON
        has; kept in the settings, so that rows of other weights are not mixed.
    chance_test : bool or {"permutation", "shift"}
        Whether to test sets of maps against chance. True and "permutation" lay the maps of each
        patient on the masks of others, :func:`membrane_xai.statistics.permutation_null`, which
        rules out a favourite place; the p-value is a column of the summary. "shift" compares each
        map with its own moves, :func:`membrane_xai.shift_null`: more than the same map elsewhere
        in the region, no more. Of maps of up to 64 x 64 pixels. Off by default: a p-value is for
        those who ask.
    draws, seed : int
        Of a bootstrap; the intervals of :meth:`membrane_xai.StudyResult.summary` and of the page
        are by the jackknife, which draws nothing. A folder keeps them, but may be gone on with by
        others.

    Returns
    -------
    StudyResult
        Rows with the keys ``id, group, method, class``, those of `labels`; ``map, chance, ideal,
        toward_ideal, ceiling, relative, enrichment, skill, coverage, status`` of
        :class:`AlignmentResult`; ``ec_skill``, ``ec`` and ``ec0``, and the same ending in
        ``_geometric`` and ``_photometric``, with ``ec_status``, as in
        :class:`membrane_xai.explanation_consistency.EcSkill`; for every perturbation,
        ``ec_<name>``, with underscores for other signs than letters and digits; ``mask_share``, in
        [0, 1]; ``grid``, such as "7x7", ``cam_grid``, the text of a :class:`CamGrid`, empty for
        half-pixel centres, and ``cell_um``, the side of a cell in micrometres, NaN where the pixel
        size is not known; ``flags``, among them "outlines_outside" where outlines lie outside their
        image, wholly or in part, "objects_left_out" where some cover nothing,
        "exif_orientation" as of :class:`membrane_xai.io.Image`, and "coordinates_unclear"
        where those of a tile, named as QuPath names it, may be the slide's or
        its own; ``error``; ``key``, a hash that tells the image with its mask and labels from
        others. With `controls` also ``specificity_<name>`` of each, NaN unless
        ``told_<name>`` is "ok": `specificity` and `specificity_status` of
        :class:`AlignmentResult`. With ``chance_test="shift"`` also ``p_value``, ``p_mid`` and ``z``
        of :class:`membrane_xai.statistics.NullResult`. Undefined numbers are NaN.

    Raises
    ------
    InvalidInputError
        Options that do not fit, arguments of unequal length, a folder of other settings.

    Notes
    -----
    An image that cannot be read or explained gives a row of status "error" for each method, and the
    rest goes on; the message is in ``error``. If an explainer fails on a batch, its images are
    tried one by one.

    In `out` images are known by their pixels (files by their bytes), mask, region, labels and
    target, and methods by their name alone: give a changed model another name. Rows of status
    "error" are tried again. A method whose maps have another `grid` now is refused.

    EC0, the zero of EC, is among the images of one method and class, of different groups where
    these are known. It is measured once all images are explained; until then `ec_status` is
    "unknown". The maps of all views wait for it in `out`, below ``views``, or in a temporary file.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import evaluate
    >>> from membrane_xai.perturb import horizontal_flip
    >>> image = np.full((8, 8, 3), 240, np.uint8)
    >>> image[:, 2:4] = 90
    >>> broken = np.zeros((8, 8), np.uint8)
    >>> methods = {"darkness": lambda rgb: 240.0 - rgb.mean(axis=-1)}
    >>> masks = [image[..., 0] < 200] * 2
    >>> result = evaluate(methods, [image, broken], masks, perturbations=[horizontal_flip()])
    >>> for row in result.rows:
    ...     print(row["id"], row["status"], row["map"], round(row["ec"], 6), row["error"][:40])
    0 ok 1.0 1.0
    1 error nan nan InvalidInputError: image has shape (8, 8
    >>> [row] = result.summary()
    >>> row["rows"], row["scored"], row["error"], row["map"], row["map_note"]
    (2, 1, 1, 1.0, 'few_groups')
    """
    images = column_values(images)
    labels = _columns_of(labels)
    check_explainers(explainers, perturbations, cams=True)
    _check_columns({"groups": groups, "targets": targets} | _named(explainers, labels))
    ids = None if ids is None else list(ids)
    _check_inputs(images, masks, regions, ids)
    _check_labels(labels)
    mask_options = options_of_files(
        masks, mask_classes, "mask_classes", images, not_of=region_classes
    )
    region_options = options_of_files(
        regions, region_classes, "region_classes", images, region=True
    )
    options = Options(
        masks=masks if isinstance(masks, str) else "given",
        regions=regions if regions is None or isinstance(regions, str) else "given",
        controls=_checked_controls(controls),
        mpp=mpp,
        bits=bits,
        perturbations=perturbations,
        similarity=similarity,
        k=k,
        grid=grid,
        negative=negative,
        batch_size=batch_size,
        progress=progress,
        out=out,
        views=views,
        about=about,
        chance_test=_checked_null(chance_test),
        draws=draws,
        seed=seed,
    )
    given = entries(
        images,
        masks,
        groups=groups,
        ids=ids,
        targets=targets,
        regions=regions,
        labels=labels,
        cams={name: cams for name, cams in explainers.items() if not callable(cams)},
        mpp=mpp,
        bits=bits,
        controls=options.controls,
        mask_options=mask_options,
        region_options=region_options,
    )
    with closing(given):
        return run(explainers, given, options, len(images) if hasattr(images, "__len__") else None)


def read_study(out: str | Path) -> StudyResult:
    """Read the rows that :func:`membrane_xai.evaluate` has kept in a folder so far.

    Parameters
    ----------
    out : path
        The folder.

    Returns
    -------
    StudyResult
        In the order in which images were finished, with the columns that
        :meth:`membrane_xai.StudyResult.with_columns` kept.

    Raises
    ------
    InvalidInputError
        There is no study.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.study import evaluate, read_study
    >>> out, image = getfixture("tmp_path") / "study", np.full((8, 8, 3), 90, np.uint8)
    >>> methods = {"darkness": lambda rgb: 240.0 - rgb.mean(axis=-1)}
    >>> empty = np.zeros((8, 8), bool)
    >>> _ = evaluate(methods, [image, image], [np.eye(8, dtype=bool), empty], out=out)
    >>> [(row["id"], row["map"], row["status"]) for row in read_study(out).rows]
    [(0, 0.125, 'ok'), (1, nan, 'empty_mask')]
    >>> read_study(out / "elsewhere")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: out is '...elsewhere'; no rows have been kept there
    """
    settings, rows, on_grid = read_finished(Path(out))
    rows = with_kept_skill(rows, Path(out))
    permuted = settings.get("chance_test") == "permutation"
    study = StudyResult(rows, settings, on_grid=on_grid if permuted else None)
    columns = read_columns(Path(out))
    return study.with_columns(columns) if columns else study


def class_consistency(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    by: Sequence[str] = ("method", "class"),
    *,
    similarity: str = "pearson",
) -> Rows:
    """Measure EC among the maps of rows that share the values of some columns, and between them.

    Whether explanations of different images of one class look alike depends on where the cells lie,
    and on habits of the explainer that every class shows: EC among a class says something only
    beside that between classes, and both only between methods on the same images.

    Parameters
    ----------
    rows : sequence of dict
        Of the study.
    out : path
        The folder where :func:`membrane_xai.evaluate` kept them with ``views=True``.
    by : sequence of str
        Columns.
    similarity : {"pearson", "spearman", "cosine"}
        As in :func:`membrane_xai.ec_score`.

    Returns
    -------
    list of dict
        For each combination, in order of appearance, and each `grid` of maps: how many `cams`;
        `ec`, `pairs`, `undefined_pairs` and `status` of :func:`membrane_xai.consistency`;
        `ec_between`, the mean similarity of these maps and those of rows that differ in the last
        of the columns alone, of other images, over `pairs_between`. Rows of status "error" are
        left out.

    Raises
    ------
    InvalidInputError
        A column that the table has not, an unknown similarity, or no kept maps.

    Notes
    -----
    Each map is read twice. Of each combination that is not finished a sum of the size of a map is
    in memory.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai.study import class_consistency, evaluate
    >>> out, ramp = getfixture("tmp_path") / "study", np.arange(64.0).reshape(8, 8)
    >>> image, mask = np.full((8, 8, 3), 90, np.uint8), np.eye(8, dtype=bool)
    >>> cams = {"turned": [ramp, ramp.T, ramp]}
    >>> study = evaluate(
    ...     cams, [image] * 3, [mask] * 3, targets=["2+", "3+", "2+"], out=out, views=True
    ... )
    >>> for row in class_consistency(study.rows, out):
    ...     print(row["class"], row["cams"], round(row["ec"], 3), round(row["ec_between"], 3))
    2+ 2 1.0 0.246
    3+ 1 nan 0.246
    """
    parts = parts_by([dict(row) for row in rows], by)
    return consistency_of(parts, Path(out), similarity=similarity)


def _check_inputs(images: Any, masks: Any, regions: Any, ids: Any) -> None:
    if isinstance(images, str | Path) or getattr(images, "ndim", 4) != 4:
        raise InvalidInputError(
            f"images is {images!r}; it takes (N, H, W, 3), or a list of images or of paths"
        )
    _check_one_each(masks, "masks", MASK_WORDS)
    if regions is not None:
        _check_one_each(regions, "regions", REGION_WORDS)
    if ids is not None:
        twice = [label for label, count in Counter(map(str, ids)).items() if count > 1]
        if twice:
            raise InvalidInputError(f"ids has {twice[0]!r} more than once; it takes different ones")


def _check_one_each(value: Any, name: str, words: Sequence[str]) -> None:
    """Raise for a word that is no option, for a lone path, and for what has not one an image."""
    if isinstance(value, str) and value in words:
        return
    is_path = file_of(value) is not None
    if is_path or isinstance(value, Mapping) or not is_iterable(value):
        got = repr(value) if is_path or value is None else f"a {type(value).__name__}"
        raise InvalidInputError(
            f"{name} is {got}; it takes {', '.join(map(repr, words))} or one {name[:-1]} an image: "
            f"a list of arrays, or of paths of outlines or masks"
        )


def _columns_of(labels: Any) -> dict[str, Any]:
    """Return the columns of a mapping, or of a table of pandas or polars, by name."""
    if labels is None:
        return {}
    if not (isinstance(labels, Mapping) or hasattr(labels, "columns")):
        raise InvalidInputError(f"labels is {labels!r}; it takes a mapping from names to columns")
    names = labels if isinstance(labels, Mapping) else labels.columns
    return {name: labels[name] for name in names}


def _named(explainers: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    """Return maps that there are already, and columns, under the names that errors give them."""
    maps = {name: cams for name, cams in explainers.items() if not callable(cams)}
    return {f"explainers[{name!r}]": cams for name, cams in maps.items()} | {
        f"labels[{name!r}]": values for name, values in labels.items()
    }


def _check_columns(columns: Mapping[str, Any]) -> None:
    """Refuse what is no sequence of one value for each image."""
    for name, values in columns.items():
        unordered = isinstance(values, Mapping | Set) and not isinstance(values, MappingView)
        if unordered or isinstance(values, str | bytes):
            raise InvalidInputError(
                f"{name} is {values!r}; it takes a sequence, one value an image"
            )


def _checked_null(chance_test: Any) -> str | None:
    if isinstance(chance_test, bool) or chance_test is None:
        return "permutation" if chance_test else None
    check_choice(chance_test, "chance_test", NULLS)
    return str(chance_test)


def _checked_controls(controls: Any) -> tuple[str, ...]:
    names = (controls,) if isinstance(controls, str) else tuple(controls)
    if not set(names) <= set(CONTROLS) or len(set(names)) < len(names):
        raise InvalidInputError(
            f"controls is {controls!r}; it takes names of {CONTROLS}, each once"
        )
    return names


def _check_labels(labels: Mapping[str, Any]) -> None:
    for name in labels:
        if name in (*COLUMNS, *CHANCE_TEST) or name.startswith(("ec_", "ec0", *CONTROL_COLUMNS)):
            raise InvalidInputError(f"labels has {name!r}, which the table has already")
