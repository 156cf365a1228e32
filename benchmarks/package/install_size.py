"""Packages and megabytes of an installation, against Quantus.

Each is installed by pip into an empty virtual environment, from PyPI or what pip is set to; ours
from this checkout, as it is not released yet.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Row

_ROOT = Path(__file__).parents[2]
_INSTALLED = {"membrane-xai": str(_ROOT), "Quantus": "quantus==0.6.0"}
"""Name in the table -> what pip is told to install."""
_LIST = """
import argparse
import json
from importlib.metadata import distributions
print(json.dumps({d.name: d.version for d in distributions()}))
"""


def install(requirement: str, folder: Path) -> tuple[dict[str, str], float]:
    """Install into an empty environment; return version by package, and megabytes on disk."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", requirement]
    subprocess.run(pip, check=True)
    listed = subprocess.run([python, "-I", "-c", _LIST], check=True, capture_output=True, text=True)
    files = (path for path in (folder / "lib").rglob("*") if path.is_file())
    return json.loads(listed.stdout), sum(path.stat().st_size for path in files) / 1e6


def main() -> None:
    """Install both, print and write."""
    prog = "python -m benchmarks.package.install_size"
    argparse.ArgumentParser(prog, description=__doc__).parse_args()
    rows, versions, size = [], {}, {}
    for name, requirement in _INSTALLED.items():
        with tempfile.TemporaryDirectory() as folder:
            packages, size[name] = install(requirement, Path(folder))
        versions[name] = dict(sorted(packages.items()))
        rows.append(Row(f"pip install {name}: packages", "", [float(len(packages))]))
        rows.append(Row("  on disk", "MB", [size[name]]))
    rows.append(
        Row("  membrane-xai / Quantus, on disk", "x", [size["membrane-xai"] / size["Quantus"]])
    )
    publish(rows, "install_size", installed=versions)


if __name__ == "__main__":
    main()
