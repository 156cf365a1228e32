"""Predictions, metrics and tables of trained classifiers: on test splits, and across runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from her2_models.data import LeakSafety, Manifest, Record, label_level, leak_safety
from her2_models.data._manifest import WHOSE_LABELS
from her2_models.data._pairs import refuse_pairs
from her2_models.metrics import (
    ClassificationMetrics,
    classification_metrics,
    cross_table,
    fit_temperature,
    refer_to_ish,
    reliability,
    write_tables,
)
from her2_models.models import Backbone, InputSpec, her2_backbone, scale_notes
from her2_models.train import Run, ViewedPatches, collate, input_mpps
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.her2_rule import GRADES
from membrane_xai.integrations.pytorch import in_dtype_of, read_scores, unchanged
from membrane_xai.io import scale_text
from membrane_xai.tables import write_csv, write_markdown

try:
    import torch
    from torch.utils.data import DataLoader
except ImportError as error:
    raise missing(error, "evaluation", extra="her2") from error

__all__ = [
    "Caveats",
    "Evaluation",
    "Predictions",
    "cross_evaluate",
    "evaluate",
    "predict_records",
    "trained_backbone",
]

_SYNTHETIC = (
    "This accuracy is of synthetic slides and does not carry over: a network trained on synthetic "
    "slides alone was right on 19 % of 48 real fields, which are not part of this project; 25 % "
    "would be guessing."
)
"""What is said with every number of synthetic slides."""


class Caveats(NamedTuple):
    """What is to be said with every number of a test."""

    leak_safety: LeakSafety
    """Whether slides of the test are among those that the network has learned from."""
    label_level: str
    """Whose scores the test has, as :func:`her2_models.data.label_level` says it."""
    selected_on: str
    """What the weights were selected on: "val", or "nothing" where the last epoch is tested."""
    caution: str
    """What the numbers do not say; empty where there is nothing special."""

    @property
    def split(self) -> str:
        """The same of the split in words."""
        return self.leak_safety.reason

    def columns(self) -> dict[str, str]:
        """Return what tables and JSON say.

        Returns
        -------
        dict of str to str
        """
        return {
            "split": self.split,
            "leak_safe": self.leak_safety.verdict,
            "label_level": self.label_level,
            "selected_on": self.selected_on,
            "caution": self.caution,
        }

    def lines(self) -> list[str]:
        """Return what is printed above the numbers; the caution goes below.

        Returns
        -------
        list of str
        """
        lines = [f"split: {self.split}", f"labels: {WHOSE_LABELS[self.label_level]}"]
        if self.selected_on == "nothing":
            lines.append("published protocol: no validation split, weights after the last epoch")
        return lines


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a classifier says of images.

    Attributes
    ----------
    records : tuple of Record
        The images.
    logits : ndarray of float64, shape (n, 4)
        Logarithms of probabilities, averaged over the windows of an image.
    input_um_per_pixel : ndarray of float64, shape (n,)
        Micrometres per pixel at the network's input; NaN where those of an image are unknown.
    magnification : float or None
        The objective that was looked through; None for whole images.
    """

    records: tuple[Record, ...]
    logits: NDArray[np.float64]
    input_um_per_pixel: NDArray[np.float64]
    magnification: float | None = None

    @property
    def labels(self) -> NDArray[np.int64]:
        """The scores the images have, (n,)."""
        return np.array([record.score for record in self.records], dtype=np.int64)

    @property
    def groups(self) -> list[str] | None:
        """Slide or patient of each image; None unless all are known."""
        names = [record.whole_group for record in self.records]
        return None if None in names else ["/".join(name) for name in names if name]

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the images, their median; NaN unless all are known."""
        return float(np.median([record.mpp or np.nan for record in self.records]))

    @property
    def input_scale(self) -> str:
        """Micrometres per pixel at the network's input as they are printed."""
        return scale_text(self.input_um_per_pixel)

    @property
    def scale_note(self) -> str:
        """Where the input does not show what the objective does; empty if it does."""
        at = self.magnification
        return "" if at is None else scale_notes({at: self.input_um_per_pixel}, self.mpp)[at]

    def probabilities(self, temperature: float = 1.0) -> NDArray[np.float64]:
        """Return class probabilities.

        Parameters
        ----------
        temperature : float
            Logits are divided by it.

        Returns
        -------
        ndarray of shape (n, 4)
            Rows sum to 1.
        """
        from scipy.special import softmax

        found: NDArray[np.float64] = softmax(self.logits / temperature, axis=1)
        return found

    def rows(self) -> list[dict[str, Any]]:
        """Return one row an image.

        Returns
        -------
        list of dict
        """
        names = [f"p_{grade}" for grade in GRADES]
        return [
            {
                "path": str(record.path),
                "group": record.group or "",
                "label": record.label,
                "predicted": GRADES[int(np.argmax(p))],
                **dict(zip(names, map(float, p), strict=True)),
                "input_um_per_pixel": float(um),
            }
            for record, p, um in zip(
                self.records, self.probabilities(), self.input_um_per_pixel, strict=True
            )
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """A classifier on the test split.

    Attributes
    ----------
    predictions : Predictions
        Image by image.
    metrics : ClassificationMetrics
        Of the probabilities as they come.
    calibrated : ClassificationMetrics or None
        After temperature scaling on the validation split; None without such a split.
    temperature : float
        NaN without a validation split.
    caveats : Caveats
        What is to be said with these numbers.
    """

    predictions: Predictions
    metrics: ClassificationMetrics
    calibrated: ClassificationMetrics | None
    temperature: float
    caveats: Caveats

    def about(self) -> dict[str, str]:
        """Return what is to be said with the numbers, the scale at the network's input first.

        Returns
        -------
        dict of str to str
            Columns of tables; an empty text says nothing.
        """
        seen = self.predictions
        scale = {"input_scale": seen.input_scale, "scale_note": seen.scale_note}
        return scale | self.caveats.columns()


def predict_records(
    backbone: Backbone,
    records: Sequence[Record],
    *,
    input_size: int,
    magnification: float | None = None,
    batch_size: int = 32,
) -> Predictions:
    """Predict images.

    Parameters
    ----------
    backbone : Backbone
        From :func:`her2_models.models.her2_backbone`.
    records : sequence of Record
        Which images.
    input_size : int
        Side of the input in pixels.
    magnification : float, optional
        Look through this objective: all windows of an image are predicted, and their probabilities
        averaged. By default images are predicted whole.
    batch_size : int
        Images at once.

    Returns
    -------
    Predictions

    Raises
    ------
    InvalidInputError
        No images, an image that cannot be read, H&E and IHC of BCI side by side, or unknown
        micrometres per pixel with a magnification.
    """
    if not records:
        raise InvalidInputError("records is empty; there is nothing to predict")
    refuse_pairs(records)
    spec = InputSpec(input_size, backbone.mean, backbone.std)
    patches = ViewedPatches(records, spec, () if magnification is None else (magnification,))
    device = next(backbone.network.parameters()).device
    total = torch.zeros(len(records), len(GRADES), dtype=torch.float64)
    count = torch.zeros(len(records), 1, dtype=torch.float64)
    um = torch.zeros(len(records), dtype=torch.float64)  # the same in all windows of an image
    with unchanged(backbone.network), torch.no_grad():
        for batch in DataLoader(patches, batch_size=batch_size, collate_fn=collate):
            um[batch.records] = batch.um_per_pixel.double()
            for views, at in zip(
                batch.views.split(batch_size), batch.records.split(batch_size), strict=True
            ):
                given = backbone.network(in_dtype_of(backbone.network, views.to(device)))
                logits = read_scores(given, backbone.read_output).double().cpu()
                total.index_add_(0, at, torch.softmax(logits, dim=1))
                count.index_add_(0, at, torch.ones(len(at), 1, dtype=torch.float64))
    smallest = np.finfo(float).tiny  # of a probability whose logarithm is finite
    mean = np.maximum((total / count).numpy(), smallest)
    return Predictions(tuple(records), np.log(mean), um.numpy(), magnification)


def evaluate(
    run: str | Path | Run, *, magnification: float | None = None, draws: int = 1000
) -> Evaluation:
    """Evaluate a training run on its test split, and write tables and figures beside it.

    Parameters
    ----------
    run : path or Run
        Folder of the run.
    magnification : float, optional
        As for :func:`predict_records`.
    draws : int
        0 for no intervals. Those are by the jackknife, over slides where they are known and over
        images otherwise, and draw nothing.

    Returns
    -------
    Evaluation

    Raises
    ------
    InvalidInputError
        Training has not ended; as :func:`predict_records`.
    """
    run = run if isinstance(run, Run) else Run(Path(run))
    config, splits = run.config, run.manifest.by_split()
    backbone = trained_backbone(run)
    options: dict[str, Any] = {
        "input_size": config.model.input_size,
        "magnification": magnification,
    }
    predictions = predict_records(backbone, splits["test"], **options)
    probabilities = predictions.probabilities()
    found = _metrics(predictions, probabilities, draws)
    temperature, calibrated = float("nan"), None
    if splits["val"]:
        val = predict_records(backbone, splits["val"], **options)
        temperature = fit_temperature(val.logits, val.labels)
        calibrated = _metrics(predictions, predictions.probabilities(temperature), draws)
    done = Evaluation(predictions, found, calibrated, temperature, _caveats(run, run.manifest))
    name = "test" if magnification is None else f"test-{magnification:g}x"
    _write(done, run, run.folder / name)
    return done


def cross_evaluate(
    runs: Sequence[str | Path],
    *,
    magnifications: Sequence[float] = (),
    out: str | Path,
    quantity: str = "accuracy",
    draws: int = 1000,
) -> list[dict[str, Any]]:
    """Evaluate runs on each other's test splits, or at several magnifications.

    Parameters
    ----------
    runs : sequence of path
        Folders of training runs.
    magnifications : sequence of float
        Every run on its own test split at each of these. Empty: every run, as trained, on the test
        split of every run.
    out : str or Path
        Folder for ``cross.csv`` and ``cross.md``.
    quantity : str
        As :func:`her2_models.metrics.cross_table` takes it.
    draws : int
        0 for no intervals.

    Returns
    -------
    list of dict
        One row a pair: what it was trained and tested on, the quantity with its interval, what is
        to be said with it (:class:`Caveats`), and the micrometres per pixel at the network's input,
        of the training and of the test images: medians ``train_um_per_pixel`` and
        ``test_um_per_pixel``, ``train_scale`` and ``test_scale`` as they are printed, and in
        ``scale_note`` where an input does not show what its objective does, or shows the same as
        another ("same scale at the input as 5x").

    Raises
    ------
    InvalidInputError
        As :func:`evaluate`; also for two folders of the same name.
    """
    opened = {Path(run).resolve().name: Run(Path(run)) for run in runs}
    if len(opened) < len(runs):
        raise InvalidInputError("runs have equal names; the table tells them apart by these")
    results: dict[tuple[str, str], ClassificationMetrics] = {}
    scales: dict[tuple[str, str], dict[str, Any]] = {}
    for name, run in opened.items():
        backbone, size = trained_backbone(run), run.config.model.input_size
        found = {
            test: predict_records(backbone, records, input_size=size, magnification=magnification)
            for test, records, magnification in _tests(run, opened, magnifications)
        }
        for test, one in found.items():
            results[name, test] = _metrics(one, one.probabilities(), draws)
        scales |= {(name, test): row for test, row in _scales(run, found).items()}
    rows = cross_table(results, quantity=quantity)
    for row in rows:
        run = opened[row["train"]]
        other = run if magnifications else opened[row["test"]]
        row |= scales[row["train"], row["test"]] | _caveats(run, other.manifest).columns()
    write_csv(Path(out) / "cross.csv", rows)
    write_markdown(Path(out) / "cross.md", {quantity: rows})
    return rows


def _scales(run: Run, found: Mapping[str, Predictions]) -> dict[str, dict[str, Any]]:
    """Return the columns that tell what the network takes in, by what it is tested on."""
    config = run.config
    records = run.manifest.by_split()["train"]
    trained = input_mpps(records, config.model.input_size, config.augment.magnifications)
    at = {one.magnification: one for one in found.values() if one.magnification is not None}
    mpp = min((one.mpp for one in at.values()), default=np.nan)  # all are of the same images
    notes = scale_notes({m: one.input_um_per_pixel for m, one in at.items()}, mpp)
    return {
        test: {
            "train_um_per_pixel": float(np.median(trained)),
            "test_um_per_pixel": float(np.median(one.input_um_per_pixel)),
            "train_scale": scale_text(trained),
            "test_scale": one.input_scale,
            "scale_note": notes[one.magnification] if one.magnification else "",
        }
        for test, one in found.items()
    }


def _tests(
    run: Run, opened: dict[str, Run], magnifications: Sequence[float]
) -> list[tuple[str, Sequence[Record], float | None]]:
    if magnifications:
        own = run.manifest.by_split()["test"]
        return [(f"{m:g}x", own, m) for m in magnifications]
    return [(other, o.manifest.by_split()["test"], None) for other, o in opened.items()]


def _caveats(run: Run, other: Manifest) -> Caveats:
    """Return what is to be said of a run's network on the test split of a manifest."""
    own, records = run.manifest, other.by_split()["test"]
    splits = own.by_split()
    made = [m.scheme for m in (own, other) if m.scheme and not m.scheme.startswith("official")]
    return Caveats(
        leak_safety((*splits["train"], *splits["val"]), records, scheme=next(iter(made), None)),
        label_level(records),
        "nothing" if run.config.published_protocol else "val",
        _SYNTHETIC if any(record.source == "synthetic" for record in records) else "",
    )


def trained_backbone(run: Run) -> Backbone:
    """Return the classifier of a training run, on the device it was trained on if that is there.

    Parameters
    ----------
    run : Run
        The run.

    Returns
    -------
    Backbone
        In evaluation mode.

    Raises
    ------
    InvalidInputError
        Training has not ended, or the weights are not those of its network.
    """
    if not run.weights.exists():
        raise InvalidInputError(
            f"{run.folder} has no {run.weights.name}; train it to the end first"
        )
    backbone = her2_backbone(run.config.model, run.weights)
    if run.config.train.accelerator != "cpu" and torch.cuda.is_available():
        backbone.network.to("cuda")
    return backbone


def _metrics(
    predictions: Predictions, probabilities: NDArray[np.float64], draws: int
) -> ClassificationMetrics:
    return classification_metrics(
        predictions.labels, probabilities, groups=predictions.groups, draws=draws
    )


def _write(done: Evaluation, run: Run, folder: Path) -> None:
    from her2_models.metrics import write_figures

    labels, probabilities = done.predictions.labels, done.predictions.probabilities()
    chosen = {"config": run.config.to_dict(), "temperature": done.temperature}
    about = done.about()
    write_tables(done.metrics, folder, parameters=chosen, about=about)
    write_csv(folder / "predictions.csv", done.predictions.rows())
    write_csv(folder / "reliability.csv", reliability(labels, probabilities))
    write_csv(folder / "refer_to_ish.csv", refer_to_ish(labels, probabilities).rows())
    if done.calibrated is not None:
        write_tables(done.calibrated, folder / "calibrated", parameters=chosen, about=about)
    write_figures(done.metrics, labels, probabilities, folder)
