"""Explainers, images and masks in, one table out: MAP and EC of every image by every method."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from membrane_xai import __version__
from membrane_xai._backend.arrays import column_values
from membrane_xai._backend.checks import check_mpp
from membrane_xai._disk.progress import progress as progress_bar
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._agreement import Measure
from membrane_xai.explanation_consistency._explainers import batches
from membrane_xai.metrics._mass import check_negative
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.perturb._perturbation import Perturbation
from membrane_xai.statistics._bootstrap import Resampling
from membrane_xai.study._columns import read_columns, with_columns, write_columns
from membrane_xai.study._consistency import consistency_of
from membrane_xai.study._parts import Parts, Rows, read_parts
from membrane_xai.study._rows import (
    CHANCE_TEST,
    COLUMNS,
    Plan,
    ec_name,
    numbers_of,
    rows_of_errors,
    score_batch,
    score_given,
)
from membrane_xai.study._subjects import Entry, Subject, entries
from membrane_xai.study._summary import intervals_of, parts_by, summary_of
from membrane_xai.study._views import KeptView, Views, read_view
from membrane_xai.tables import provenance, write_csv, write_json

__all__ = [
    "KeptView",
    "StudyResult",
    "class_consistency",
    "evaluate",
    "read_study",
    "read_view",
]


@dataclass(frozen=True, slots=True)
class StudyResult:
    """The table of a study.

    Attributes
    ----------
    rows : list of dict
        One for each image, method and class, in plain values; all with the same keys, see
        :func:`evaluate`.
    settings : dict
        What was chosen, with `draws` and `seed` of the bootstrap.
    """

    rows: Rows
    settings: dict[str, Any] = field(repr=False)

    def summary(
        self,
        by: Sequence[str] = ("method",),
        *,
        scores: Sequence[str] | None = None,
        ci: float = 0.95,
        draws: int | None = None,
        seed: int | None = None,
    ) -> Rows:
        """Count and average rows that share the values of some columns, with intervals.

        The commands, their tables and the page of a study all have these numbers.

        Parameters
        ----------
        by : sequence of str
            Columns, such as ``("method", "score")``.
        scores : sequence of str, optional
            Columns of numbers; by default MAP, chance, ceiling, relative MAP, coverage, and EC with
            all of its columns.
        ci : float in (0, 1)
            Nominal coverage of the intervals.
        draws, seed : int, optional
            Of the bootstrap; by default those of the study.

        Returns
        -------
        list of dict
            For each combination, in order of appearance: how many `rows` and `groups` (None unless
            each row has one), how many rows are `scored`, how many not, by status; for each score
            its mean over the rows where it is defined, ``<score>_low`` and ``<score>_high`` of the
            interval by :func:`membrane_xai.summarize`, the number of rows ``<score>_n``, and
            ``<score>_note``: "few_groups" where the interval is withheld, "small_sample" with fewer
            than ten groups, else "". Chance and ceiling run over the rows that have a MAP. After a
            chance test, also `p_value` of all rows together by
            :func:`membrane_xai.statistics.combine_nulls`, and `p_value_n`.

        Raises
        ------
        InvalidInputError
            A column that the table has not, or has no numbers; unknown options.
        """
        chosen = {"draws": draws, "seed": seed}
        options = intervals_of(self.settings)
        options |= {name: value for name, value in chosen.items() if value is not None}
        return summary_of(parts_by(self.rows, by), scores, ci=ci, **options)

    def with_columns(
        self,
        columns: Mapping[str, Mapping[tuple[str, str, Any], float]],
        *,
        out: str | Path | None = None,
    ) -> "StudyResult":
        """Add columns of numbers that were measured by other means.

        Parameters
        ----------
        columns : mapping of str to mapping
            By name, numbers by a row's `key`, `method` and `class`; rows without one get NaN. A
            name that starts with ``ec_`` is shown and averaged as EC along one more axis.
        out : path, optional
            The folder of the study, which then keeps the columns, instead of others that were added
            before: :func:`membrane_xai.study.read_study` and the page have them.

        Returns
        -------
        StudyResult
            With these columns, those before ``mask_share`` staying as they are.

        Raises
        ------
        InvalidInputError
            A name that the table has already.

        Examples
        --------
        >>> from membrane_xai.study import StudyResult
        >>> row = {"key": "9a", "method": "brown", "class": None, "map": 0.5, "mask_share": 0.1}
        >>> study = StudyResult([row, {**row, "key": "b7"}], {})
        >>> more = study.with_columns({"ec_magnification": {("9a", "brown", None): 0.75}})
        >>> [one["ec_magnification"] for one in more.rows]
        [0.75, nan]
        """
        rows = with_columns(self.rows, columns)
        if out is not None:
            write_columns(Path(out), columns)
        added = [*self.settings.get("added", ()), *columns]
        return replace(self, rows=rows, settings=self.settings | {"added": added})

    def to_csv(self, path: str | Path) -> Path:
        """Write the rows as CSV, as :func:`membrane_xai.tables.write_csv` does.

        Parameters
        ----------
        path : path
            Where to; its folder is made, and a file there is replaced whole or not at all.

        Returns
        -------
        Path
            `path`.
        """
        return write_csv(path, self.rows)

    def to_json(self, path: str | Path) -> Path:
        """Write rows, settings and versions, as :func:`membrane_xai.tables.write_json` does.

        Parameters
        ----------
        path : path
            As in :meth:`to_csv`.

        Returns
        -------
        Path
            `path`.
        """
        return write_json(path, self.rows, provenance(self.settings))


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
    negative: str = "clip",
    mpp: float | None = None,
    batch_size: int = 8,
    progress: bool = False,
    out: str | Path | None = None,
    views: bool = False,
    about: Mapping[str, Any] | None = None,
    chance_test: bool = False,
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
        (H, W) arrays of bool or fractions in [0, 1], :class:`MembraneMask`, or ``pathlib.Path`` of
        outlines that :func:`read_annotations` reads. "extract" finds each by
        :func:`extract_membrane_mask`, whose flags go into the table.
    groups, ids : sequence of N, optional
        Labels for the table, such as slide and name. `ids` are paths or positions by default.
    labels : mapping of str to iterable of N, optional
        More columns of the table, such as the HER2 score or the magnification.
    targets : sequence of N, optional
        What is explained in each image, such as a class.
    perturbations : sequence of Perturbation
        For EC, of different names; without any there is none. Maps that there are already have no
        perturbed views.
    similarity, k
        As in :func:`perturbation_consistency`.
    regions : "tissue", or iterable of N bool arrays (H, W), optional
        Where pixels count for MAP; "tissue" is that of a :class:`MembraneMask`.
    negative : str
        As in :func:`map_score`.
    mpp : float, optional
        Micrometres per pixel for "extract"; by default the files say.
    batch_size : int
        Images that are explained in one call, and after which rows are kept in `out`.
    progress : bool
        Whether to show a bar on stderr while it is a terminal.
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
    chance_test : bool
        Whether to compare each map with its moves by :func:`membrane_xai.shift_null`. Off by
        default: a p-value is for those who ask, and takes about as long as the scores.
    draws, seed : int
        Of the bootstrap behind the intervals of :meth:`membrane_xai.StudyResult.summary` and of the
        page. A folder keeps them, but may be gone on with by others: no row depends on them.

    Returns
    -------
    StudyResult
        Rows with the keys ``id, group, method, class``, those of `labels`; ``map, chance, ceiling,
        relative, enrichment, skill, coverage, status`` of :class:`AlignmentResult`; ``ec`` and,
        for every perturbation, ``ec_<name>``, with underscores for other signs than letters and
        digits; ``mask_share``, in [0, 1], ``flags`` and ``error``; ``key``, a hash that tells the
        image with its mask and labels from others. With `chance_test` also ``p_value``, ``p_mid``
        and ``z`` of :class:`membrane_xai.statistics.NullResult`, of maps of up to 64 x 64 pixels.
        Undefined numbers are NaN.

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
    "error" are tried again.

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
    folder = None if out is None else Path(out)
    if views and folder is None:
        raise InvalidInputError("views is True, but out is None; it takes a folder to keep them in")
    images, labels = column_values(images), {} if labels is None else dict(labels)
    plan = _plan(explainers, perturbations, Measure(similarity, k), negative)
    plan = replace(plan, views=Views(folder if views else None), chance_test=chance_test)
    intervals = {"draws": draws, "seed": seed}
    Resampling(0.95, **intervals, method="bca", small_sample=True).checked()
    maps = {name: given for name, given in explainers.items() if not callable(given)}
    _check_inputs(images, masks, regions, ids)
    _check_labels(labels)
    settings = _settings(plan, masks, regions, None if mpp is None else check_mpp(mpp))
    settings |= {"views": views, "about": dict(about or {})}
    parts = Parts(folder, settings, numbers_of(plan), intervals)
    given = entries(
        images,
        masks,
        groups=groups,
        ids=ids,
        targets=targets,
        regions=regions,
        labels=labels,
        maps=maps,
        mpp=mpp,
    )
    rows: Rows = []
    total = len(images) if hasattr(images, "__len__") else None
    with closing(given), progress_bar(total, shown=progress) as show:
        done = 0
        for batch in batches(given, batch_size):
            rows += _of_batch(explainers, batch, plan, parts)
            done += len(batch)
            show(done, "explaining")
    if not rows:
        raise InvalidInputError("images is empty; it takes at least one image")
    return StudyResult(rows, settings | intervals | {"methods": list(explainers)})


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
    settings, rows = read_parts(Path(out))
    study, columns = StudyResult(rows, settings), read_columns(Path(out))
    return study.with_columns(columns) if columns else study


def class_consistency(
    rows: Sequence[Mapping[str, Any]],
    out: str | Path,
    by: Sequence[str] = ("method", "class"),
    *,
    similarity: str = "pearson",
) -> Rows:
    """Measure EC among the maps of rows that share the values of some columns.

    Whether explanations of different images of one class look alike depends on where the cells lie:
    compare it only between methods on the same images.

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
        `ec`, `pairs`, `undefined_pairs` and `status` of :func:`membrane_xai.consistency`. Rows of
        status "error" are left out.

    Raises
    ------
    InvalidInputError
        A column that the table has not, an unknown similarity, or no kept maps.

    Notes
    -----
    Each map is read once. Of each combination that is not finished a sum of the size of a map is
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
    ...     print(row["method"], row["class"], row["cams"], round(row["ec"], 3), row["status"])
    turned 2+ 2 1.0 ok
    turned 3+ 1 nan too_few_maps
    """
    parts = parts_by([dict(row) for row in rows], by)
    return consistency_of(parts, Path(out), similarity=similarity)


def _of_batch(
    explainers: Mapping[str, Any], batch: Sequence[Entry], plan: Plan, parts: Parts
) -> Rows:
    """Return the rows of a batch by image, then method, computing what is not there yet."""
    keys = [entry.key for entry in batch]
    finished = {
        (entry.key, name): parts.get(entry.key, name)
        for entry in batch
        for name in explainers
        if entry.has(name)
    }
    missing = {pair for pair, rows in finished.items() if rows is None or _failed(rows)}
    loaded: dict[str, tuple[Entry, Subject]] = {}
    new: dict[tuple[str, str], Rows] = {}
    for key, entry in dict(zip(keys, batch, strict=True)).items():
        wanted = [name for name in explainers if (key, name) in missing]
        try:
            if wanted:
                loaded[key] = entry, entry.load()
                plan.views.add_image(key, loaded[key][1])
        except (OSError, ValueError, ImportError) as error:
            new |= {(key, name): rows_of_errors(entry, name, error, plan) for name in wanted}
    for name, explain in explainers.items():
        chosen = [key for key in loaded if (key, name) in missing]
        these, subjects = [loaded[k][0] for k in chosen], [loaded[k][1] for k in chosen]
        if callable(explain):
            found = score_batch(explain, name, these, subjects, plan)
        else:
            found = score_given(name, these, subjects, plan)
        new |= {(key, name): rows for key, rows in zip(chosen, found, strict=True)}
    parts.add(new)
    return [row for key in keys for name in explainers for row in parts.get(key, name) or ()]


def _failed(rows: Rows) -> bool:
    return any(row["status"] == "error" for row in rows)


def _plan(explainers: Any, perturbations: Any, measure: Measure, negative: str) -> Plan:
    if not isinstance(explainers, Mapping) or not explainers:
        raise InvalidInputError(
            f"explainers is {explainers!r}; it takes a mapping from names to callables or maps, "
            f"not empty"
        )
    steps = tuple(perturbations)
    for name, explain in explainers.items():
        known = callable(explain) or (_is_iterable(explain) and not isinstance(explain, str))
        if not isinstance(name, str) or not known:
            raise InvalidInputError(
                f"explainers has {name!r}: {explain!r}; it takes names and callables, or N maps"
            )
        if steps and not callable(explain):
            raise InvalidInputError(
                f"perturbations are given, but explainers[{name!r}] is maps; EC under "
                f"perturbations takes an explainer to call"
            )
    names = [ec_name(step) if isinstance(step, Perturbation) else None for step in steps]
    if None in names or len(set(names)) < len(names):
        raise InvalidInputError(
            f"perturbations is {perturbations!r}; it takes Perturbation objects of different names "
            f"in letters and digits"
        )
    named_similarity(measure.name, measure.k)
    check_negative(negative)
    return Plan(steps, measure, negative, chance_test=False, views=Views(None))


def _is_iterable(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _check_inputs(images: Any, masks: Any, regions: Any, ids: Any) -> None:
    if isinstance(images, str | Path) or getattr(images, "ndim", 4) != 4:
        raise InvalidInputError(
            f"images is {images!r}; it takes (N, H, W, 3), or a list of images or of paths"
        )
    if masks is None or (isinstance(masks, str) and masks != "extract"):
        raise InvalidInputError(f"masks is {masks!r}; it takes 'extract' or one mask an image")
    if isinstance(regions, str) and regions != "tissue":
        raise InvalidInputError(f"regions is {regions!r}; it takes 'tissue' or one region an image")
    if ids is not None:
        twice = [label for label, count in Counter(map(str, ids)).items() if count > 1]
        if twice:
            raise InvalidInputError(f"ids has {twice[0]!r} more than once; it takes different ones")


def _check_labels(labels: Mapping[str, Any]) -> None:
    for name in labels:
        if name in (*COLUMNS, *CHANCE_TEST) or name.startswith("ec_"):
            raise InvalidInputError(f"labels has {name!r}, which the table has already")


def _settings(plan: Plan, masks: Any, regions: Any, mpp: float | None) -> dict[str, Any]:
    return {
        "membrane-xai": __version__,
        "perturbations": [{"name": one.name, **one.parameters} for one in plan.perturbations],
        "similarity": plan.measure.name,
        "k": plan.measure.k,
        "negative": plan.negative,
        "masks": masks if isinstance(masks, str) else "given",
        "regions": regions if regions is None or isinstance(regions, str) else "given",
        "mpp": mpp,
        "chance_test": plan.chance_test,
    }
