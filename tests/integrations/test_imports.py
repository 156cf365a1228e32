"""Each integration loads its own library alone, and names the command when it is missing."""

import pytest
from interpreters import modules_after

PACKAGES = {
    "captum": "captum",
    "pytorch": "torch",
    "pytorch_grad_cam": "grad-cam",
    "quantus": "quantus",
    "torchcam": "torchcam",
    "torchmetrics": "torchmetrics",
}
MODULES = {"pytorch": "torch"}  # where the library is imported by another name than ours
NEEDS = {"quantus": {"captum"}}  # what a library loads itself


def test_the_package_loads_no_framework():
    loaded = modules_after(
        "import membrane_xai as mx, membrane_xai.integrations\n"
        f"assert sorted(dir(mx.integrations)) == {sorted(PACKAGES)}\n"
    )
    assert not loaded & {"torch", *PACKAGES}


@pytest.mark.parametrize("library", PACKAGES)
def test_a_module_loads_its_own_library_alone(library):
    module = MODULES.get(library, library)
    pytest.importorskip(module)
    loaded = modules_after(
        f"import membrane_xai as mx; assert mx.integrations.{library}.__all__\n"
        f"from membrane_xai.integrations.{library} import *"
    )
    assert module in loaded
    assert not loaded & ((set(PACKAGES) | {"her2_models"}) - {library} - NEEDS.get(library, set()))


BLOCK = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == {name!r}:
            raise ModuleNotFoundError("No module named " + name, name={name!r})
sys.meta_path.insert(0, Absent())
from membrane_xai.errors import MissingDependencyError
try:
    import membrane_xai.integrations.{library}
except MissingDependencyError as error:
    assert str(error) == {message!r}, error
else:
    raise AssertionError("imported")
"""


@pytest.mark.parametrize(
    ("library", "absent"),
    [
        *((name, MODULES.get(name, name)) for name in PACKAGES),
        ("torchmetrics", "torch"),
        ("torchcam", "torch"),
    ],
)
def test_without_the_library_the_message_names_the_command(library, absent):
    needed = PACKAGES.get(absent, absent)
    message = f"membrane_xai.integrations.{library} needs {needed}: pip install {PACKAGES[library]}"
    modules_after(BLOCK.format(name=absent, library=library, message=message))
