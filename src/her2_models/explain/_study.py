"""Predict, explain and score images of a data set, and write the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from her2_models.data import Record, label_level
from her2_models.data._pairs import refuse_pairs
from her2_models.explain._consistency import magnification_ec
from her2_models.explain._randomization import evenly, randomization_rows
from her2_models.explain._tables import class_rows, measured_columns
from her2_models.explain._work import Prediction, Work, masks_of, predict_images, resolve_mpp
from her2_models.models import Backbone, Registration, register
from membrane_xai.baselines import CONTROLS
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.io import magnification_of
from membrane_xai.perturb import Perturbation
from membrane_xai.study import evaluate, read_view
from membrane_xai.tables import provenance, write_csv, write_json

__all__ = ["ExplainedImage", "ExplainedStudy", "explain_images", "explained_images"]

Rows = list[dict[str, Any]]

_LEAST_DRAWS = 100  # as of :func:`membrane_xai.evaluate`


class ExplainedImage(NamedTuple):
    """An image to explain.

    Attributes
    ----------
    path : Path
        The file.
    score : str or None
        Its HER2 score, "0", "1+", "2+" or "3+", if it is known.
    group : str or None
        Slide or patient.
    mpp : float or None
        Micrometres per pixel.
    label_level : str or None
        Whose score it is, as of :class:`her2_models.data.Record`.
    """

    path: Path
    score: str | None = None
    group: str | None = None
    mpp: float | None = None
    label_level: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainedStudy:
    """What :func:`explain_images` found.

    Attributes
    ----------
    images : list of dict
        One row for each image, method and class: the columns of :func:`membrane_xai.evaluate`, with
        `score` and `magnification` of the image, the `predicted` score with its `confidence`,
        `input_um_per_pixel`, the micrometres per pixel at the network's input, and
        `ec_magnification`.
    classes : list of dict
        One row for each method and explained class, see `Notes` there.
    randomization : list of dict
        One row for each method, mode and stage; empty if it was not asked for.
    magnifications : list of dict
        One row for each image, method and pair of magnifications, with its status: those of
        :meth:`membrane_xai.MagnificationConsistency.table`; empty without magnifications.
    settings : dict
        What was chosen.
    registration : Registration
        Where the cells of the target layer lie, see :func:`her2_models.models.register`.
    label_level : str
        Whose scores the images bear, see :func:`her2_models.data.label_level`.
    """

    images: Rows
    classes: Rows
    randomization: Rows
    magnifications: Rows
    settings: dict[str, Any] = field(repr=False)
    registration: Registration
    label_level: str


def explained_images(records: Sequence[Record], *, most: int | None = None) -> list[ExplainedImage]:
    """Choose images of a data set to explain, as many of every score as there are.

    Parameters
    ----------
    records : sequence of Record
        Of one split.
    most : int, optional
        How many; by default all. Scores take turns, in the order of the records.

    Returns
    -------
    list of ExplainedImage
        In the order of the records.

    Raises
    ------
    InvalidInputError
        `most` is not positive; H&E and IHC side by side.

    Examples
    --------
    >>> from her2_models.data import Record
    >>> from her2_models.explain import explained_images
    >>> records = [Record("a.png", 0), Record("b.png", 0), Record("c.png", 0), Record("d.png", 3)]
    >>> [image.path.name for image in explained_images(records, most=3)]
    ['a.png', 'b.png', 'd.png']
    """
    if most is not None and most < 1:
        raise InvalidInputError(f"most is {most!r}; it takes a positive number of images")
    refuse_pairs(records)
    turns = [0] * len(GRADES)
    ranked: list[tuple[int, int]] = []
    for place, record in enumerate(records):
        ranked.append((turns[record.score], place))
        turns[record.score] += 1
    chosen = sorted(place for _, place in sorted(ranked)[:most])
    return [
        ExplainedImage(
            one.path,
            one.label,
            "/".join(one.whole_group or ()) or None,
            one.mpp,
            one.label_level,
        )
        for one in (records[place] for place in chosen)
    ]


def explain_images(
    backbone: Backbone,
    images: Sequence[ExplainedImage],
    methods: Sequence[str] = ("ScoreCAM",),
    *,
    out: str | Path,
    input_size: int,
    every_class: bool = False,
    annotations: str | Path | None = None,
    mask_classes: Sequence[str] = (),
    region_classes: Sequence[str] = (),
    regions: str | None = "tissue",
    controls: Sequence[str] = CONTROLS,
    mpp: float | None = None,
    perturbations: Sequence[Perturbation] = (),
    magnifications: Sequence[float] = (),
    randomize: int = 0,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    batch_size: int = 8,
    chance_test: bool | str = False,
    draws: int = 1000,
    seed: int = 0,
    published_protocol: bool = False,
    progress: bool = False,
) -> ExplainedStudy:
    """Predict and explain images, and score the explanations; a run that was stopped goes on.

    Each image is predicted, and by default the predicted score is explained, from the tensor that
    was predicted. CAMs are kept on the grid of the target layer, whose place on the image is
    measured first, and brought back from flipped and turned images accordingly. They are held
    against the membrane (MAP), against those of perturbed images and other magnifications, and
    against each other within a class (EC). With `randomize` the same is asked of networks that have
    lost what they learned.

    Parameters
    ----------
    backbone : Backbone
        The network, with HER2 scores as its classes.
    images : sequence of ExplainedImage
        What to explain, see :func:`explained_images`.
    methods : sequence of str
        CAM methods of pytorch-grad-cam by name.
    out : path
        Folder of the results. The same call goes on where it was stopped.
    input_size : int
        Side of the network's input in pixels; images are shown whole.
    every_class : bool
        Whether to explain all scores instead of the predicted one.
    annotations : path, optional
        Folder with a file for every image, by name: outlines, as
        :func:`membrane_xai.read_annotations` reads them, or a mask (PNG, TIFF, NPY); or one CSV of
        the outlines of all images, with a column ``Image``. By default the membrane is extracted.
    mask_classes, region_classes : sequence of str
        Classes of the outlines that are membrane, and that are the region, as in
        :func:`membrane_xai.evaluate`; without `region_classes` the region is `regions`.
    regions : {"tissue", "tumour"}, optional
        Where pixels count for MAP, as in :func:`membrane_xai.evaluate`; None is everywhere.
    controls : sequence of str
        Control masks that each map is held against, as in :func:`membrane_xai.evaluate`.
    mpp : float, optional
        Micrometres per pixel of all images; by default what they say, if that is one value.
    perturbations : sequence of Perturbation
        For EC, such as :func:`membrane_xai.perturb.standard_perturbations`.
    magnifications : sequence of float
        For EC between objectives: none, or at least two that the images allow. Each is explained
        in tiles of `input_size` pixels, which show its own field of view, see
        :func:`membrane_xai.magnification_consistency`; undefined where an image is smaller.
    randomize : int
        On how many of the images to make the model-randomisation check; 0 for none.
    options : mapping of str to mapping, optional
        By method, options of its constructor, such as ``{"ScoreCAM": {"precision": "bf16"}}``.
    batch_size : int
        Images explained at once, and after which results are kept.
    chance_test : bool or {"permutation", "shift"}
        Whether to test sets of CAMs against chance, as in :func:`membrane_xai.evaluate`.
    draws : int
        Of a bootstrap, from 100; the intervals are by the jackknife, which draws nothing.
    seed : int
        Of bootstrap and randomisation.
    published_protocol : bool
        Whether to explain as the source study's notebook does: the true score, from the image that
        is rescaled to [0, 1] and not normalised. What is predicted is normalised all the same.
    progress : bool
        Whether to show on stderr how far it has come, by :func:`membrane_xai.cli.progress`.

    Returns
    -------
    ExplainedStudy
        Its tables are in `out`, too: ``images.csv``, ``images.json`` with provenance,
        ``classes.csv``, ``magnifications.csv`` and ``randomization.csv``.

    Raises
    ------
    InvalidInputError
        No images, no such method, unknown or several pixel sizes, missing outlines, outlines of
        several classes of which none is called membrane, fewer than 100 draws, a `batch_size` below
        1, a negative `randomize`, a folder of other settings or weights; an image of unknown score
        with `published_protocol`.

    Notes
    -----
    An image that cannot be read or explained is a row of status "error", and the rest goes on.

    `classes` is :meth:`membrane_xai.StudyResult.summary` by method and class, with `ec_class`, the
    mean similarity over all pairs of the class's CAMs, and `ec_between`, that with CAMs of other
    classes, from :func:`membrane_xai.study.class_consistency`; `input_scale`, the micrometres per
    pixel at the network's input; and `label_level`, whose scores all the images bear, as
    :func:`her2_models.data.label_level` says it.

    `out` is the folder of a :func:`membrane_xai.evaluate` with views: rows, those of
    :func:`membrane_xai.study.read_study`, have all columns, and CAMs and masks are read by
    :func:`membrane_xai.study.read_view`.
    """
    chosen = {name: dict((options or {}).get(name, {})) for name in methods}
    size = resolve_mpp(images, mpp)
    _check_scores(images, published_protocol)
    _check_options(regions, draws)
    _check_count("batch_size", batch_size, 1, "a positive integer")
    _check_count("randomize", randomize, 0, "a number of images, 0 for none")
    masks = masks_of(images, annotations, without=[Path(out)])
    work = Work(
        backbone,
        Path(out),
        input_size,
        every_class,
        published_protocol,
        chosen,
        batch_size,
        size,
        progress,
        _registration(backbone, input_size, chosen),
    )
    grades = [image.score for image in images]
    predictions = predict_images(work, [image.path for image in images], grades)
    common: dict[str, Any] = {
        "masks": masks,
        "regions": regions,
        "perturbations": perturbations,
        "mpp": size,
        "batch_size": batch_size,
        "progress": progress,
        "views": True,
        "draws": draws,
        "seed": seed,
    }
    study = evaluate(
        work.explainers(),
        [image.path for image in images],
        mask_classes=mask_classes,
        region_classes=region_classes,
        groups=[image.group for image in images],
        labels=_labels(images, predictions, size),
        targets=[None if one is None else one.explained for one in predictions],
        about=work.about(),
        controls=controls,
        chance_test=chance_test,
        out=work.out,
        **(common | ({"regions": masks} if region_classes else {})),
    )
    magnified = magnification_ec(work, images, predictions, magnifications)
    columns = measured_columns(study.rows, images, predictions, magnified.ec)
    kept = {row["id"]: row["key"] for row in study.rows if row["status"] != "error"}
    study = study.with_columns(columns, out=work.out)
    whose = label_level(images)
    done = ExplainedStudy(
        study.rows,
        class_rows(study, work.out, whose),
        _randomization(work, images, predictions, kept, common, randomize, seed),
        magnified.rows,
        study.settings | {"magnifications": list(magnifications), "randomize": randomize},
        work.registration,
        whose,
    )
    _write(done, work.out)
    return done


def _check_scores(images: Sequence[ExplainedImage], published_protocol: bool) -> None:
    unknown = [image.path for image in images if image.score is None]
    if published_protocol and unknown:
        raise InvalidInputError(
            f"published_protocol is True, which explains true scores; {len(unknown)} of "
            f"{len(images)} images have none, like {unknown[0]}"
        )


def _check_options(regions: str | None, draws: Any) -> None:
    """Raise before any work for what would be refused after the predictions."""
    if regions not in (None, "tissue", "tumour"):
        raise InvalidInputError(f"regions is {regions!r}; it takes 'tissue', 'tumour' or None")
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < _LEAST_DRAWS:
        raise InvalidInputError(
            f"draws is {draws!r}; it takes an integer of at least {_LEAST_DRAWS}"
        )


def _check_count(name: str, value: Any, least: int, takes: str) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least:
        raise InvalidInputError(f"{name} is {value!r}; it takes {takes}")


def _registration(
    backbone: Backbone, input_size: int, options: Mapping[str, Mapping[str, Any]]
) -> Registration:
    """Measure where the cells of the target layer lie, once for all methods."""
    reshapes = [one["reshape_transform"] for one in options.values() if "reshape_transform" in one]
    reshape = reshapes[0] if reshapes else None
    layer = backbone.explained_layer()
    return register(backbone.network, layer, input_size, reshape=reshape)


def _randomization(
    work: Work,
    images: Sequence[ExplainedImage],
    predictions: Sequence[Prediction | None],
    keys: Mapping[str, str],
    options: Mapping[str, Any],
    most: int,
    seed: int,
) -> Rows:
    drawn = options["masks"] != "extract"
    places = [
        i
        for i, prediction in enumerate(predictions)
        if prediction is not None and (not drawn or str(images[i].path) in keys)
    ]
    some = [places[i] for i in evenly(len(places), most)]
    if not some:
        return []
    subset = [images[i] for i in some]
    if drawn:
        options = {**options, **_kept_masks(work.out, [keys[str(one.path)] for one in subset])}
    return randomization_rows(work, subset, [predictions[i] for i in some], options, seed)


def _kept_masks(out: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Return the masks and regions of a study: some of its files alone may be read otherwise."""
    views = [read_view(out, key) for key in keys]
    regions = [view.region for view in views]
    return {
        "masks": [view.mask for view in views],
        "regions": None if all(region is None for region in regions) else regions,
    }


def _labels(
    images: Sequence[ExplainedImage], predictions: Sequence[Prediction | None], mpp: float
) -> dict[str, list[Any]]:
    return {
        "score": [one.score for one in images],
        "magnification": [f"{magnification_of(mpp):g}x"] * len(images),
        "predicted": ["" if one is None else one.grade for one in predictions],
    }


def _write(done: ExplainedStudy, out: Path) -> None:
    packages = ("torch", "timm", "grad-cam")
    write_json(out / "images.json", done.images, provenance(done.settings, packages=packages))
    write_csv(out / "images.csv", done.images)
    write_csv(out / "classes.csv", done.classes)
    if done.magnifications:
        write_csv(out / "magnifications.csv", done.magnifications)
    if done.randomization:
        write_csv(out / "randomization.csv", done.randomization)
