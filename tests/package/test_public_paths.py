"""Every import path that people may have in their code: a change here is a change for them.

``public_paths.txt`` beside this file lists them. A new name is added there, in order; a name that
goes needs a line in CHANGELOG.md, and once there is a release, two releases of warning.
"""

import importlib
import pkgutil
from pathlib import Path

import her2_models
import membrane_xai

LISTED = Path(__file__).with_name("public_paths.txt").read_text().split()


def public_paths():
    for package in (membrane_xai, her2_models):
        modules = [package.__name__]
        modules += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
        for name in modules:
            if any(part.startswith("_") for part in name.split(".")):
                continue
            module = importlib.import_module(name)
            yield from (f"{name}.{one}" for one in getattr(module, "__all__", ()))


def test_public_import_paths_are_frozen():
    assert sorted(set(public_paths())) == LISTED


def test_every_listed_path_leads_somewhere():
    for path in LISTED:
        module, _, name = path.rpartition(".")
        assert getattr(importlib.import_module(module), name) is not None, path
