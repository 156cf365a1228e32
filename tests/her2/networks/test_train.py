"""Training: restarts, processes, and what goes wrong on the way. Small networks, small images."""

import dataclasses
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("lightning")

from her2_runs import SMALL, config, draw_images, same, weights  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from her2_models.cli import main  # noqa: E402
from her2_models.config import bundled_configs, load_config  # noqa: E402
from her2_models.data import leak_safety  # noqa: E402
from her2_models.evaluate import cross_evaluate, evaluate, predict_records  # noqa: E402
from her2_models.models import create_network, her2_backbone  # noqa: E402
from her2_models.train import HER2Module, Run, TrainingError, load_data, train  # noqa: E402  # noqa: E402
from her2_models.train import _checkpoints as checkpoints  # noqa: E402
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning",
                                        "ignore::FutureWarning")  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_images(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory):
    return train(config(images), tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_leaves_what_it_says(trained, images):
    names = {"config.yaml", "splits.csv", "layers.csv", "history.csv", "weights.safetensors"}
    assert names <= {path.name for path in trained.folder.iterdir()}
    assert trained.config == config(images)
    rows = (trained.folder / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"]
    assert rows[0].startswith("epoch,")
    assert "train_loss" in rows[0]
    assert "val_loss" in rows[0]


def test_the_test_split_is_never_selected_on(trained, images):
    splits = trained.manifest.by_split()
    assert {len(splits[name]) for name in ("test",)} == {24}
    assert len(splits["val"]) > 0
    assert not {r.path for r in splits["val"]} & {r.path for r in splits["test"]}
    assert {r.path.parent.parent.name for r in splits["val"]} == {"train"}


def test_the_same_configuration_gives_the_same_weights(trained, images, tmp_path):
    assert same(weights(train(config(images), tmp_path / "again")), weights(trained))
    other = train(config(images, "train.seed=1"), tmp_path / "other")
    assert not same(weights(other), weights(trained))


def test_a_finished_run_is_not_trained_again(trained, images):
    before = trained.weights.stat().st_mtime_ns
    assert train(config(images), trained.folder).folder == trained.folder
    assert trained.weights.stat().st_mtime_ns == before


def test_a_run_that_stops_by_an_error_goes_on_to_the_same_end(
    trained, images, tmp_path, monkeypatch
):
    step = HER2Module.training_step

    def stop(self, batch, index):
        if self.current_epoch == 2 and index == 1:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(HER2Module, "training_step", stop)
    with pytest.raises(RuntimeError, match="power cut"):
        train(config(images), tmp_path / "run")
    monkeypatch.undo()
    run = train(config(images), tmp_path / "run")
    assert same(weights(run), weights(trained))
    history = (run.folder / "history.csv").read_text()
    assert history == (trained.folder / "history.csv").read_text()


def command(images, out, *overrides):
    values = [*SMALL, f"data.path={images}", *overrides]
    sets = [part for value in values for part in ("--set", value)]
    return [sys.executable, "-m", "her2_models.cli", "train", "--config", "honest_40x",
            *sets, "--out", str(out), "--draws", "100"]  # fmt: skip


def test_a_killed_process_resumes_to_the_same_weights(trained, images, tmp_path):
    out = tmp_path / "run"
    process = subprocess.Popen(command(images, out), stdout=subprocess.DEVNULL)
    checkpoint = out / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert checkpoint.exists()
    run = train(config(images), out)
    assert same(weights(run), weights(trained))


def test_two_processes_train_one_network(images, tmp_path):
    out = tmp_path / "run"
    told = ["unfreeze.plan=gradual", "train.devices=2", "train.batch_size=4"]
    done = subprocess.run(
        command(images, out, *told), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "accuracy" in done.stdout
    assert len((out / "history.csv").read_text().splitlines()) == 4


def test_frozen_layers_and_their_statistics_are_those_of_the_start(images, tmp_path):
    told = config(images, "unfreeze.plan=last", "unfreeze.groups=1", "train.epochs=2")
    run = train(told, tmp_path / "run")
    start = train(
        config(images, "unfreeze.plan=last", "unfreeze.groups=1", "train.epochs=1",
               "train.learning_rate=1e-30", "train.min_learning_rate=0"),
        tmp_path / "start",
    )  # fmt: skip
    before, after = weights(start), weights(run)
    frozen = [n for n in before if n.startswith(("conv1", "bn1", "layer1", "layer2", "layer3"))]
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before["layer4.0.conv1.weight"], after["layer4.0.conv1.weight"])


def test_the_published_protocol_tests_the_last_epoch_and_says_so(
    images, tmp_path, capsys, monkeypatch
):
    """The notebook saves the best epoch on the test split, and then tests the last one."""
    told = config(images, "published_protocol=true", "unfreeze.plan=hybrid", "train.epochs=3",
                  "train.learning_rate=0.1", "train.patience=1")  # fmt: skip
    run = train(told, tmp_path / "run")
    splits = run.manifest.by_split()
    assert not splits["val"]
    losses = np.genfromtxt(run.folder / "history.csv", delimiter=",", names=True)["val_loss"]
    assert len(losses) == 3  # patience would have stopped it
    assert losses.argmin() == 0
    last, best = (
        checkpoints.network_weights(run.folder / "checkpoints" / f"{name}.ckpt")
        for name in ("last", "best")
    )
    assert same(weights(run), last)
    assert not same(weights(run), best)
    done = evaluate(run, draws=100)
    assert done.calibrated is None
    assert np.isnan(done.temperature)
    assert done.caveats.selected_on == "nothing"
    said = json.loads((run.folder / "test" / "metrics.json").read_text())
    assert said["provenance"]["parameters"]["selected_on"] == "nothing"
    # What is measured after an epoch is the test split: the last row is the test's accuracy
    rows = np.genfromtxt(run.folder / "history.csv", delimiter=",", names=True)
    assert rows["val_accuracy"][-1] == pytest.approx(done.metrics.accuracy)
    assert main(["evaluate", str(run.folder), "--draws", "100"]) == 0
    assert "  published protocol: no validation split, weights after the last epoch\n" in (
        capsys.readouterr().out
    )
    asked = {}
    empty = SimpleNamespace(
        images=[],
        classes=[],
        magnifications=[],
        randomization=[],
        registration=SimpleNamespace(grid=None),
        label_level="patch",
    )
    monkeypatch.setattr(
        "her2_models.explain.explain_images", lambda *_, **told: asked.update(told) or empty
    )
    assert main(["explain", str(run.folder), "--mpp", "0.5"]) == 0
    assert asked["published_protocol"] is True
    assert "published protocol: maps of the true score, of the rescaled, not normalised image" in (
        capsys.readouterr().out
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.loss=ordinal"],
        ["train.balance=sampling"],
        ["train.balance=weights", "train.label_smoothing=0.1"],
        ["train.precision=bf16-mixed"],
        ["train.optimizer=adam", "train.patience=1"],
        ["data.mpp=2.0", "augment.magnifications=[10, 5]"],
        ["augment.rotation=20", "augment.color_jitter=0.2"],
    ],
)
def test_other_ways_to_train_run(images, tmp_path, overrides):
    run = train(config(images, "train.epochs=1", *overrides), tmp_path / "run")
    assert all(torch.isfinite(tensor).all() for tensor in weights(run).values())


@pytest.mark.parametrize("installed", [True, False])
def test_tensorboard_is_written_where_it_is_installed(images, tmp_path, monkeypatch, installed):
    if installed:
        pytest.importorskip("tensorboard")
    else:
        monkeypatch.setitem(sys.modules, "tensorboard", None)
        for name in [n for n in sys.modules if n.startswith("torch.utils.tensorboard")]:
            monkeypatch.delitem(sys.modules, name)
    told = config(images, "train.epochs=2", "train.tensorboard=true")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = train(told, tmp_path / "run")
    said = [str(w.message) for w in caught if issubclass(w.category, MembraneXAIWarning)]
    assert [text.split(",")[0] for text in said] == (
        [] if installed else ["tensorboard is not installed"]
    )
    events = list((run.folder / "tensorboard").glob("events.out.tfevents.*"))
    assert len(events) == installed
    assert len((run.folder / "history.csv").read_text().splitlines()) == 3
    assert run.weights.exists()


def test_a_loss_that_is_no_number_stops_with_the_last_state_kept(images, tmp_path):
    told = config(images, "train.learning_rate=1e30", "train.epochs=5")
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) in epoch \d"):
        train(told, tmp_path / "run")
    assert (tmp_path / "run" / "config.yaml").exists()


