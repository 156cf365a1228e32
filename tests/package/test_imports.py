"""What `import membrane_xai` loads, and the names it offers."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from core_numbers import numbers_of_the_core
from interpreters import FRAMEWORKS, HEAVY, modules_after

import membrane_xai as mx


def test_import_is_light():
    loaded = modules_after("import membrane_xai; membrane_xai.__version__")
    assert "membrane_xai" in loaded
    assert not loaded & HEAVY


def test_the_core_computes_without_any_framework():
    loaded = modules_after(
        "import numpy as np, membrane_xai as mx\n"
        "cams, mask = np.random.default_rng(0).random((3, 4, 4)), np.eye(8, dtype=bool)\n"
        "mx.map_score(cams, mask), mx.alignment(cams, mask), mx.ec_score(cams)\n"
        "mx.extract_membrane_mask(np.full((16, 16, 3), 240, np.uint8), mpp=0.5)\n"
    )
    assert "numpy" in loaded
    assert not loaded & FRAMEWORKS


def test_every_public_name_resolves():
    loaded = modules_after(
        "import membrane_xai as mx\n"
        "missing = [n for n in mx.__all__ if getattr(mx, n, None) is None]\n"
        "assert mx.__all__ and not missing, missing\n"
        "assert set(mx.__all__) <= set(dir(mx))\n"
    )
    assert not loaded & (HEAVY | FRAMEWORKS)  # they wait until a function needs them


def test_no_function_is_called_like_a_module():
    """Such a name would mean the one before the module is loaded and the other after."""
    loaded = modules_after(
        "import importlib, pkgutil, types, membrane_xai as mx\n"
        "names = [m.name for m in pkgutil.iter_modules(mx.__path__)]\n"
        "for name in names:\n"
        "    importlib.import_module(f'membrane_xai.{name}')\n"
        "both = [n for n in names if not isinstance(getattr(mx, n), types.ModuleType)]\n"
        "assert len(names) > 20 and not both, both\n"
        "assert callable(mx.alignment) and callable(mx.consistency)\n"
    )
    assert "membrane_xai" in loaded


def test_processes_import_what_is_tested(tmp_path):
    """Wherever they run: a relative PYTHONPATH would lead them to what is installed."""
    code = "import membrane_xai; print(membrane_xai.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == Path(mx.__file__).resolve()


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(mx, "no_such_name")


HELPERS = Path(__file__).parents[1] / "helpers"
WITHOUT_XARRAY = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("pandas", "xarray"):
            raise ModuleNotFoundError("No module named " + name, name=name)
sys.meta_path.insert(0, Absent())
sys.path.insert(0, {tests!r})
from core_numbers import numbers_of_the_core
print(numbers_of_the_core({folder!r}))
"""


def test_without_xarray_and_pandas_only_labels_are_missing(tmp_path, capsys):
    code = WITHOUT_XARRAY.format(tests=str(HELPERS), folder=str(tmp_path / "blocked"))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    blocked = done.stdout.strip().splitlines()[-1]
    assert blocked == numbers_of_the_core(tmp_path / "free")
    assert len(json.loads(blocked)["audit"]) == 2


def test_without_xarray_a_dataset_and_a_store_say_what_they_need(tmp_path, monkeypatch):
    from membrane_xai import labelled

    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(mx.errors.MissingDependencyError, match=r"needs xarray.*xai\[dask\]"):
        labelled.evaluate_store(tmp_path, out=tmp_path / "out")
    with pytest.raises(mx.errors.MissingDependencyError, match=r"needs xarray.*xai\[labelled\]"):
        labelled.score_dataset({"cam": np.ones((2, 2)), "mask": np.eye(2, dtype=bool)})


def test_the_core_depends_on_neither_and_the_extras_bring_xarray():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    core, extras = project["dependencies"], project["optional-dependencies"]
    assert not [one for one in core if one.startswith(("pandas", "xarray"))]
    for name in ("labelled", "dask"):
        assert [one for one in extras[name] if one.startswith("xarray")]
    assert "labelled" in extras["all"][0].split("[")[1].rstrip("]").split(",")
