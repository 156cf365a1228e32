"""The settings of a folder of results, so that no run mixes its results with those of others."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from membrane_xai._disk.atomic import write_text
from membrane_xai.errors import InvalidInputError

__all__ = ["MANIFEST", "check_manifest", "read_manifest"]

MANIFEST = "manifest.json"


def check_manifest(
    out: Path, settings: Mapping[str, Any], *, what: str, **more: Any
) -> dict[str, Any]:
    """Write settings to a new folder, or raise unless those that are there are the same.

    `more` may differ from run to run; that of the last one is kept.
    """
    plain = json.loads(json.dumps(settings))
    path = out / MANIFEST
    if not path.exists():
        return _write(path, {"settings": plain, **more})
    there = read_manifest(out, what=what)
    before = there["settings"]
    for name in {**before, **plain}:
        if before.get(name) != plain.get(name):
            raise InvalidInputError(
                f"out has {what} of other settings: there {name} is {before.get(name)!r}, now "
                f"{plain.get(name)!r}; take another folder, or the settings in {MANIFEST}"
            )
    return there if {**there, **more} == there else _write(path, {**there, **more})


def read_manifest(out: Path, *, what: str) -> dict[str, Any]:
    """Return what the manifest of a folder says."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or not isinstance(manifest.get("settings"), dict):
            raise ValueError("it has no settings")
    except OSError as error:
        raise InvalidInputError(f"out is {str(out)!r}; no {what} have been kept there") from error
    except ValueError as error:
        raise InvalidInputError(
            f"out is {str(out)!r}; its {MANIFEST} is damaged: {error}"
        ) from error
    return manifest


def _write(path: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    write_text(path, json.dumps(manifest, indent=2) + "\n")
    return manifest
