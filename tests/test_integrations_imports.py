"""Each integration loads its own library alone, and names the command when it is missing."""

import importlib
import re
import sys

import pytest
from test_imports import modules_after

from membrane_xai.errors import MissingDependencyError

PACKAGES = {
    "captum": "captum",
    "pytorch_grad_cam": "grad-cam",
    "quantus": "quantus",
    "torchcam": "torchcam",
    "torchmetrics": "torchmetrics",
}
NEEDS = {"quantus": {"captum"}}  # what a library loads itself


def test_the_package_loads_no_framework():
    loaded = modules_after(
        "import membrane_xai as mx, membrane_xai.integrations\n"
        f"assert sorted(dir(mx.integrations)) == {sorted(PACKAGES)}\n"
    )
    assert not loaded & {"torch", *PACKAGES}


@pytest.mark.parametrize("library", PACKAGES)
def test_a_module_loads_its_own_library_alone(library):
    pytest.importorskip(library)
    loaded = modules_after(
        f"import membrane_xai as mx; assert mx.integrations.{library}.__all__\n"
        f"from membrane_xai.integrations.{library} import *"
    )
    assert library in loaded
    assert not loaded & ((set(PACKAGES) | {"her2_models"}) - {library} - NEEDS.get(library, set()))


@pytest.mark.parametrize("library", PACKAGES)
@pytest.mark.parametrize("missing", ["library", "torch"])
def test_without_the_library_the_message_names_the_command(monkeypatch, library, missing):
    name = library if missing == "library" else "torch"
    if missing == "torch" and library in ("captum", "quantus"):
        pytest.skip("imported through the library")
    for module in [m for m in sys.modules if m.startswith("membrane_xai.integrations.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    message = f"membrane_xai.integrations.{library} needs {name}: pip install {PACKAGES[library]}"
    with pytest.raises(MissingDependencyError, match=f"^{re.escape(message)}$"):
        importlib.import_module(f"membrane_xai.integrations.{library}")
