"""Scores in; intervals, paired comparisons and tests against chance out.

Samples that belong together, such as patches of one patient, are kept together throughout.
Undefined scores are left out and counted.
"""

from membrane_xai._backend.labels import group_codes, read_labels
from membrane_xai._backend.numeric import read_numbers
from membrane_xai._backend.vocabulary import NULLS
from membrane_xai.statistics._combination import CombinedNull, combine_nulls
from membrane_xai.statistics._comparison import Comparison, compare_paired
from membrane_xai.statistics._consistency import summarize_consistency
from membrane_xai.statistics._interval import Interval, Statistic, bootstrap, interval_of
from membrane_xai.statistics._nulls import NullResult, random_cam_null, shift_null
from membrane_xai.statistics._permutation import holm
from membrane_xai.statistics._permutation_null import PermutationNull, permutation_null
from membrane_xai.statistics._proportion import Proportion
from membrane_xai.statistics._sample_size import SampleSize, patients_needed
from membrane_xai.statistics._summary import Summary, summarize, summarize_ratio

__all__ = [
    "NULLS",
    "CombinedNull",
    "Comparison",
    "Interval",
    "NullResult",
    "PermutationNull",
    "Proportion",
    "SampleSize",
    "Statistic",
    "Summary",
    "bootstrap",
    "combine_nulls",
    "compare_paired",
    "group_codes",
    "holm",
    "interval_of",
    "patients_needed",
    "permutation_null",
    "random_cam_null",
    "read_labels",
    "read_numbers",
    "shift_null",
    "summarize",
    "summarize_consistency",
    "summarize_ratio",
]
