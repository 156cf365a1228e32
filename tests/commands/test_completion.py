"""``--print-completion``: what a shell gets, for both commands."""

import shutil
import subprocess
import sys

import pytest

from membrane_xai import cli

pytest.importorskip("shtab")


def commands():
    found = {"membrane-xai": cli.main}
    try:
        from her2_models.cli import main
    except ImportError:
        return found
    return found | {"her2": main}


def script(main, shell, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--print-completion", shell])
    shown = capsys.readouterr()
    assert stopped.value.code == 0
    assert not shown.err
    return shown.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
@pytest.mark.parametrize("name", commands())
def test_every_shell_gets_a_script_that_it_can_read(name, shell, capsys):
    text = script(commands()[name], shell, capsys)
    assert name in text
    for word in {"membrane-xai": ("audit", "mask"), "her2": ("train", "data")}[name]:
        assert word in text
    if shutil.which(shell):
        done = subprocess.run(
            [shell, "-n"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def complete(text, name, words, cwd):
    """Return what bash offers for the last of some words."""
    listed = " ".join(f"'{word}'" for word in words)
    program = f"""
{text}
COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}
function_name=$(complete -p {name} | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
compopt() {{ :; }}
$function_name {name} "{words[-1]}" "{words[-2]}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "-c", program], cwd=cwd, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash_completes_commands_options_and_files(tmp_path, capsys):
    text = script(cli.main, "bash", capsys)
    (tmp_path / "images").mkdir()
    (tmp_path / "index.csv").touch()

    def offered(*words):
        return complete(text, "membrane-xai", ["membrane-xai", *words], tmp_path)

    assert offered("au") == {"audit"}
    assert {"--images", "--cams", "--mpp", "--json"} <= offered("audit", "--")
    assert offered("audit", "--regions", "") == {"tissue", "tumour", "all"}
    assert offered("audit", "--images", "i") == {"images"}
    assert offered("audit", "--groups", "i") == {"images", "index.csv"}
    assert offered("mask", "ind") == {"index.csv"}


def test_bash_completes_commands_below_commands(tmp_path, capsys):
    her2 = commands().get("her2")
    if her2 is None or not shutil.which("bash"):
        pytest.skip("needs her2 and bash")
    text = script(her2, "bash", capsys)
    assert complete(text, "her2", ["her2", "data", "che"], tmp_path) == {"check"}
    (tmp_path / "run.yaml").touch()
    assert "run.yaml" in complete(text, "her2", ["her2", "train", "--config", "r"], tmp_path)


def test_without_shtab_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert cli.main(["--print-completion", "bash"]) == 2
    said = capsys.readouterr().err
    assert 'needs shtab: pip install "membrane-xai[completion]"' in said


def test_another_shell_is_a_wrong_argument(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--print-completion", "fish"])
    assert stopped.value.code == 2
    assert "choose from" in capsys.readouterr().err
