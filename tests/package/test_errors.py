"""Missing libraries: one wording, and extras that there are."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from membrane_xai.errors import MembraneXAIError, MissingDependencyError, missing

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def calls(path, name):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def named_extras():
    """Yield each extra that an error of the source, a docstring or a page tells to install."""
    for path in SOURCES:
        for call in calls(path, "missing"):
            said = {one.arg: ast.literal_eval(one.value) for one in call.keywords}
            assert len(said) == 1, f"{path}:{call.lineno}: an extra or a package"
            for extra in said["extra"].split(",") if "extra" in said else ():
                yield pytest.param(extra, id=f"{path.name}:{call.lineno}:{extra}")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *SOURCES):
        for extras in sorted(set(re.findall(r"membrane-xai\[([\w,]+)\]", path.read_text()))):
            for extra in extras.split(","):
                yield pytest.param(extra, id=f"{path.name}:{extra}")


@pytest.mark.parametrize("extra", [*named_extras()])
def test_every_extra_that_is_told_exists(extra):
    assert extra in EXTRAS


def test_only_one_place_words_the_error():
    assert [path.name for path in SOURCES if [*calls(path, "MissingDependencyError")]] == [
        "errors.py"
    ]
    assert sum(len([*calls(path, "missing")]) for path in SOURCES) > 30


@pytest.mark.parametrize(
    ("library", "given", "message"),
    [
        (ModuleNotFoundError(name="jinja2"), {"extra": "report"},
         'it needs jinja2: pip install "membrane-xai[report]"'),
        (ModuleNotFoundError(name="sklearn.metrics"), {"extra": "her2"},
         'it needs scikit-learn: pip install "membrane-xai[her2]"'),
        ("pytorch_grad_cam", {"package": "grad-cam"}, "it needs grad-cam: pip install grad-cam"),
        (ImportError("no libGL"), {"extra": "slides"},
         'it needs a library (no libGL): pip install "membrane-xai[slides]"'),
    ],
)  # fmt: skip
def test_the_message_says_what_needs_which_package_and_the_command(library, given, message):
    error = missing(library, "it", **given)
    assert str(error) == message
    assert isinstance(error, MissingDependencyError)
    assert isinstance(error, MembraneXAIError)


def test_the_module_survives_a_second_wording():
    inner = missing(ModuleNotFoundError(name="yaml"), "her2_models", extra="her2")
    assert str(missing(inner, "the demo", extra="her2,report")) == (
        'the demo needs pyyaml: pip install "membrane-xai[her2,report]"'
    )
