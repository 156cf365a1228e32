"""What a run may be told anew when it goes on, and what a folder is free for."""

import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("lightning")

from her2_runs import config, draw_images, same, weights  # noqa: E402

from her2_models.config import load_config  # noqa: E402
from her2_models.data import draw_slides  # noqa: E402
from her2_models.train import HER2Module, TrainingError, _folder, train  # noqa: E402
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_images(tmp_path_factory.mktemp("data"), (("train", 5), ("test", 2)))


def history(run):
    return np.genfromtxt(run.folder / "history.csv", delimiter=",", names=True)


def checkpoint(run, name="last"):
    return torch.load(run.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def stop_in(monkeypatch, epoch):
    """Stop training in an epoch, whenever it comes to it."""
    step = HER2Module.training_step

    def stop(self, batch, index):
        if self.current_epoch == epoch:
            raise RuntimeError("power cut")
        return step(self, batch, index)

    monkeypatch.setattr(HER2Module, "training_step", stop)


def stopped(told, folder, epoch):
    """Train until an epoch begins."""
    with pytest.MonkeyPatch.context() as patch:
        stop_in(patch, epoch)
        with pytest.raises(RuntimeError, match="power cut"):
            train(told, folder)


def losses_are(monkeypatch, *losses):
    """Let the validation loss of each epoch be a given one."""
    end = HER2Module.on_validation_epoch_end

    def given(self):
        end(self)
        self.log("val_loss", torch.tensor(losses[self.current_epoch]))

    monkeypatch.setattr(HER2Module, "on_validation_epoch_end", given)
    monkeypatch.setattr(HER2Module, "log", _last_word(HER2Module.log))


def _last_word(log):
    """Lightning keeps the first value of a name in a hook; let the last one count."""

    def logged(self, name, value, **options):
        if name == "val_loss" and options:
            return
        log(self, name, value, **options)

    return logged


def test_more_epochs_go_on_from_the_last_one(images, tmp_path, monkeypatch):
    run = train(config(images, "train.epochs=2"), tmp_path / "run")
    first = checkpoint(run)["state_dict"]
    assert train(config(images, "train.epochs=4"), tmp_path / "run") == run
    assert run.config.train.epochs == 4
    assert not same(checkpoint(run)["state_dict"], first)
    least, most = run.config.train.min_learning_rate, run.config.train.learning_rate
    shares = [(1 + math.cos(math.pi * epoch / epochs)) / 2
              for epoch, epochs in ((0, 2), (1, 2), (2, 4), (3, 4))]  # fmt: skip
    expected = [least + (most - least) * share for share in shares]
    np.testing.assert_allclose(history(run)["lr_fc"], expected)

    # The same in one go: a run of 4 epochs whose first two have the rates of a run of 2.
    start = HER2Module.on_train_epoch_start

    def two_of_two(self):
        start(self)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = least + (group["initial_lr"] - least) * shares[self.current_epoch]

    monkeypatch.setattr(HER2Module, "on_train_epoch_start", two_of_two)
    whole = train(config(images, "train.epochs=4"), tmp_path / "whole")
    assert same(checkpoint(run)["state_dict"], checkpoint(whole)["state_dict"])
    assert same(weights(run), weights(whole))


def test_a_stopped_run_takes_more_epochs_or_fewer_but_not_less_than_it_has(images, tmp_path):
    stopped(config(images, "train.epochs=5"), tmp_path / "run", 2)
    with pytest.raises(InvalidInputError, match=r"train\.epochs is 1, and .*run has 2 whole epoch"):
        train(config(images, "train.epochs=1"), tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "more")
    shutil.copytree(tmp_path / "run", tmp_path / "enough")
    for name, epochs in (("run", 3), ("more", 6), ("enough", 2)):
        run = train(config(images, f"train.epochs={epochs}"), tmp_path / name)
        assert len(history(run)) == epochs
        assert run.config.train.epochs == epochs
        assert run.weights.exists()


def test_a_run_that_has_ended_says_that_fewer_epochs_change_nothing(images, tmp_path):
    run = train(config(images, "train.epochs=2"), tmp_path / "run")
    before = run.weights.stat().st_mtime_ns
    with pytest.warns(MembraneXAIWarning, match=r"epochs is 1, .* has ended after 2 epochs and is"):
        train(config(images, "train.epochs=1"), tmp_path / "run")
    assert run.weights.stat().st_mtime_ns == before
    assert run.config.train.epochs == 2


# JAX, which another test may have imported, warns of the fork that makes a worker.
@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_what_a_run_runs_on_may_change_and_what_its_weights_come_from_may_not(images, tmp_path):
    whole = train(config(images), tmp_path / "whole")
    stopped(config(images), tmp_path / "run", 1)
    for name, value in (("train.seed", 1), ("train.learning_rate", 0.1), ("model.dropout", 0.5)):
        with pytest.raises(InvalidInputError, match=rf"there {name} is .*, now {value}; take"):
            train(config(images, f"{name}={value}"), tmp_path / "run")
    stopped(config(images, "train.workers=1"), tmp_path / "run", 2)
    run = train(config(images, "train.tensorboard=true", "train.workers=1"), tmp_path / "run")
    assert run.config.train.workers == 1
    assert same(checkpoint(run)["state_dict"], checkpoint(whole)["state_dict"])
    assert (run.folder / "history.csv").read_text() == (whole.folder / "history.csv").read_text()
    # The same of a run that has ended
    before = run.weights.stat().st_mtime_ns
    for change in ("train.workers=1", "train.devices=2", "train.accelerator=gpu"):
        assert train(config(images, change), run.folder).weights.stat().st_mtime_ns == before


def test_a_run_that_cannot_begin_to_go_on_keeps_its_weights(images, tmp_path, monkeypatch):
    run = train(config(images, "train.epochs=1"), tmp_path / "run")
    before = weights(run)
    with monkeypatch.context() as patch:
        patch.setattr("her2_models.train._trainer", None)
        with pytest.raises(TypeError):  # as Lightning raises for a device that is not there
            train(config(images, "train.epochs=2"), tmp_path / "run")
    assert same(weights(run), before)
    assert run.config.train.epochs == 1
    # Once it has begun, the weights of fewer epochs are not taken for its own.
    stopped(config(images, "train.epochs=2"), tmp_path / "run", 1)
    assert not run.weights.exists()
    train(config(images, "train.epochs=1"), tmp_path / "run")
    assert same(weights(run), before)


def test_without_its_checkpoint_a_run_does_not_go_on(images, tmp_path):
    run = train(config(images, "train.epochs=1"), tmp_path / "run")
    (run.folder / "checkpoints" / "last.ckpt").unlink()
    assert train(config(images, "train.epochs=1", "train.workers=1"), run.folder) == run
    with pytest.raises(InvalidInputError, match=r"no checkpoints/last\.ckpt to go on from"):
        train(config(images, "train.epochs=2"), run.folder)


def test_the_best_epoch_stays_the_best_also_where_the_folder_was_moved(
    images, tmp_path, monkeypatch
):
    losses_are(monkeypatch, 0.5, 0.3, 0.9, 0.4)
    run = train(config(images, "train.epochs=2"), tmp_path / "run")
    assert checkpoint(run, "best")["epoch"] == 1
    best = weights(run)
    shutil.move(run.folder, tmp_path / "moved")
    moved = train(config(images, "train.epochs=4"), tmp_path / "moved")
    np.testing.assert_allclose(history(moved)["val_loss"], [0.5, 0.3, 0.9, 0.4])
    assert checkpoint(moved, "best")["epoch"] == 1
    assert same(weights(moved), best)
    assert not run.folder.exists()


def test_early_stopping_counts_on_over_more_epochs(images, tmp_path, monkeypatch):
    losses_are(monkeypatch, 0.5, 0.3, 0.4, 0.45, 0.6, 0.2, 0.7)
    folder = tmp_path / "run"
    run = train(config(images, "train.epochs=3", "train.patience=2"), folder)
    assert len(history(run)) == 3  # one epoch without a lower loss
    train(config(images, "train.epochs=7", "train.patience=2"), folder)
    assert len(history(run)) == 4  # as in one go
    whole = train(config(images, "train.epochs=7", "train.patience=2"), tmp_path / "whole")
    assert len(history(whole)) == 4
    before = run.weights.stat().st_mtime_ns
    with pytest.warns(MembraneXAIWarning, match=r"the last 2 did not lower the validation loss"):
        train(config(images, "train.epochs=20", "train.patience=2"), folder)
    assert run.weights.stat().st_mtime_ns == before
    train(config(images, "train.epochs=7", "train.patience=4"), folder)
    assert len(history(run)) == 7
    assert checkpoint(run, "best")["epoch"] == 5
    # The epochs before count, too, where nothing had counted them.
    stopped(config(images, "train.epochs=7"), tmp_path / "late", 3)
    late = train(config(images, "train.epochs=7", "train.patience=2"), tmp_path / "late")
    assert len(history(late)) == 4


def test_a_run_stopped_after_its_last_epoch_only_writes_its_weights(images, tmp_path, monkeypatch):
    losses_are(monkeypatch, 0.3, 0.5, 0.6, 0.7)
    told = config(images, "train.epochs=4", "train.patience=2")
    with monkeypatch.context() as patch:
        patch.setattr("her2_models.train.save_weights", lambda *_: None)
        run = train(told, tmp_path / "run")
    assert not run.weights.exists()
    stop_in(monkeypatch, 3)
    assert train(told, tmp_path / "run").weights.exists()
    assert len(history(run)) == 3


@pytest.mark.parametrize("wrong", ["data.path=elsewhere", "train.learning_rate=1e30",
                                   "augment.magnifications=[10]",
                                   "model.backbone=vit_tiny_patch16_224"])  # fmt: skip
def test_a_slip_that_trained_nothing_locks_nothing(images, tmp_path, wrong):
    folder = tmp_path / "run"
    with pytest.raises((InvalidInputError, TrainingError)):
        train(config(images, "model.input_size=40", wrong), folder)
    assert (folder / "config.yaml").exists()
    run = train(config(images, "train.epochs=1"), folder)
    clean = train(config(images, "train.epochs=1"), tmp_path / "clean")
    assert run.config == clean.config
    assert same(weights(run), weights(clean))
    for name in ("splits.csv", "layers.csv", "history.csv"):
        assert (run.folder / name).read_text() == (clean.folder / name).read_text()


def test_images_that_were_mended_before_the_first_epoch_are_looked_for_again(images, tmp_path):
    data = shutil.copytree(images, tmp_path / "data")
    bad = data / "train" / "class_1+" / "train_003.png"
    bad.write_bytes(bad.read_bytes()[:200])
    with pytest.raises(InvalidInputError, match=r"train_003\.png"):
        train(config(data, "train.epochs=1"), tmp_path / "run")
    bad.unlink()
    assert train(config(data, "train.epochs=1"), tmp_path / "run").weights.exists()


def test_slides_that_were_drawn_for_other_settings_are_drawn_again(tmp_path, monkeypatch):
    told = ["data.synthetic.slides={train: 2, val: 1, test: 1}", "data.synthetic.size=128",
            "data.synthetic.patches_per_slide=1", "model.backbone=resnet10t", "model.weights=none",
            "model.input_size=32", "train.epochs=1", "train.batch_size=8"]  # fmt: skip
    stopped(load_config("demo", told), tmp_path / "run", 0)
    drawn = []

    def draw(synthetic, folder, **options):
        drawn.append(synthetic.seed)
        return draw_slides(synthetic, folder, **options)

    monkeypatch.setattr("her2_models.train.draw_slides", draw)
    stopped(load_config("demo", told), tmp_path / "run", 0)
    assert not drawn  # they are there
    run = train(load_config("demo", [*told, "data.synthetic.seed=1"]), tmp_path / "run")
    assert drawn == [1]
    assert run.weights.exists()


def test_one_process_trains_in_a_folder(images, tmp_path, monkeypatch):
    monkeypatch.setattr(_folder, "_TRIES", 1)
    monkeypatch.setattr(_folder, "_PAUSE", 0)
    message = "run', where another process trains; it takes another folder"
    with _folder.alone(tmp_path / "run"), pytest.raises(InvalidInputError, match=message):
        train(config(images), tmp_path / "run")
    assert train(config(images, "train.epochs=1"), tmp_path / "run").weights.exists()


@pytest.mark.parametrize("drops", [False, True])
def test_a_gradual_run_that_was_stopped_ends_with_the_same_weights(
    images, tmp_path, monkeypatch, drops
):
    """The second network has drop path and dropout in its backbone, and batch norm."""
    if drops:
        monkeypatch.setattr(
            "her2_models.train.create_network",
            lambda _: timm.create_model("test_efficientnet", num_classes=4, drop_path_rate=0.5),
        )
    last = "blocks.4" if drops else "layer4"
    told = config(images, "unfreeze.plan=gradual", "unfreeze.schedule={0: 0, 1: 1, 2: 2}",
                  "train.epochs=4")  # fmt: skip
    step, modes = HER2Module.training_step, {}

    def spy(self, batch, index):
        modes[self.current_epoch] = {m.training for m in self.network.get_submodule(last).modules()}
        return step(self, batch, index)

    monkeypatch.setattr(HER2Module, "training_step", spy)
    whole = train(told, tmp_path / "whole")
    assert modes == {0: {False}, 1: {True}, 2: {True}, 3: {True}}
    for epoch in (1, 3):
        folder = tmp_path / f"run{epoch}"
        stopped(told, folder, epoch)
        modes.clear()
        run = train(told, folder)
        assert modes == {e: {True} for e in range(epoch, 4)}
        assert same(checkpoint(run)["state_dict"], checkpoint(whole)["state_dict"])
    state = checkpoint(whole)["state_dict"]
    means = [tensor for name, tensor in state.items() if "running_mean" in name]
    moved = [name for name, tensor in state.items() if "running_mean" in name and tensor.any()]
    assert moved
    assert len(moved) < len(means)  # those that never learn stay as they were
    assert all(name.split(".")[1] in ("blocks", "layer3", "layer4", "bn2", "conv_head")
               for name in moved)  # fmt: skip
