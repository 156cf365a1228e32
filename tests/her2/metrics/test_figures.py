"""Figures of an evaluation: what they show, and the PNG files."""

import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from her2_models.metrics import (
    classification_metrics,
    confusion_figure,
    metrics_from_confusion,
    reliability,
    reliability_figure,
    roc_figure,
    write_figures,
)
from membrane_xai.errors import InvalidInputError, MissingDependencyError

pytest.importorskip("matplotlib")


@pytest.fixture
def data(rng):
    return rng.integers(0, 4, 80), rng.dirichlet(np.ones(4), 80)


def test_confusion_shows_counts_and_shares():
    figure = confusion_figure(metrics_from_confusion([[3, 1], [0, 0]], names=["-", "+"]))
    ax = figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["3", "1", "0", "0"]
    assert [text.get_color() for text in ax.texts] == ["black", "white", "black", "black"]
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(shown[0], [0.75, 0.25])
    assert np.ma.getmaskarray(shown)[1].all()  # no case: no share
    assert [label.get_text() for label in ax.get_yticklabels()] == ["-", "+"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Predicted", "True")


def test_roc_curves_enclose_their_area(data):
    labels, probabilities = data
    ax = roc_figure(labels, probabilities).axes[0]
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    for c, line in enumerate(ax.lines[1:]):  # the first one is the diagonal
        area = roc_auc_score(labels == c, probabilities[:, c])
        assert np.trapezoid(line.get_ydata(), line.get_xdata()) == pytest.approx(area)
        assert legend[c].endswith(f": {area:.4f}")
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines[1:]}) == 4


def test_a_class_without_cases_has_no_curve():
    ax = roc_figure([0, 1, 3], 0.6 * np.eye(4)[[0, 1, 3]] + 0.1).axes[0]
    assert len(ax.lines[3].get_xdata()) == 0
    assert ax.get_legend().get_texts()[2].get_text() == "2+: undefined"


def test_reliability_shows_its_table(data):
    upper, lower = reliability_figure(*data, bins=5).axes
    rows = reliability(*data, bins=5)
    filled = [row for row in rows if row["count"]]
    points = upper.lines[1]
    np.testing.assert_allclose(points.get_xdata(), [row["confidence"] for row in filled])
    np.testing.assert_allclose(points.get_ydata(), [row["accuracy"] for row in filled])
    assert [bar.get_height() for bar in lower.patches] == [row["count"] for row in rows]


def test_files(data, tmp_path):
    result = classification_metrics(*data, draws=0)
    paths = write_figures(result, *data, tmp_path / "new")
    assert list(paths) == ["confusion.png", "roc.png", "reliability.png"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(paths)
    assert all(p.read_bytes().startswith(b"\x89PNG\r\n") for p in paths.values())


def test_pyplot_does_not_hold_the_figures(data, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    before = pyplot.get_fignums()
    write_figures(classification_metrics(*data, draws=0), *data, tmp_path)
    assert pyplot.get_fignums() == before


def test_bad_predictions_draw_nothing():
    for draw in (roc_figure, reliability_figure):
        with pytest.raises(InvalidInputError, match="it takes values in"):
            draw([0], [[np.nan] * 4])


@pytest.mark.parametrize(
    ("module", "extra"), [("matplotlib.figure", "report"), ("sklearn.metrics", "her2")]
)
def test_a_missing_library_is_named(monkeypatch, data, module, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError, match=rf"pip install \"membrane-xai\[{extra}\]\""):
        roc_figure(*data)
