"""Too few draws are a wrong argument, which is said before anything is read."""

import pytest

for name in ("torch", "lightning", "matplotlib"):
    pytest.importorskip(name)

from her2_models.cli import main as her2  # noqa: E402
from membrane_xai.cli import main as membrane_xai  # noqa: E402

COMMANDS = {
    "explain": (her2, ["explain", "absent"]),
    "evaluate": (her2, ["evaluate", "absent"]),
    "train": (her2, ["train", "--config", "absent.yaml", "--out", "out"]),
    "audit": (membrane_xai, ["audit", "--images", "absent", "--cams", "absent", "--out", "out"]),
    "score": (membrane_xai, ["score", "absent.zarr", "--cam", "c", "--mask", "m", "--out", "out"]),
}


@pytest.mark.parametrize("draws", ["50", "-1", "1e4", "many"])
@pytest.mark.parametrize("name", COMMANDS)
def test_draws(name, draws, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command, given = COMMANDS[name]
    with pytest.raises(SystemExit) as stopped:
        command([*given, f"--draws={draws}"])
    assert stopped.value.code == 2
    assert "argument --draws: " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "status"), [("evaluate", 1), ("train", 1)])
def test_no_draws_are_no_intervals(name, status, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command, given = COMMANDS[name]
    assert command([*given, "--draws", "0"]) == status  # there is no such run
    assert "draws" not in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--annotation-class", "--tissue-class", "--region-class"])
def test_classes_go_with_annotations(option, capsys):
    assert her2(["explain", "absent", option, "Membrane"]) == 1
    assert f"{option} goes with --annotations" in capsys.readouterr().err
