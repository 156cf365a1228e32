"""What `import membrane_xai` loads, and the names it offers."""

import json
import subprocess
import sys

import membrane_xai as mx

HEAVY = {"torch", "pandas", "xarray", "matplotlib", "skimage", "scipy", "dask", "jinja2", "PIL"}
FRAMEWORKS = {"torch", "timm", "jax", "cupy", "tensorflow", "pytorch_grad_cam", "her2_models"}


def modules_after(code):
    """Run code in a new interpreter and return the top-level packages it has loaded."""
    report = "import json, sys; print(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


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


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(mx, "no_such_name")