def test_a_full_disk_leaves_the_checkpoint_before(images, tmp_path, monkeypatch):
    out, replace, saved = tmp_path / "run", checkpoints._replace, []

    def full(path, content):
        if path.name == "last.ckpt" and path.exists():
            saved.append(path.read_bytes())
            raise OSError(errno.ENOSPC, f"{path} cannot be written: No space left on device")
        replace(path, content)

    monkeypatch.setattr(checkpoints, "_replace", full)
    with pytest.raises(OSError, match="cannot be written: No space left on device"):
        train(config(images), out)
    assert (out / "checkpoints" / "last.ckpt").read_bytes() == saved[0]
    monkeypatch.undo()
    assert train(config(images), out).weights.exists()


def test_writing_fails_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoints._replace(path, b"before")

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=re.escape(f"{path} cannot be written: No space left")):
        checkpoints._replace(path, b"after")
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


def test_checkpoints_that_hold_code_are_not_loaded(tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "x": os.system}, path)
    with pytest.raises(InvalidInputError, match="not a checkpoint that can be read"):
        checkpoints.network_weights(path)


def test_an_empty_class_is_named(images, tmp_path):
    broken = shutil.copytree(images, tmp_path / "data")
    for path in (broken / "test" / "class_2+").iterdir():
        path.unlink()
    with pytest.raises(InvalidInputError, match=re.escape("split 'test' has no image of 2+")):
        train(config(broken), tmp_path / "run")


