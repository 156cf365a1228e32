"""Check that every public name has a page in the reference; a name without one is a warning."""

import importlib
from collections.abc import Iterator

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

logger = logging.getLogger(__name__)


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each name in ``__all__`` of a documented module that the reference leaves out."""
    documented = env.domains.python_domain.objects
    for name in app.config.documented_modules:
        for public_name in _public(name):
            if public_name not in documented:
                logger.warning("public name without a page in docs/reference: %s", public_name)


def _public(module_name: str) -> Iterator[str]:
    """Yield the full name of each public object: the short one where the package re-exports it."""
    module = importlib.import_module(module_name)
    package = module_name.partition(".")[0]
    short = getattr(importlib.import_module(package), "__all__", ())
    for name in module.__all__:
        yield f"{package if name in short else module_name}.{name}"


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the check."""
    app.add_config_value("documented_modules", [], "env")
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True}
