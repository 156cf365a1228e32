"""The reference shows what is said of a constant, wherever a public module takes it from."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def constants():
    path = ROOT / "docs" / "_extensions" / "constants.py"
    spec = importlib.util.spec_from_file_location("constants", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("module", "name", "begins"),
    [
        ("membrane_xai.masks", "INTENSITIES", ""),  # its own
        ("membrane_xai.her2_rule", "GRADES", "HER2 scores as"),  # of a private module
        ("membrane_xai.metrics", "SCORES", "Scores of"),  # by a stub, and from there on
    ],
)
def test_what_is_said_where_a_constant_is_defined(constants, module, name, begins):
    first, *_ = constants._said(module, name)
    assert first
    assert first.startswith(begins)


@pytest.mark.parametrize(
    ("module", "name"),
    [("membrane_xai.metrics", "NOWHERE"), ("membrane_xai.no_module", "SCORES"), ("math", "pi")],
)
def test_nothing_is_said_of_others(constants, module, name):
    assert constants._said(module, name) is None
