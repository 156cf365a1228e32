"""Metrics as CSV, JSON, Markdown and cross tables."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from her2_models.metrics._results import PER_CLASS, SINGLE, ClassificationMetrics
from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import provenance, write_csv, write_json, write_markdown

__all__ = ["confusion_rows", "cross_table", "write_tables"]

Row = dict[str, Any]


def write_tables(
    result: ClassificationMetrics,
    folder: str | Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Any] | None = None,
    about: Mapping[str, str] | None = None,
) -> dict[str, Path]:
    """Write metrics as CSV, JSON and Markdown, and the confusion matrix as CSV.

    Parameters
    ----------
    result : ClassificationMetrics
        What to write.
    folder : path
        Made if needed; files of the same names are replaced.
    parameters : mapping, optional
        What else was chosen, such as the checkpoint, for the provenance in the JSON file. The
        options of the bootstrap are in it anyway.
    inputs : mapping of str to array, optional
        Such as labels and probabilities, of which the provenance keeps hashes.
    about : mapping of str to str, optional
        What is to be said with these numbers, such as whose labels they are of: in the provenance,
        at the top of metrics.md, and in columns of metrics.csv. An empty text says nothing.

    Returns
    -------
    dict of str to Path
        metrics.csv, metrics.json, metrics.md and confusion.csv by these names.

    Examples
    --------
    >>> from her2_models.metrics import metrics_from_confusion, write_tables
    >>> result = metrics_from_confusion([[8, 0], [2, 0]], names=["2+", "3+"])
    >>> paths = write_tables(result, getfixture("tmp_path"), parameters={"weights": "none"})
    >>> print(paths["confusion.csv"].read_text())
    true,2+,3+
    2+,8,0
    3+,2,0
    <BLANKLINE>
    >>> print("".join(paths["metrics.md"].read_text().splitlines(keepends=True)[4:9]))
    | accuracy | 0.8000 |
    | balanced accuracy | 0.5000 |
    | quadratic kappa | 0.0000 |
    | macro precision | undefined: never predicted: 3+ |
    | macro recall | 0.5000 |
    <BLANKLINE>
    """
    about = about or {}
    folder, rows = Path(folder), [{**row, **about} for row in result.rows()]
    record = provenance({**_sampling(result), **(parameters or {}), **about}, inputs=inputs or {})
    record["confusion"] = {"names": result.names, "rows_true": result.confusion}
    return {
        "metrics.csv": write_csv(folder / "metrics.csv", rows),
        "metrics.json": write_json(folder / "metrics.json", result.rows(), record),
        "metrics.md": write_markdown(folder / "metrics.md", _said(about) | _readable(result)),
        "confusion.csv": write_csv(folder / "confusion.csv", confusion_rows(result)),
    }


def confusion_rows(result: ClassificationMetrics) -> list[Row]:
    """Return the confusion matrix as rows: the true class, then cases by predicted class.

    Parameters
    ----------
    result : ClassificationMetrics
        Of which the matrix is.

    Returns
    -------
    list of dict
        As ``write_csv`` takes them.
    """
    return [
        {"true": name, **dict(zip(result.names, counts, strict=True))}
        for name, counts in zip(result.names, result.confusion.tolist(), strict=True)
    ]


def cross_table(
    results: Mapping[tuple[str, str], ClassificationMetrics],
    *,
    quantity: str = "accuracy",
    of: str | None = None,
) -> list[Row]:
    """Set out one quantity by what was trained on and what was tested on.

    Parameters
    ----------
    results : mapping of (str, str) to ClassificationMetrics
        By (train, test), such as magnifications or data sets.
    quantity : str
        An attribute such as "quadratic_kappa"; with `of` one that each class has, such as "recall".
    of : str, optional
        The class.

    Returns
    -------
    list of dict
        A row per pair of a train and a test name, in the order in which names first appear, with
        keys train, test, quantity, class, value, low, high, n_eff, note, n, n_groups, clustered,
        reason. A pair that is not in `results` has NaN and the reason "not evaluated", so the table
        is complete.

    Raises
    ------
    InvalidInputError
        No results, or no such quantity or class.

    Examples
    --------
    >>> from her2_models.metrics import cross_table, metrics_from_confusion
    >>> good, poor = ([[9, 1], [1, 9]], [[5, 5], [5, 5]])
    >>> rows = cross_table({
    ...     ("10x", "10x"): metrics_from_confusion(good, names=["-", "+"]),
    ...     ("10x", "40x"): metrics_from_confusion(poor, names=["-", "+"]),
    ...     ("40x", "40x"): metrics_from_confusion(good, names=["-", "+"]),
    ... })
    >>> for row in rows:
    ...     print(row["train"], row["test"], row["value"], row["n"], row["reason"])
    10x 10x 0.9 20
    10x 40x 0.5 20
    40x 10x nan 0 not evaluated
    40x 40x 0.9 20
    """
    if not results:
        raise InvalidInputError("results is empty; it takes at least one result")
    trained, tested = (list(dict.fromkeys(pair[i] for pair in results)) for i in (0, 1))
    empty = {"quantity": quantity, "class": of or "", "value": np.nan, "low": np.nan}
    empty |= {"high": np.nan, "n_eff": np.nan, "note": "", "reason": "not evaluated"}
    rows = []
    for train in trained:
        for test in tested:
            result = results.get((train, test))
            found = empty if result is None else result.row(quantity, of)
            rows.append(_cross_row(train, test, found, result))
    return rows


def _cross_row(
    train: str, test: str, found: Mapping[str, Any], result: ClassificationMetrics | None
) -> Row:
    names = ("quantity", "class", "value", "low", "high", "n_eff", "note")
    numbers = {key: found[key] for key in names}
    return {
        "train": train,
        "test": test,
        **numbers,
        "n": 0 if result is None else int(result.confusion.sum()),
        "n_groups": 0 if result is None else result.n_groups,
        "clustered": result is not None and result.clustered,
        "reason": found["reason"],
    }


def _sampling(result: ClassificationMetrics) -> Row:
    names = ("ci", "method", "draws", "seed", "clustered", "n_groups")
    return {name: getattr(result, name) for name in names}


def _said(about: Mapping[str, str]) -> dict[str, list[Row]]:
    said = {key.replace("_", " "): text for key, text in about.items() if text}
    rows = [{"of these numbers": key, "": text} for key, text in said.items()]
    return {"To be said with them": rows} if rows else {}


def _readable(result: ClassificationMetrics) -> dict[str, list[Row]]:
    head = "value" if not result.intervals else f"value ({100 * result.ci:.4g} % interval)"
    said = result.intervals["accuracy"].note if result.intervals else ""
    single = [
        {"quantity": name.replace("_", " "), head: _cell(result.row(name), said)} for name in SINGLE
    ]
    classes = [
        {
            "class": of,
            "cases": cases,
            **{name: _cell(result.row(name, of), said) for name in PER_CLASS},
        }
        for of, cases in zip(result.names, result.support.tolist(), strict=True)
    ]
    return {
        f"All classes, {_basis(result)}": single,
        "Each class against the rest": classes,
        "Cases, true by predicted": confusion_rows(result),
    }


def _basis(result: ClassificationMetrics) -> str:
    cases = f"{result.confusion.sum()} cases"
    if not result.intervals:
        return cases
    accuracy = result.intervals["accuracy"]
    mark = f", {accuracy.note}" if accuracy.note else ""
    how = (
        result.method if result.method == "jackknife" else f"{result.method}, {result.draws} draws"
    )
    if result.clustered:
        size = f"{result.n_groups} groups (as {accuracy.n_eff:.1f} of one size)"
        return f"{cases} in {size}, {how} over groups{mark}"
    return f"{cases} taken as independent, {how}{mark}"


def _cell(row: Row, said: str) -> str:
    """Return a number with its interval, and its note unless the heading has said that."""
    if np.isnan(row["value"]):
        return f"undefined: {row['reason']}"
    if np.isnan(row["low"]):
        return f"{row['value']:.4f}" + (f" ({row['note']})" if row["note"] else "")
    ends = f"{row['low']:.4f} to {row['high']:.4f}"
    return (
        f"{row['value']:.4f} ({ends}{', ' + row['note'] if row['note'] not in ('', said) else ''})"
    )
