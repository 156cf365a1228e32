"""Audit CAMs from files: masks, MAP, EC and a report in one go, whatever tool has made the CAMs.

The name of an image is its path below --images without suffix. Its CAM is METHOD/NAME.npy below
--cams, or NAME.npy for a single method; also .npz, .zarr, .png or .tif, on any grid. What has no
counterpart is listed. The same command goes on where it was stopped, and does what has changed.
Research use only.

DIR gets:
  results.csv, results.json   a row for each image and method; with versions, command, hashes
  summary.json                means with intervals, by class and the columns of --groups
  ec.csv                      EC among the CAMs of each class, group and so on
  unmatched.txt               images, CAMs and rows without a counterpart
  report.html                 to look at
  manifest.json, part-*.jsonl, views/   the study, for membrane_xai.study.read_study

EC under perturbations needs the network: see `her2 explain` and membrane_xai.evaluate.

for example:
  membrane-xai audit --images patches --cams cams --mpp 0.5 --out audit
  membrane-xai audit --images patches --cams cams --annotations outlines --annotation-class Membrane
  membrane-xai audit --images patches --cams cams --mpp 0.25 --groups slides.csv --regions tissue
"""

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from membrane_xai._audit_options import count_type, number_type
from membrane_xai.errors import InvalidInputError, MissingDependencyError

if TYPE_CHECKING:
    from membrane_xai._audit_matching import Matches
    from membrane_xai._audit_run import Audit

__all__ = ["add_arguments", "run"]
