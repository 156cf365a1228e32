"""A study over its entries: what is finished is read, what is missing is computed and kept."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from membrane_xai import __version__
from membrane_xai._backend.checks import check_mpp
from membrane_xai._disk.progress import progress as progress_bar
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency._agreement import Measure
from membrane_xai.explanation_consistency._explainers import batches
from membrane_xai.metrics._mass import check_negative
from membrane_xai.metrics._similarity import named_similarity
from membrane_xai.perturb._perturbation import Perturbation
from membrane_xai.statistics._options import IntervalOptions
from membrane_xai.study._entries import Entry, Loaded
from membrane_xai.study._finished import Finished, Rows
from membrane_xai.study._grids import grids_of
from membrane_xai.study._result import StudyResult
from membrane_xai.study._rows import (
    Plan,
    ec_name,
    numbers_of,
    rows_of_errors,
    score_batch,
    score_given,
)
from membrane_xai.study._views import PerturbedMaps, Views
from membrane_xai.study._zero import EC_STATUS, skill_columns, with_skill

__all__ = ["Options", "check_explainers", "is_iterable", "run"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What :func:`membrane_xai.evaluate` is told of all images together."""

    masks: str = "given"
    """Or "extract"."""
    regions: str | None = None
    """"given", "tissue", "tumour" or None."""
    mpp: float | None = None
    bits: int | None = None
    """In use of deep samples of the files; None as they say."""
    perturbations: Any = ()
    """Checked when it runs."""
    similarity: str = "pearson"
    k: float = 0.1
    negative: str = "clip"
    grid: Any = None
    """Of all methods or by method; checked when it runs."""
    batch_size: int = 8
    progress: bool = False
    out: str | Path | None = None
    views: bool = False
    about: Mapping[str, Any] | None = None
    controls: tuple[str, ...] = ()
    chance_test: str | None = None
    draws: int = 10_000
    seed: int = 0

    def intervals(self) -> dict[str, int]:
        """Return how intervals are made, which no row depends on."""
        return {"draws": self.draws, "seed": self.seed}


def check_explainers(explainers: Any, perturbations: Any = (), *, cams: bool = False) -> None:
    """Raise unless there are callables by name; with `cams`, maps will do where no view is made."""
    if not isinstance(explainers, Mapping) or not explainers:
        raise InvalidInputError(
            f"explainers is {explainers!r}; it takes a mapping from names to callables"
            f"{' or maps' if cams else ''}, not empty"
        )
    for name, explain in explainers.items():
        known = callable(explain) or (cams and is_iterable(explain))
        if not isinstance(name, str) or not known:
            raise InvalidInputError(
                f"explainers has {name!r}: {explain!r}; it takes names and callables"
                f"{', or N maps' if cams else ''}"
            )
        if perturbations and not callable(explain):
            raise InvalidInputError(
                f"perturbations are given, but explainers[{name!r}] is maps; EC under "
                f"perturbations takes an explainer to call"
            )


def is_iterable(value: Any) -> bool:
    """Tell what gives one value after another from a string and from all else."""
    if isinstance(value, str):
        return False
    try:
        iter(value)
    except TypeError:
        return False
    return True


def run(
    explainers: Mapping[str, Any],
    entries: Iterator[Entry],
    options: Options,
    total: int | None = None,
) -> StudyResult:
    """Score explainers on entries; of a method that is not callable the entries have the maps."""
    folder = None if options.out is None else Path(options.out)
    if options.views and folder is None:
        raise InvalidInputError("views is True, but out is None; it takes a folder to keep them in")
    plan = _plan(explainers, options, folder)
    intervals = options.intervals()
    IntervalOptions(draws=options.draws, seed=options.seed).checked()
    settings = _settings(plan, options)
    grids = {name: None if x is None else x.to_text() for name, x in plan.grids.items()}
    finished = Finished(folder, settings, numbers_of(plan), intervals, grids)
    rows: Rows = []
    inputs: dict[str, str] = {}
    with plan.perturbed, progress_bar(total, shown=options.progress) as show:
        done = 0
        for batch in batches(entries, options.batch_size):
            rows += _of_batch(explainers, batch, plan, finished)
            for entry in batch:
                inputs |= entry.inputs
            done += len(batch)
            show(done, "explaining")
        steps = {ec_name(step): step for step in plan.perturbations}
        rows = with_skill(rows, plan.perturbed, steps, plan.measure, folder)
    if not rows:
        raise InvalidInputError("images is empty; it takes at least one image")
    more = {"grids": grids, "methods": list(explainers)}
    on_grid = finished.on_grid() if plan.chance_test == "permutation" else None
    return StudyResult(rows, settings | intervals | more, inputs, on_grid)


