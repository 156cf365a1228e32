"""What lies where: names of files in the source, and a place for the tests of every stage."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SOURCES = TESTS.parent / "src"
STAGES = sorted(
    path.stem
    for path in (SOURCES / "membrane_xai").iterdir()
    if not path.name.startswith("_") and (path.is_dir() or path.suffix == ".py")
)


@pytest.mark.parametrize("package", ["membrane_xai", "her2_models"])
def test_no_file_repeats_the_name_of_its_folder(package):
    """Nobody can say what would lie in `io/_io.py` and what in `io/__init__.py`."""
    files = [*(SOURCES / package).rglob("*.py")]
    assert len({path.parent for path in files}) > 5
    assert not [path for path in files if path.stem.strip("_") == path.parent.name.strip("_")]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_a_folder_or_a_file_of_tests(stage):
    ours = [path for path in TESTS.rglob("test_*.py") if path.parts[len(TESTS.parts)] != "her2"]
    assert [path for path in ours if path.stem == f"test_{stage}" or path.parent.name == stage]
