"""``StudyResult``: the table of a study, and its summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from membrane_xai.study._columns import with_columns, write_columns
from membrane_xai.study._finished import Rows
from membrane_xai.study._permuted import OnGrid
from membrane_xai.study._summary import intervals_of, parts_by, summary_of
from membrane_xai.tables import provenance, write_csv, write_json

__all__ = ["StudyResult"]


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
    inputs : dict of str to str
        SHA-256 of each file that was read, by path; empty where the rows alone were read back.
    on_grid : dict, or None
        What permuting maps among patients needs of each row; None unless the study asks for it.
    """

    rows: Rows
    settings: dict[str, Any] = field(repr=False)
    inputs: dict[str, str] = field(default_factory=dict, repr=False)
    on_grid: OnGrid | None = field(default=None, repr=False)

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
            Columns of numbers; by default those of ``membrane_xai.metrics.SUMMARY_SCORES``, and EC
            with all of its columns.
        ci : float in (0, 1)
            Nominal coverage of the intervals.
        draws, seed : int, optional
            Of a bootstrap, by default those of the study; the jackknife draws nothing.

        Returns
        -------
        list of dict
            For each combination, in order of appearance: how many `rows` and `groups` (None unless
            each row has one), how many rows are `scored`, how many not, by status; for each score
            its mean over the rows where it is defined, ``<score>_low`` and ``<score>_high`` of the
            interval by :func:`membrane_xai.summarize`, the number of rows ``<score>_n``,
            ``<score>_n_eff``, how many groups of one size would tell as much, and
            ``<score>_note``: "few_groups" where the interval is withheld, "small_sample" with fewer
            than ten groups, "at_bound" or "skewed" as in
            :class:`membrane_xai.statistics.Interval`, else "". Chance, ideal and ceiling run over
            the rows that have a MAP. `toward_ideal_of_sums` is ``sum(map - chance) / sum(ideal -
            chance)`` over the rows with `toward_ideal`, which is the mean of ratios. `grid` and
            `cam_grid` are those that all rows with a map share, else "several", and `cell_um` is
            the mean. After a chance test, also `p_value` of all rows together, of how many,
            `p_value_n`, by which null, `p_value_null`, and `p_value_note`. "permutation" is
            :func:`membrane_xai.statistics.permutation_null`, and the note its `status` where there
            is no p, or "ungrouped" where each image counts as a patient; "shift" is
            :func:`membrane_xai.statistics.combine_nulls`.

        Raises
        ------
        InvalidInputError
            A column that the table has not, or has no numbers; unknown options.
        """
        chosen = {"draws": draws, "seed": seed}
        options = intervals_of(self.settings)
        options |= {name: value for name, value in chosen.items() if value is not None}
        parts = parts_by(self.rows, by)
        return summary_of(parts, scores, ci=ci, on_grid=self.on_grid, **options)

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