def _of_batch(
    explainers: Mapping[str, Any], batch: Sequence[Entry], plan: Plan, finished: Finished
) -> Rows:
    """Return the rows of a batch by image, then method, computing what is not there yet."""
    missing = {
        (entry.key, name)
        for entry in batch
        for name in explainers
        if entry.has(name) and _is_missing(finished.get(entry.key, name))
    }
    loaded: dict[str, Loaded] = {}
    new: dict[tuple[str, str], Rows] = {}
    for key, entry in {entry.key: entry for entry in batch}.items():
        wanted = [name for name in explainers if (key, name) in missing]
        try:
            if wanted:
                loaded[key] = entry.load()
                plan.views.add_image(loaded[key])
        except (OSError, ValueError, ImportError) as error:
            new |= {(key, name): rows_of_errors(entry, name, error, plan) for name in wanted}
    for name, explain in explainers.items():
        chosen = [one for key, one in loaded.items() if (key, name) in missing]
        if callable(explain):
            found = score_batch(explain, name, chosen, plan)
        else:
            found = score_given(name, chosen, plan)
        new |= {(one.entry.key, name): rows for one, rows in zip(chosen, found, strict=True)}
    finished.add(new)
    return [
        row for entry in batch for name in explainers for row in finished.get(entry.key, name) or ()
    ]


def _is_missing(rows: Rows | None) -> bool:
    """Tell what has to be computed: errors are tried again."""
    return rows is None or any(row["status"] == "error" for row in rows)


def _plan(explainers: Mapping[str, Any], options: Options, folder: Path | None) -> Plan:
    steps = tuple(options.perturbations)
    names = [ec_name(step) if isinstance(step, Perturbation) else None for step in steps]
    if None in names or len(set(names)) < len(names):
        raise InvalidInputError(
            f"perturbations is {options.perturbations!r}; it takes Perturbation objects of "
            f"different names in letters and digits"
        )
    named_similarity(options.similarity, options.k)
    check_negative(options.negative)
    measure = Measure(options.similarity, options.k)
    taken = {*skill_columns(steps), EC_STATUS} & set(names)
    if taken:
        raise InvalidInputError(
            f"perturbations has one whose column would be {sorted(taken)[0]!r}, which the table "
            f"has already; give it another name"
        )
    return Plan(
        steps,
        measure,
        options.negative,
        chance_test=options.chance_test,
        views=Views(folder if options.views else None),
        perturbed=PerturbedMaps(folder),
        grids=grids_of(explainers, options.grid),
        controls=options.controls,
    )


def _settings(plan: Plan, options: Options) -> dict[str, Any]:
    depth = {} if options.bits is None else {"bits": options.bits}
    return depth | {
        "membrane-xai": __version__,
        "perturbations": [{"name": one.name, **one.parameters} for one in plan.perturbations],
        "similarity": plan.measure.name,
        "k": plan.measure.k,
        "negative": plan.negative,
        "masks": options.masks,
        "regions": options.regions,
        "controls": list(options.controls),
        "mpp": None if options.mpp is None else check_mpp(options.mpp),
        "chance_test": options.chance_test,
        "views": options.views,
        "about": dict(options.about or {}),
    }
