"""What all commands share: help with examples, statuses, warnings of one line."""

import warnings
from types import ModuleType

import pytest

from membrane_xai import cli
from membrane_xai.errors import MembraneXAIWarning


def help_of(main, arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def mains():
    found = {"membrane-xai": cli.main}
    try:
        from her2_models.cli import main
    except ImportError:
        return found
    return found | {"her2": main}


OWN = ["mask", "score", "audit", "report", "demo"]
HER2 = ["train", "evaluate", "explain", "data", "data check", "data split", "data get"]
ALL = [("membrane-xai", name) for name in OWN] + [("her2", name) for name in HER2]


@pytest.mark.parametrize(("prog", "command"), ALL)
def test_every_help_ends_in_an_example(prog, command, capsys):
    if prog not in mains() or (command == "demo" and "her2" not in mains()):
        pytest.skip("needs her2_models")
    text = help_of(mains()[prog], command.split(), capsys)
    last = text[text.rindex("example:") :]
    assert f"{prog} {command}" in last
    assert text.count("example:") == 1
    assert "--help" in text[: text.rindex("example:")]  # after the options


@pytest.mark.parametrize("prog", ["membrane-xai", "her2"])
def test_the_help_of_a_command_states_its_exit_statuses(prog, capsys):
    if prog not in mains():
        pytest.skip("needs her2_models")
    text = " ".join(help_of(mains()[prog], [], capsys).split())
    assert "exit status: 0 done; 1 it failed, or problems were found; 2 wrong arguments" in text
    assert "130 interrupted" in text
    assert "for example:" in text


def run(work, capsys, *arguments):
    module = ModuleType("work", "Do the work.\n\nfor example:\n  a work")
    module.add_arguments = lambda parser: parser.add_argument("names", nargs="*")
    module.run = work
    parser = cli.command_parser("a", {"work": module}, description="", epilog="for example:\n  a")
    status = cli.run_command(parser, ["work", *arguments], interrupted="stopped")
    return status, capsys.readouterr()


def test_this_projects_warnings_are_a_line_each_time(capsys):
    def work(args):
        for name in args.names:
            warnings.warn(f"odd {name}", MembraneXAIWarning, stacklevel=1)
        return 0

    status, shown = run(work, capsys, "x", "y", "x")
    assert status == 0
    assert shown.err == "warning: odd x\nwarning: odd y\nwarning: odd x\n"
    assert warnings.showwarning.__module__ != "membrane_xai.cli"


def test_warnings_of_others_keep_their_form(capsys):
    def work(args):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("theirs", UserWarning, stacklevel=1)
        return 0

    with pytest.warns(UserWarning, match="theirs"):
        assert run(work, capsys)[0] == 0


def test_a_command_knows_what_was_typed(capsys):
    seen = []
    run(lambda args: seen.append(args.command_line) or 0, capsys, "a b", "é'")
    assert seen == ["a work 'a b' 'é'\"'\"''"]


def test_names_that_stdout_cannot_hold_are_escaped(monkeypatch):
    import io
    import sys

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    module = ModuleType("work", "Do the work.")
    module.add_arguments = lambda parser: None
    module.run = lambda args: print("é \udcff") or 0
    parser = cli.command_parser("a", {"work": module}, description="", epilog="")
    assert cli.run_command(parser, ["work"], interrupted="") == 0
    sys.stdout.flush()
    assert raw.getvalue() == b"\\xe9 \\udcff\n"
