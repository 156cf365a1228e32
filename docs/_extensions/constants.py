"""Constants that a public module takes from a private one, with what is said of them there.

Autodoc looks for it in the public module alone, and else shows what Python says of tuples.
"""

import ast
from importlib.util import find_spec, resolve_name
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listener."""
    app.connect("autodoc-process-docstring", _take_from_origin, priority=400)
    return {"parallel_read_safe": True}


def _take_from_origin(
    _app: Sphinx, what: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    module, _, constant = name.rpartition(".")
    if what == "data" and (said := _said(module, constant)):
        lines[:] = said


def _said(module: str, constant: str) -> list[str] | None:
    """Return what is said of a constant where it is defined, from whichever module it is taken."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    if said := ModuleAnalyzer.for_module(module).find_attr_docs().get(("", constant)):
        return said
    for node in _code(Path(spec.origin)).body:
        if isinstance(node, ast.ImportFrom) and constant in {one.name for one in node.names}:
            return _said(
                resolve_name("." * node.level + (node.module or ""), spec.parent), constant
            )
    return None


def _code(path: Path) -> ast.Module:
    """Parse a module, or the stub from which it loads its names at their first use."""
    stub = path.with_suffix(".pyi")
    return ast.parse((stub if stub.exists() else path).read_text(encoding="utf-8"))