def test_where_no_image_is_for_validation_the_remedy_is_said(images, tmp_path):
    without = shutil.copytree(images, tmp_path / "data")
    shutil.rmtree(without / "val", ignore_errors=True)
    told = dataclasses.replace(config(without).data, validation_share=0.0)
    with pytest.raises(InvalidInputError, match=r"'val' has no image .* data\.validation_share=0"):
        train(dataclasses.replace(config(without), data=told), tmp_path / "run")
    told = dataclasses.replace(told, path=str(tmp_path / "nowhere"))
    with pytest.raises(InvalidInputError, match=r"data\.path is '.*nowhere'; there is no such"):
        train(dataclasses.replace(config(without), data=told), tmp_path / "run")


def test_hardware_that_is_not_there_is_named(images, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    told = dataclasses.replace(config(images).train, accelerator="gpu")
    with pytest.raises(InvalidInputError, match=r"train\.accelerator is 'gpu', train\.devices 1"):
        train(dataclasses.replace(config(images), train=told), tmp_path / "run")
    assert train(config(images), tmp_path / "run").weights.exists()


def test_a_folder_without_a_run_is_named(tmp_path):
    for missing in ("config", "manifest"):
        with pytest.raises(InvalidInputError, match=r"run is '.*nowhere', where there is no "):
            getattr(Run(tmp_path / "nowhere"), missing)


def test_a_truncated_image_is_named_and_the_run_goes_on_without_it(images, tmp_path):
    broken = shutil.copytree(images, tmp_path / "data")
    bad = broken / "train" / "class_1+" / "train_003.png"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInputError, match=r"train_003\.png: is truncated or damaged"):
        train(config(broken), tmp_path / "run")
    bad.write_bytes(whole)
    assert train(config(broken), tmp_path / "run").weights.exists()


