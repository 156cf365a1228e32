"""A study as one HTML page to look at: numbers, figures, images with their maps, the whole table.

The page is a single file that asks nothing of the network. Research use only.
"""

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from membrane_xai import __version__
from membrane_xai._backend.checks import is_count
from membrane_xai._backend.vocabulary import OF_SUMS
from membrane_xai._disk.atomic import atomic_path
from membrane_xai._disk.progress import progress as progress_bar
from membrane_xai.accumulate._columns import COUNTS
from membrane_xai.errors import InvalidInputError, missing
from membrane_xai.html_report._chart import Chart, number
from membrane_xai.html_report._encoding import LEVELS
from membrane_xai.html_report._figures import context_chart, distribution_charts, ec_chart
from membrane_xai.html_report._gallery import DAB_LIMIT, chosen, payload, plain_row, view_of
from membrane_xai.html_report._series import (
    Patch,
    by_image,
    cases_of,
    input_scale,
    label_columns,
    patches_of,
    series_of,
    shown_columns,
    summaries_of,
    values_of,
)
from membrane_xai.study import StudyResult, read_study
from membrane_xai.study._rows import LARGEST_TESTED
from membrane_xai.study._summary import ec_columns, groups_of, intervals_of
from membrane_xai.study._views import has_view
from membrane_xai.study._zero import SKILLS
from membrane_xai.tables import cells_text, p_text, provenance

__all__ = ["write_html_report"]

_NBSP = "\N{NO-BREAK SPACE}"
_CASES = 6
"""The worst and the best of each method that are shown."""
_SCORES = {
    "map": "MAP",
    "chance": "Chance",
    "ideal": "Ideal",
    "toward_ideal": "Toward ideal",
    OF_SUMS: "Toward ideal, of sums",
    "ec_skill_geometric": "EC skill, geometric views",
    "ec_skill_photometric": "EC skill, photometric views",
    "ec": "EC",
    "ec0": "EC0",
}
_STATUSES = ("scored", *COUNTS[COUNTS.index("scored") + 1 :])
_ELSEWHERE = ("about", "membrane-xai")
"""Settings that the page shows by themselves."""
_PACKAGES = ("jinja2", "pillow", "scikit-image")


def write_html_report(
    study: str | Path,
    out: str | Path,
    *,
    title: str | None = None,
    command: str | None = None,
    most: int = 1000,
    date: datetime | None = None,
    progress: bool = False,
) -> Path:
    """Write a study as one HTML page: summary, figures, gallery, table and provenance.

    Parameters
    ----------
    study : path
        The folder that :func:`membrane_xai.evaluate` kept with ``out=``. With ``views=True`` it has
        the images, which the page then shows with their maps; columns that `labels` added, such as
        ``score`` and ``magnification``, get figures of their own.
    out : path
        The page; its folder is made, and a file there is replaced whole or not at all.
    title : str, optional
        Heading of the page; by default it names the folder.
    command : str, optional
        What was run, for the provenance.
    most : int
        Images in the gallery, from 0: the worst and the best toward the ideal first, then in the
        order of the table. The table has all. An image of 224 pixels takes some 40 kB.
    date : datetime, optional
        Written into the page; now by default. With the same study and date the page is the same,
        byte for byte.
    progress : bool
        Whether to show on stderr how far it has come, by :func:`membrane_xai.cli.progress`.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    InvalidInputError
        There is no study, it has no rows, or `most` is not a non-negative integer.
    MissingDependencyError
        jinja2 is not installed: ``pip install "membrane-xai[report]"``.

    Notes
    -----
    The page shows what the study has, and measures nothing: its means and intervals are those of
    :meth:`membrane_xai.StudyResult.summary`, with the draws and the seed that the study keeps, and
    p-values those of ``evaluate(..., chance_test=True)``. Where a method has several rows for an
    image, one for each class, its classes are kept apart. MAP stands beside chance and ideal
    throughout, with the size of a cell in micrometres where it is known.

    The page computes MAP at a threshold itself: of a map it has, for each pixel of the mask, the
    last of the thresholds 0, 0.01, ... 1 that it reaches, as :func:`membrane_xai.map_score` finds
    with the grid of the map: it is drawn where the network saw it.

    Names from the study are escaped, and a content security policy allows the page its own script
    and style alone.

    Examples
    --------
    >>> import numpy as np
    >>> from membrane_xai import evaluate
    >>> from membrane_xai.html_report import write_html_report
    >>> folder = getfixture("tmp_path")
    >>> image = np.full((8, 8, 3), 240, np.uint8)
    >>> image[:, 2:4] = 90
    >>> methods = {"<darkness>": lambda rgb: 240.0 - rgb.mean(axis=-1)}
    >>> masks = [image[..., 0] < 200, np.zeros((8, 8), bool)]
    >>> _ = evaluate(methods, [image, image], masks, out=folder / "study", views=True)
    >>> page = write_html_report(folder / "study", folder / "report.html", title="Two images")
    >>> text = page.read_text(encoding="utf-8")
    >>> "<title>Two images</title>" in text, "&lt;darkness&gt;" in text, "<darkness>" in text
    (True, True, False)
    >>> write_html_report(folder, folder / "report.html")
    Traceback (most recent call last):
    membrane_xai.errors.InvalidInputError: study is '...'; no study has been kept there
    """
    if not is_count(most) or most < 0:
        raise InvalidInputError(f"most is {most!r}; it takes a non-negative integer")
    environment = _environment()
    folder = Path(study)
    found = _read(folder)
    when = datetime.now(UTC) if date is None else date
    name = f"Membrane audit: {folder.resolve().name}" if title is None else title
    made = _Page(folder, found, most)
    with progress_bar(len(made.shown), shown=progress) as show:
        context = made.context(show) | {
            "title": name,
            "date": when.strftime("%Y-%m-%d %H:%M %Z").strip(),
            "provenance": _provenance(found, command, made.patches),
        }
        with atomic_path(Path(out)) as temporary, temporary.open("w", encoding="utf-8") as file:
            template = environment.get_template("page.html.j2")
            file.writelines(template.generate(_assets() | context))
    return Path(out)


