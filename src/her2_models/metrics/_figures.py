"""Figures of a classifier: confusion matrix, ROC curves, reliability diagram (needs matplotlib).

Figures are not registered with pyplot, so they need no closing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from her2_models.metrics._calibration import reliability
from her2_models.metrics._cases import Cases
from her2_models.metrics._resampling import Weighing
from her2_models.metrics._results import ClassificationMetrics
from membrane_xai.errors import missing
from membrane_xai.figures import write_png
from membrane_xai.her2_rule import GRADES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_figure", "reliability_figure", "roc_figure", "write_figures"]

# Okabe and Ito's colours and four dashes: told apart with any colour vision, and in print
_LINES = (("#0072B2", "-"), ("#E69F00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))
_SHARES = "cividis"
_DARK = 0.5  # share below which the colour is too dark for black letters


def confusion_figure(result: ClassificationMetrics, *, title: str = "Confusion matrix") -> "Figure":
    """Draw the counts of a confusion matrix, coloured by their share of the true class.

    Parameters
    ----------
    result : ClassificationMetrics
        Rows of classes without cases are left blank.
    title : str
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.

    Examples
    --------
    >>> from her2_models.metrics import confusion_figure
    >>> from her2_models.metrics import metrics_from_confusion
    >>> figure = confusion_figure(metrics_from_confusion([[3, 1], [0, 0]], names=["-", "+"]))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3', '1', '0', '0']
    """
    figure = _figure(5.4, 4.6)
    ax = figure.add_subplot()
    cases = result.support[:, None]
    shares = np.where(cases > 0, result.confusion / np.maximum(cases, 1), np.nan)
    shown = ax.imshow(shares, cmap=_SHARES, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(result.confusion):
        color = "white" if shares[row, column] < _DARK else "black"
        ax.text(column, row, str(count), ha="center", va="center", color=color)
    ticks = range(len(result.names))
    ax.set_xticks(ticks, result.names)
    ax.set_yticks(ticks, result.names)
    ax.set(xlabel="Predicted", ylabel="True", title=title)
    figure.colorbar(shown, ax=ax, label="share of the true class")
    return figure


def roc_figure(
    labels: Any, probabilities: Any, *, names: Sequence[str] = GRADES, title: str = "ROC curves"
) -> "Figure":
    """Draw the ROC curve of each class against the rest, with the area under it.

    Parameters
    ----------
    labels, probabilities, names
        As in :func:`her2_models.metrics.classification_metrics`.
    title : str
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        A class without cases, or that all cases are of, has no curve; the legend says so.

    Raises
    ------
    MissingDependencyError
        matplotlib or scikit-learn is not installed.
    InvalidInputError
        As in :func:`her2_models.metrics.classification_metrics`.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import roc_figure
    >>> figure = roc_figure([0, 1, 3], 0.6 * np.eye(4)[[0, 1, 3]] + 0.1)
    >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    ['0: 1.0000', '1+: 1.0000', '2+: undefined', '3+: 1.0000']
    """
    p = Cases.of(labels, probabilities, names=names)
    areas = Weighing.summed(p).as_they_are()["auc"]
    figure = _figure(5.4, 5.2)
    ax = figure.add_subplot()
    _diagonal(ax)
    for c, (name, area) in enumerate(zip(p.names, areas, strict=True)):
        color, dash = _LINES[c % len(_LINES)]
        defined = not np.isnan(area)
        x, y = _roc_curve(p, c) if defined else ([], [])
        label = f"{name}: {area:.4f}" if defined else f"{name}: undefined"
        ax.plot(x, y, color=color, linestyle=dash, label=label, clip_on=False)
    ax.set(xlabel="1 - specificity", ylabel="Sensitivity", title=title)
    ax.legend(loc="lower right", title="Area under the curve")
    return figure


def reliability_figure(
    labels: Any, probabilities: Any, *, bins: int = 15, title: str = "Reliability"
) -> "Figure":
    """Draw accuracy against confidence with Wilson intervals, and how many calls each bin has.

    Parameters
    ----------
    labels, probabilities, bins
        As in :func:`her2_models.metrics.reliability`.
    title : str
        Of the figure.

    Returns
    -------
    matplotlib.figure.Figure
        Points below the diagonal are calls that are too sure. Empty bins have no point.

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    InvalidInputError
        As in :func:`her2_models.metrics.reliability`.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import reliability_figure
    >>> figure = reliability_figure([0, 1], 0.6 * np.eye(4)[[0, 2]] + 0.1)
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['Accuracy', 'Calls']
    """
    rows = reliability(labels, probabilities, bins)
    table = {key: np.array([row[key] for row in rows]) for key in rows[0]}
    figure = _figure(5.4, 6.2)
    upper, lower = figure.subplots(2, height_ratios=[3, 1], sharex=True)
    _diagonal(upper)
    filled = table["count"] > 0
    x, y = table["confidence"][filled], table["accuracy"][filled]
    ends = np.abs([y - table["accuracy_low"][filled], table["accuracy_high"][filled] - y])
    color, _ = _LINES[0]
    upper.errorbar(x, y, yerr=ends, fmt="o-", color=color, capsize=3, clip_on=False)
    upper.set(ylabel="Accuracy", title=title)
    left, right = table["bin_low"], table["bin_high"]
    lower.bar(
        left, table["count"], width=right - left, align="edge", color=color, edgecolor="white"
    )
    lower.set(xlabel="Confidence", ylabel="Calls")
    return figure


def write_figures(
    result: ClassificationMetrics, labels: Any, probabilities: Any, folder: str | Path
) -> dict[str, Path]:
    """Write the three figures as PNG, each whole or not at all.

    Parameters
    ----------
    result : ClassificationMetrics
        Of these labels and probabilities.
    labels, probabilities
        As in :func:`her2_models.metrics.classification_metrics`.
    folder : path
        Made if needed; files of the same names are replaced.

    Returns
    -------
    dict of str to Path
        confusion.png, roc.png and reliability.png by these names.

    Raises
    ------
    MissingDependencyError
        matplotlib or scikit-learn is not installed.
    InvalidInputError
        As in :func:`her2_models.metrics.classification_metrics`.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import write_figures
    >>> from her2_models.metrics import classification_metrics
    >>> labels, probabilities = [0, 1, 2, 3], 0.6 * np.eye(4) + 0.1
    >>> result = classification_metrics(labels, probabilities, draws=0)
    >>> sorted(write_figures(result, labels, probabilities, getfixture("tmp_path")))
    ['confusion.png', 'reliability.png', 'roc.png']
    """
    figures = {
        "confusion.png": confusion_figure(result),
        "roc.png": roc_figure(labels, probabilities, names=result.names),
        "reliability.png": reliability_figure(labels, probabilities),
    }
    return {name: write_png(figure, Path(folder) / name) for name, figure in figures.items()}


def _figure(width: float, height: float) -> "Figure":
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise missing(error, "a figure", extra="report") from error
    return Figure(figsize=(width, height), layout="constrained")


def _diagonal(ax: "Axes") -> None:
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    ax.set(xlim=(0, 1), ylim=(0, 1))


def _roc_curve(p: Cases, of: int) -> tuple[Any, Any]:
    try:
        from sklearn.metrics import roc_curve  # type: ignore[import-untyped]
    except ImportError as error:
        raise missing(error, "a ROC curve", extra="her2") from error
    x, y, _ = roc_curve(p.labels == of, p.probabilities[:, of])
    return x, y