@pytest.mark.parametrize("name", ["honest_40x", "multi_magnification"])
def test_no_origin_lies_on_both_sides_of_our_configurations(tmp_path, name):
    """HER2-IHC-40x with patches dealt into folders one by one, some of them twice."""
    rng = np.random.default_rng(0)
    origins = [(token, score, i) for token in ("train", "test") for score in range(4)
               for i in range(40)]  # fmt: skip
    for token, score, i in origins:
        first = f"her2-{('0', '1+', '2+', '3+')[score]}-score_{token}_{i:02}"
        for stem in (first, f"{first} (1)") if i % 5 == 0 else (first,):
            split, label = rng.choice(["train", "test"]), ("0", "1+", "2+", "3+")[score]
            place = tmp_path / f"{split}_data_patch" / f"class_{label}" / f"{stem}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    told = load_config(name, [f"data.path={tmp_path}"])
    manifest = load_data(told, tmp_path / "run")
    sides = {}
    for record in manifest.records:
        sides.setdefault(record.path.stem.removesuffix(" (1)"), set()).add(record.split)
    assert len(sides) == len(origins)
    assert all(len(found) == 1 for found in sides.values())
    assert all((found == {"test"}) == ("_test_" in name) for name, found in sides.items())
    assert {"val"} in sides.values()
    # The folders would have put most copies and names on the wrong side
    splits = manifest.by_split()
    assert any(r.path.parts[-3].split("_")[0] != r.split for r in splits["test"])
    learned = (*splits["train"], *splits["val"])
    assert leak_safety(learned, splits["test"], scheme=manifest.scheme).verdict == "stated"
    folders = load_data(
        load_config(name, [f"data.path={tmp_path}", "data.split=official"]), tmp_path
    )
    splits = folders.by_split()
    learned = (*splits["train"], *splits["val"])
    assert leak_safety(learned, splits["test"], scheme=folders.scheme) == (
        "no", "official folders: patches of one slide lie on both sides"
    )  # fmt: skip


