"""Referral to in situ hybridisation by a classifier's 2+ calls."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from her2_models.metrics._cases import Cases, check_level
from membrane_xai.errors import InvalidInputError
from membrane_xai.her2_rule import GRADES
from membrane_xai.statistics import Proportion

__all__ = ["ReferralSummary", "refer_to_ish"]

_EQUIVOCAL, _POSITIVE = GRADES.index("2+"), GRADES.index("3+")


@dataclass(frozen=True)
class ReferralSummary:
    """Who is sent to in situ hybridisation (ISH), by the classifier and by the reference.

    Attributes
    ----------
    sent : Proportion
        Of all cases, those called 2+.
    sent_by_reference : Proportion
        Of all cases, those that are 2+.
    sent_by_either : Proportion
        Of all cases, those that are 2+, or called so, or both.
    caught : Proportion
        Of the cases that are 2+, those called 2+; higher is better.
    missed_as_negative : Proportion
        Of the cases that are 2+, those called 0 or 1+: no test, no treatment. Lower is better.
    missed_as_positive : Proportion
        Of the cases that are 2+, those called 3+: treated untested. Lower is better.
    positive_sent : Proportion
        Of the cases that are 3+, those called 2+: a test too many. Lower is better.
    negative_sent : Proportion
        Of the cases that are 0 or 1+, those called 2+: a test too many. Lower is better.
    ci : float
        Level of the intervals.
    """

    sent: Proportion
    sent_by_reference: Proportion
    sent_by_either: Proportion
    caught: Proportion
    missed_as_negative: Proportion
    missed_as_positive: Proportion
    positive_sent: Proportion
    negative_sent: Proportion
    ci: float

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per share, as ``write_csv`` takes them.

        Returns
        -------
        list of dict
            With keys quantity, count, total, value, low, high.
        """
        shares = {name: share for name, share in vars(self).items() if name != "ci"}
        return [{"quantity": name, **asdict(share)} for name, share in shares.items()]


def refer_to_ish(
    labels: Any, probabilities: Any, *, threshold: float | None = None, ci: float = 0.95
) -> ReferralSummary:
    """Count who is sent to in situ hybridisation because their score is called 2+.

    Score 2+ is equivocal, and the guideline asks for ISH.

    Parameters
    ----------
    labels : array of int, shape (n,)
        True scores: 0 to 3 for 0, 1+, 2+, 3+. One per slide or patient makes the intervals right.
    probabilities : array of shape (n, 4)
        Rows sum to 1.
    threshold : float, optional
        Call 2+ where its probability is at least this, in (0, 1], and otherwise the most probable
        of the other scores. Default: the most probable score, the lower one if two tie.
    ci : float
        Level of the Wilson intervals.

    Returns
    -------
    ReferralSummary
        Shares of no cases, such as what is caught where no case is 2+, are NaN with total 0.

    Raises
    ------
    InvalidInputError
        As in :func:`classification_metrics`, or a threshold out of range.

    References
    ----------
    Wolff et al., "Human epidermal growth factor receptor 2 testing in breast cancer: ASCO-CAP
    guideline update", Arch Pathol Lab Med 147 (2023), 993-1000.

    Examples
    --------
    >>> import numpy as np
    >>> from her2_models.metrics import refer_to_ish
    >>> probabilities = 0.6 * np.eye(4)[[0, 2, 2, 1, 3]] + 0.1
    >>> summary = refer_to_ish([0, 1, 2, 2, 3], probabilities)
    >>> summary.sent.value, summary.caught.value, round(summary.caught.high, 4)
    (0.4, 0.5, 0.9055)
    >>> refer_to_ish([0, 3], probabilities[[0, 4]]).caught.value  # no case is 2+
    nan
    """
    check_level(ci)
    predictions = Cases.of(labels, probabilities)
    true, called = predictions.labels, _called(predictions, threshold)
    is_2, calls_2, everyone = true == _EQUIVOCAL, called == _EQUIVOCAL, true >= 0

    def share(part: Any, whole: Any) -> Proportion:
        return Proportion.of(int((part & whole).sum()), int(whole.sum()), ci)

    return ReferralSummary(
        sent=share(calls_2, everyone),
        sent_by_reference=share(is_2, everyone),
        sent_by_either=share(is_2 | calls_2, everyone),
        caught=share(calls_2, is_2),
        missed_as_negative=share(called < _EQUIVOCAL, is_2),
        missed_as_positive=share(called == _POSITIVE, is_2),
        positive_sent=share(calls_2, true == _POSITIVE),
        negative_sent=share(calls_2, true < _EQUIVOCAL),
        ci=ci,
    )


def _called(predictions: Cases, threshold: float | None) -> Any:
    if threshold is None:
        return predictions.called
    if not 0 < threshold <= 1:
        raise InvalidInputError(f"threshold is {threshold!r}; it takes a probability in (0, 1]")
    others = predictions.probabilities.copy()
    equivocal = others[:, _EQUIVOCAL] >= threshold
    others[:, _EQUIVOCAL] = -1
    return np.where(equivocal, _EQUIVOCAL, others.argmax(axis=1))
