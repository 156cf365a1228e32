"""Data sets of HER2 IHC: find them, check them, split them, get them.

A :class:`Manifest` lists the images with what is known of each. :func:`discover` makes it from what
is on disk, :func:`check` says what is wrong with it, :func:`split_manifest` splits it. Nothing is
downloaded unless :func:`get` is called. No function here needs torch.
"""

from her2_models.data._archives import extract
from her2_models.data._check import check
from her2_models.data._discover import discover
from her2_models.data._download import DATA_SETS, get
from her2_models.data._leaks import LeakSafety, leak_safety
from her2_models.data._manifest import LABEL_LEVELS, SPLITS, Manifest, Record, label_level
from her2_models.data._manifest_csv import manifest_from_csv
from her2_models.data._report import DataReport
from her2_models.data._splits import SCHEMES, split_manifest, write_splits
from her2_models.data._synthetic import draw_slides

__all__ = [
    "DATA_SETS",
    "LABEL_LEVELS",
    "SCHEMES",
    "SPLITS",
    "DataReport",
    "LeakSafety",
    "Manifest",
    "Record",
    "check",
    "discover",
    "draw_slides",
    "extract",
    "get",
    "label_level",
    "leak_safety",
    "manifest_from_csv",
    "split_manifest",
    "write_splits",
]