@pytest.fixture(params=[*sorted({*bundled_configs()} - {"demo"}), "of a user"])
def without_images(request, tmp_path):
    """Name or file of a configuration that needs images and has none."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\ndata: {synthetic: {slides: {train: 1, val: 1, test: 1}}}\n")
    return str(path) if request.param == "of a user" else request.param


def test_only_the_demo_draws_its_images(without_images, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr("her2_models.train.draw_slides", lambda *args, **options: drawn.append(1))
    told, out = load_config(without_images), tmp_path / "run"
    message = rf"data\.path is None; the configuration '{told.name}' takes a folder or CSV"
    for do in (train, load_data):
        with pytest.raises(InvalidInputError, match=message):
            do(told, out)
    assert main(["train", "--config", without_images, "--out", str(out)]) == 1
    assert "her2: data.path is None" in capsys.readouterr().err
    assert not out.exists()
    assert not drawn


def test_the_demo_under_another_name_is_another_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr("her2_models.train.draw_slides", None)
    with pytest.raises(InvalidInputError, match=r"data\.path is None; the configuration 'mine'"):
        train(load_config("demo", ["name=mine"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_configuration_in_the_same_folder_is_refused(trained, images):
    with pytest.raises(InvalidInputError, match=r"there train\.seed is 0, now 4; take"):
        train(config(images, "train.seed=4", "train.epochs=4"), trained.folder)


def test_weights_with_another_number_of_classes_are_refused(trained, tmp_path):
    tensors = weights(trained)
    tensors["fc.weight"], tensors["fc.bias"] = torch.zeros(5, 512), torch.zeros(5)
    path = tmp_path / "five.safetensors"
    save_file(tensors, path)
    with pytest.raises(InvalidInputError, match=r"'fc.weight' has shape \(5, 512\)"):
        her2_backbone(trained.config.model, path)
    path.write_bytes(b"nonsense")
    with pytest.raises(InvalidInputError, match="not a safetensors file"):
        her2_backbone(trained.config.model, path)


def test_training_starts_from_a_file_whose_head_has_other_classes(trained, images, tmp_path):
    tensors = weights(trained)
    tensors["fc.weight"], tensors["fc.bias"] = torch.zeros(5, 512), torch.zeros(5)
    save_file(tensors, tmp_path / "five.safetensors")
    told = config(images, f"model.weights={tmp_path / 'five.safetensors'}")
    network = create_network(told.model)
    assert torch.equal(network.conv1[0].weight, tensors["conv1.0.weight"])
    assert network.fc.out_features == 4


def test_evaluation_counts_what_the_network_says(trained):
    done = evaluate(trained, draws=100)
    backbone = her2_backbone(trained.config.model, trained.weights)
    records = trained.manifest.by_split()["test"]
    right = []
    for record in records:
        rgb = np.array(Image.open(record.path))
        with torch.inference_mode():
            logits = backbone.network(backbone.to_input(rgb, 32))[0]
        right.append(int(logits.argmax()) == record.score)
        place = done.predictions.records.index(record)
        np.testing.assert_allclose(
            done.predictions.probabilities()[place], torch.softmax(logits, 0), atol=1e-5
        )
    assert done.metrics.accuracy == pytest.approx(np.mean(right))
    folder = trained.folder / "test"
    assert done.caveats == (
        ("unknown", "unknown: names carry no slide"), "unknown", "val", ""
    )  # fmt: skip
    names = {"metrics.csv", "metrics.json", "metrics.md", "confusion.csv", "predictions.csv",
             "refer_to_ish.csv", "reliability.csv", "confusion.png", "roc.png", "reliability.png",
             "calibrated"}  # fmt: skip
    assert names <= {path.name for path in folder.iterdir()}


def test_windows_of_an_image_are_averaged(trained):
    backbone = her2_backbone(trained.config.model, trained.weights)
    record = dataclasses.replace(trained.manifest.records[0], mpp=0.5)
    # 20x is 0.5 um per pixel: four windows of 16 pixels in an image of 40.
    found = predict_records(backbone, [record], input_size=16, magnification=20)
    rgb = np.array(Image.open(record.path))
    parts = [rgb[r : r + 16, c : c + 16] for r in (4, 20) for c in (4, 20)]
    with torch.inference_mode():
        each = [torch.softmax(backbone.network(backbone.to_input(p, 16)), 1)[0] for p in parts]
    mean = torch.stack(each).mean(0)
    np.testing.assert_allclose(found.probabilities()[0], mean, atol=1e-5)


def test_unknown_micrometres_are_named(trained):
    backbone = her2_backbone(trained.config.model, trained.weights)
    record = dataclasses.replace(trained.manifest.records[0], mpp=None)
    with pytest.raises(InvalidInputError, match="mpp is None; a magnification takes images whose"):
        predict_records(backbone, [record], input_size=32, magnification=10)
    with pytest.raises(InvalidInputError, match="records is empty"):
        predict_records(backbone, [], input_size=32)


def test_a_matrix_of_runs_against_test_splits(trained, images, tmp_path, monkeypatch):
    other = train(config(images, "train.seed=3", "train.epochs=1"), tmp_path / "other")
    monkeypatch.chdir(trained.folder)  # a run has its folder's name, however that is reached
    rows = cross_evaluate([".", other.folder], out=tmp_path / "cross", draws=100)
    pairs = {(row["train"], row["test"]) for row in rows}
    assert pairs == {(a, b) for a in ("whole", "other") for b in ("whole", "other")}
    assert (tmp_path / "cross" / "cross.md").exists()
    known = train(config(images, "data.mpp=0.5", "train.epochs=1"), tmp_path / "known")
    at = cross_evaluate([known.folder], magnifications=[40, 20], out=tmp_path / "m", draws=100)
    assert {row["test"] for row in at} == {"40x", "20x"}
    assert {row["label_level"] for row in rows} == {"unknown"}
    assert {row["split"] for row in rows} == {"unknown: names carry no slide"}


def test_runs_on_other_splits_of_one_data_set_leak_and_the_matrix_says_so(images, tmp_path):
    """Two folds of the same slides: each network has learned from the other's test slides."""
    told = ["data.split=kfold", "data.folds=3", r"data.group_pattern=_(\d\d\d)", "data.mpp=0.46",
            "data.label_level=slide", "train.epochs=1"]  # fmt: skip
    runs = [train(config(images, *told, f"data.fold={i}"), tmp_path / f"fold{i}") for i in (0, 1)]
    rows = cross_evaluate([run.folder for run in runs], out=tmp_path / "cross", draws=0)
    verdicts = {(row["train"], row["test"]): row["leak_safe"] for row in rows}
    assert verdicts == {
        ("fold0", "fold0"): "yes", ("fold0", "fold1"): "no",
        ("fold1", "fold0"): "no", ("fold1", "fold1"): "yes",
    }  # fmt: skip
    assert {row["label_level"] for row in rows} == {"slide"}
    assert "| fold0 | fold1 |" in (text := (tmp_path / "cross" / "cross.md").read_text())
    assert " lie on both sides, such as " in text


def test_a_run_that_has_not_ended_cannot_be_evaluated(tmp_path, images):
    (tmp_path / "config.yaml").write_text("name: a")
    (tmp_path / "splits.csv").write_text("path,score\na.png,0\n")
    with pytest.raises(InvalidInputError, match="train it to the end first"):
        evaluate(Run(tmp_path))
