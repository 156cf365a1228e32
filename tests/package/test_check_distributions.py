"""tools/check_distributions.py: it names what an archive lacks and what it should not hold."""

import importlib.util
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "check_distributions.py"
FILES = {
    "src/core/__init__.py": "x",
    "src/core/data.yaml": "x",
    "tests/test_core.py": "x",
    ".ci/run": "x",
    "benchmarks/results/big.json": "x",
    ".gitignore": "cache/\n",
}
WHEEL = ["core/__init__.py", "core/data.yaml", "core-1.dist-info/RECORD"]
ARCHIVE = [".gitignore", "PKG-INFO", *(name for name in FILES if name[:4] in ("src/", "test"))]


@pytest.fixture
def checker(tmp_path, monkeypatch):
    """Return the script, which looks at a checkout of its own."""
    spec = importlib.util.spec_from_file_location("check_distributions", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "src/core/__init__.py"], cwd=tmp_path, check=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "junk").write_text("x")
    return module


def build(folder, wheel=WHEEL, archive=ARCHIVE, content=b"x"):
    folder.mkdir()
    with zipfile.ZipFile(folder / "core-1-py3-none-any.whl", "w") as opened:
        for name in wheel:
            opened.writestr(name, content)
    with tarfile.open(folder / "core-1.tar.gz", "w:gz") as opened:
        for name in archive:
            member = tarfile.TarInfo(f"core-1/{name}")
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return str(folder)


def test_right_archives_have_no_problem(checker, tmp_path, capsys):
    assert checker.main(build(tmp_path.parent / f"{tmp_path.name}-dist")) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("wheel", "archive", "said"),
    [
        (WHEEL[1:], ARCHIVE, "wheel lacks core/__init__.py"),
        ([WHEEL[0], WHEEL[2]], ARCHIVE, "wheel lacks core/data.yaml"),
        ([*WHEEL, "tests/test_core.py"], ARCHIVE, "wheel should not hold tests/test_core.py"),
        (WHEEL, ARCHIVE[:-1], "source archive lacks tests/test_core.py"),
        (WHEEL, [*ARCHIVE, ".ci/run"], "source archive should not hold .ci/run"),
        (WHEEL, [*ARCHIVE, "cache/junk"], "source archive should not hold cache/junk"),
        (
            WHEEL,
            [*ARCHIVE, "benchmarks/results/big.json"],
            "source archive should not hold benchmarks/results/big.json",
        ),
    ],
)
def test_each_problem_is_named(checker, tmp_path, capsys, wheel, archive, said):
    folder = build(tmp_path.parent / f"{tmp_path.name}-dist", wheel, archive)
    assert checker.main(folder) == 1
    assert capsys.readouterr().err == f"{said}\n"


def test_a_large_wheel_is_a_problem(checker, tmp_path, capsys):
    folder = build(tmp_path.parent / f"{tmp_path.name}-dist", content=bytes(1_100_000))
    assert checker.main(folder) == 1
    assert "wheel has 3.3 MB, at most 2 are meant to be" in capsys.readouterr().err


def test_an_older_wheel_beside_it_is_refused(checker, tmp_path):
    folder = build(tmp_path.parent / f"{tmp_path.name}-dist")
    (Path(folder) / "core-0-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(SystemExit, match="found 2"):
        checker.main(folder)