class _Page:
    """Context of the template: numbers, figures and images of a study."""

    def __init__(self, folder: Path, study: StudyResult, most: int) -> None:
        self._folder = folder
        self._settings = study.settings
        self._on_grid = study.on_grid
        self._rows = by_image(study.rows)
        self._added = study.settings.get("added", [])
        controls = study.settings.get("controls", [])
        self._scores = _SCORES | {f"specificity_{x}": f"Specificity, {x}" for x in controls}
        self._series = series_of(self._rows)
        self._cases = [(one, *cases_of(one, _CASES)) for one in self._series]
        self.patches = patches_of(self._rows)
        self._kept_views = bool(study.settings.get("views"))
        first = [row["key"] for _, low, high in self._cases for row in (*low, *high)]
        wanted = chosen(self.patches, first, most) if self._kept_views else []
        self.shown = [patch for patch in wanted if has_view(folder, patch.key)]
        self._n_unreadable = len(wanted) - len(self.shown)

    def context(self, show: Any) -> dict[str, Any]:
        """Return all that the template needs but heading and provenance."""
        parts = summaries_of(self._series, on_grid=self._on_grid, **intervals_of(self._settings))
        groups = groups_of(self._rows)
        scores = {name: words for name, words in self._scores.items() if name in parts[0]}
        return {
            "parts": parts,
            "scores": scores,
            "n_plain": sum(name in scores for name in _SCORES),
            "ignoring": sum(part.get("ec_ignores_image", 0) for part in parts),
            "tested": self._settings.get("chance_test"),
            "too_large": self._too_large(),
            "largest_tested": LARGEST_TESTED,
            "n_groups": None if groups is None else len(dict.fromkeys(groups)),
            "notes": {
                part[f"{name}_note"]
                for part in parts
                for name in scores
                if part[name] == part[name]  # beside a dash there is none
            },
            "statuses": [name for name in _STATUSES if any(part[name] for part in parts)],
            "n_images": len(self.patches),
            "n_rows": len(self._rows),
            "context_chart": context_chart(parts),
            "distributions": self._distributions(),
            "ec_chart": ec_chart(
                parts, [*(name for name in SKILLS if name in scores), *ec_columns(self._rows)]
            ),
            "input_scale": input_scale(self._rows),
            "has_magnification": "magnification" in self._rows[0],
            "missing_labels": [
                name for name in ("score", "magnification") if name not in self._rows[0]
            ],
            "cases": self._cases,
            "kept_views": self._kept_views,
            "n_shown": len(self.shown),
            "dab_limit": DAB_LIMIT,
            "n_unreadable": self._n_unreadable,
            "table": self._table(),
            "payloads": self._payloads(show),
            "numbers": {patch.key: patch.number for patch in self.shown},
        }

    def _too_large(self) -> list[str]:
        """Return the methods with maps that were too large for the test against chance."""
        ok = [row for row in self._rows if row["status"] == "ok"]
        if self._on_grid is not None:
            there = self._on_grid
            untested = [row for row in ok if (row["key"], row["method"], row["class"]) not in there]
        else:
            untested = [row for row in ok if "p_value" in row and math.isnan(row["p_value"])]
        return sorted({row["method"] for row in untested})

    def _distributions(self) -> list[tuple[str, list[Chart]]]:
        labels = [
            name for name in label_columns(self._rows, self._added) if values_of(self._rows, name)
        ]
        return [
            (
                "By method" if label is None else f"By {label}",
                distribution_charts(self._series, label),
            )
            for label in (None, *labels)
        ]

    def _table(self) -> dict[str, Any]:
        return {
            "columns": list(self._rows[0]),
            "rows": [plain_row(row) for row in self._rows],
            "shown": shown_columns(self._rows, self._added),
            "labels": label_columns(self._rows, self._added),
            "patches": [{"number": patch.number, "rows": patch.rows} for patch in self.shown],
            "levels": LEVELS,
            "cells": [_cells(row) for row in self._rows],
        }

    def _payloads(self, show: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield images one by one: the page is written as they come, and never held in memory."""
        negative = self._settings.get("negative", "clip")
        for i, patch in enumerate(self.shown):
            view = view_of(self._folder, patch.key)
            yield patch.number, payload(patch, view, self._rows, negative)
            show(i + 1, "drawing")


def _read(folder: Path) -> StudyResult:
    try:
        found = read_study(folder)
    except InvalidInputError as error:  # it calls the folder `out`
        raise InvalidInputError(
            f"study is {str(folder)!r}; no study has been kept there"
        ) from error
    if not found.rows:
        raise InvalidInputError(f"study is {str(folder)!r}; it has no rows yet")
    return found


def _environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise missing(error, "the report", extra="report") from error
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("membrane_xai.html_report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    environment.filters["interval"] = _interval
    environment.filters["p"] = _p
    environment.filters["cells"] = _cells
    return environment


def _assets() -> dict[str, Any]:
    """Return style and script with their hashes, which are all that the page's policy allows."""
    folder = resources.files("membrane_xai.html_report") / "page"
    found: dict[str, Any] = {}
    for name in ("css", "js"):
        text = (folder / f"page.{name}").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        found |= {name: text, f"{name}_hash": f"'sha256-{digest}'"}
    return found


def _provenance(
    study: StudyResult, command: str | None, patches: Sequence[Patch]
) -> Mapping[str, Any]:
    record = provenance(study.settings, packages=_PACKAGES)
    digest = hashlib.sha256("\n".join(sorted(patch.key for patch in patches)).encode())
    return {
        "settings": {
            name: value for name, value in study.settings.items() if name not in _ELSEWHERE
        },
        "about": study.settings.get("about") or {},
        "versions": record["versions"],
        "platform": record["platform"],
        "scored_by": study.settings.get("membrane-xai", "not known"),
        "written_by": __version__,
        "command": command,
        "data_hash": f"sha256:{digest.hexdigest()}",
    }


def _interval(part: Mapping[str, Any], name: str) -> str:
    """Return the interval below a mean with the note on it; nothing where there is no mean."""
    low, note = part[f"{name}_low"], part[f"{name}_note"]
    if part[name] != part[name]:
        return ""
    if low != low:
        return str(note)
    ends = number(low), "to", number(part[f"{name}_high"])
    return f"{_NBSP.join(ends)} {note}".rstrip()  # the note may go below


def _cells(row: Mapping[str, Any]) -> str:
    return cells_text(row).replace(" um", f"{_NBSP}\N{MICRO SIGN}m")


def _p(value: float) -> str:
    return number(value) if value != value else p_text(value)
