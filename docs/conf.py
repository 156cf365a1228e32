"""Sphinx configuration.

Builds without network access. ``MEMBRANE_XAI_DOCS_ONLINE=1`` also links types and functions of
NumPy, PyTorch and others to their own documentation.
"""

import os
import sys
from pathlib import Path

from sphinx.application import Sphinx

import membrane_xai

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "membrane-xai"
author = "membrane-xai maintainers"
copyright = f"2026, {author}"
version = release = membrane_xai.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "benchmark_tables",
    "command_help",
    "constants",
    "example_scripts",
    "public_names",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
nitpicky = True  # a cross-reference that leads nowhere fails the build

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # shapes, units and ranges are in the docstrings, types alone say less
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

# Public modules whose every name must have a page; see _extensions/public_names.py.
documented_modules = [
    "membrane_xai",
    "membrane_xai.accumulate",
    "membrane_xai.annotations",
    "membrane_xai.baselines",
    "membrane_xai.cells",
    "membrane_xai.cli",
    "membrane_xai.datasets",
    "membrane_xai.errors",
    "membrane_xai.explanation_consistency",
    "membrane_xai.figures",
    "membrane_xai.her2_rule",
    "membrane_xai.html_report",
    "membrane_xai.integrations.captum",
    "membrane_xai.integrations.pytorch",
    "membrane_xai.integrations.pytorch_grad_cam",
    "membrane_xai.integrations.quantus",
    "membrane_xai.integrations.torchcam",
    "membrane_xai.integrations.torchmetrics",
    "membrane_xai.io",
    "membrane_xai.labelled",
    "membrane_xai.masks",
    "membrane_xai.metrics",
    "membrane_xai.perturb",
    "membrane_xai.results",
    "membrane_xai.slide_map",
    "membrane_xai.stain",
    "membrane_xai.statistics",
    "membrane_xai.study",
    "membrane_xai.tables",
    "her2_models.cli",
    "her2_models.config",
    "her2_models.data",
    "her2_models.demo",
    "her2_models.evaluate",
    "her2_models.explain",
    "her2_models.metrics",
    "her2_models.models",
    "her2_models.score_cam",
    "her2_models.train",
]

if os.environ.get("MEMBRANE_XAI_DOCS_ONLINE") == "1":
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "scipy": ("https://docs.scipy.org/doc/scipy", None),
        "skimage": ("https://scikit-image.org/docs/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "xarray": ("https://docs.xarray.dev/en/stable", None),
    }

html_theme = "furo"
html_title = f"{project} {release}"
html_static_path = ["_static"]

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", drop_placeholder)


def drop_placeholder(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Leave out what Python writes for a NamedTuple field that has no docstring of its own."""
    if " ".join(lines).strip().startswith("Alias for field number"):
        lines.clear()
