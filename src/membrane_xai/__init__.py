"""Membrane Activation Precision, Explanation Consistency and membrane masks for IHC images."""

import sys
from types import ModuleType
from typing import Any

import lazy_loader

__version__ = "0.1.0.dev0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


class _Package(ModuleType):
    """Keep a function reachable under the name of the file it lives in.

    The import system binds every submodule on its package, so ``membrane_xai.alignment`` would turn
    from the function into the module once the file is loaded. The public name wins.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and name in ("alignment", "consistency")):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
