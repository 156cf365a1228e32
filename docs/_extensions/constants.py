"""Constants that a public module takes from a private one, with what is said of them there.

Autodoc looks for it in the public module alone, and else shows what Python says of tuples.
"""

import ast

from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the listener."""
    app.connect("autodoc-process-docstring", _take_from_origin, priority=400)
    return {"parallel_read_safe": True}


def _take_from_origin(
    _app: Sphinx, what: str, name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    module, _, constant = name.rpartition(".")
    if what == "data" and (origin := _origin(module, constant)):
        said = ModuleAnalyzer.for_module(origin).find_attr_docs().get(("", constant))
        lines[:] = said or lines


def _origin(module: str, constant: str) -> str | None:
    """Return the module from which another takes a constant by its own name."""
    try:
        tree = ast.parse(ModuleAnalyzer.for_module(module).code)
    except PycodeError:
        return None
    taken = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    return next((n.module for n in taken if constant in {one.name for one in n.names}), None)
