"""The command line: what it offers, its exit statuses, and where its messages go."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from membrane_xai import __version__
from membrane_xai.cli import main
from membrane_xai.errors import InvalidInputError, MissingDependencyError


@pytest.fixture
def plug_in(monkeypatch):
    """Return a function that offers one command, ``work --times N``, that runs what it is given."""

    def offer(work):
        module = ModuleType("a_plug_in", "Do the Work.\n\nMore on it.\n")
        module.add_arguments = lambda parser: parser.add_argument("--times", type=int, default=1)
        module.run = work
        monkeypatch.setitem(sys.modules, "a_plug_in", module)
        points = [EntryPoint("work", "a_plug_in", "membrane_xai.commands")]
        monkeypatch.setattr("membrane_xai.cli.entry_points", lambda group: points)

    return offer


def exit_status(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


def test_version(capsys):
    assert exit_status(["--version"]) == 0
    assert capsys.readouterr().out == f"membrane-xai {__version__}\n"


def test_help_lists_the_demo(capsys):
    pytest.importorskip("her2_models")
    assert exit_status(["--help"]) == 0
    shown = capsys.readouterr()
    assert "demo" in shown.out.partition("COMMAND")[2]
    assert not shown.err


def test_help_of_the_demo_states_its_options(capsys):
    pytest.importorskip("her2_models")
    assert exit_status(["demo", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())  # however the lines are broken
    assert "--out DIR" in shown
    assert "--methods NAME" in shown
    assert "GradCAM LayerCAM ScoreCAM" in shown


def test_a_command_gets_its_arguments_and_gives_its_status(plug_in, capsys):
    plug_in(lambda args: args.times)
    assert main(["work"]) == 1
    assert main(["work", "--times", "7"]) == 7
    assert main(["work", "--times", "0"]) == 0
    assert exit_status(["work", "--help"]) == 0
    assert "More on it." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (InvalidInputError("mpp is 0; it takes more"), 1, "mpp is 0; it takes more"),
        (PermissionError(13, "Permission denied", "out"), 1, "[Errno 13] Permission denied: 'out'"),
        (MissingDependencyError('pip install "x[her2]"'), 2, 'pip install "x[her2]"'),
        (KeyboardInterrupt(), 130, "interrupted; files that are there are complete"),
    ],
)
def test_failures_have_a_status_and_one_line_on_stderr(plug_in, capsys, error, status, message):
    def work(args):
        raise error

    plug_in(work)
    assert main(["work"]) == status
    shown = capsys.readouterr()
    assert shown.err == f"membrane-xai: {message}\n"
    assert not shown.out


def test_a_bug_is_not_hidden(plug_in):
    def work(args):
        raise ZeroDivisionError

    plug_in(work)
    with pytest.raises(ZeroDivisionError):
        main(["work"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["play"], "invalid choice: 'play'"),
        (["work", "--times", "many"], "argument --times: invalid int value: 'many'"),
        (["work", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_wrong_arguments(plug_in, capsys, arguments, message):
    plug_in(lambda args: 0)
    assert exit_status(arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert not shown.out


@pytest.mark.parametrize("missing", ["rich.console", "timm", "torch"])
def test_a_missing_extra_is_named(missing, monkeypatch, tmp_path, capsys):
    pytest.importorskip("her2_models")
    monkeypatch.setitem(sys.modules, missing, None)
    for name in ("her2_models.models", "her2_models.explain"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["demo", "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert "pip install" in shown.err
    assert "membrane-xai[her2,weights,report]" in shown.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [("audit", "--images", "in", "--cams", "in"), ("score", "in")])
def test_draws_are_checked_before_anything_is_read(command, tmp_path, capsys):
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--draws", "99", "--out", str(out)])
    assert "argument --draws: '99'; it takes an integer of at least 100" in capsys.readouterr().err
    assert not out.exists()
