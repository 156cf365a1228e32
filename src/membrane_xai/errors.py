"""Exceptions and warnings: one family, so that callers can catch all of it at once.

Every message names the argument, what it got and what it takes.
"""

__all__ = [
    "InvalidInputError",
    "MembraneXAIError",
    "MembraneXAIWarning",
    "MissingDependencyError",
    "UndefinedScoreError",
    "missing",
]

_PACKAGES = {
    "openslide": "openslide-python",
    "pytorch_grad_cam": "grad-cam",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Package of a module, where their names differ."""


class MembraneXAIError(Exception):
    """Base of every exception this project raises on purpose."""


class InvalidInputError(MembraneXAIError, ValueError):
    """An argument has a value, shape or type that the function does not take."""


class UndefinedScoreError(MembraneXAIError, ValueError):
    """A score has no value for at least one sample and the caller asked for ``"raise"``."""


class MissingDependencyError(MembraneXAIError, ImportError):
    """An optional library is needed and not installed; the message names the extra."""


def missing(
    library: ImportError | str, what: str, *, extra: str | None = None, package: str | None = None
) -> MissingDependencyError:
    """Return the error to raise where an optional library is missing.

    Parameters
    ----------
    library : ImportError or str
        The error of the import that failed, or the name of the module.
    what : str
        What needs the library, in the singular: it stands before "needs".
    extra : str, optional
        Extra of membrane-xai that brings it, or several with commas between.
    package : str, optional
        Package that brings it, where no extra does.

    Returns
    -------
    MissingDependencyError
        With the name of the module, as errors of import have it.

    Examples
    --------
    >>> try:
    ...     import no_such_library
    ... except ImportError as error:
    ...     print(missing(error, "the report", extra="report"))
    the report needs no_such_library: pip install "membrane-xai[report]"
    >>> print(missing("yaml", "her2_models", extra="her2"))
    her2_models needs pyyaml: pip install "membrane-xai[her2]"

    A library that is there and cannot be loaded says itself what is wrong:

    >>> print(missing(ImportError("libGL.so.1 is not there"), "the report", extra="report"))
    the report needs a library (libGL.so.1 is not there): pip install "membrane-xai[report]"
    """
    name = library if isinstance(library, str) else library.name
    module = name.partition(".")[0] if name else None
    needed = _PACKAGES.get(module, module) if module else f"a library ({library})"
    source = f'"membrane-xai[{extra}]"' if extra else package
    return MissingDependencyError(f"{what} needs {needed}: pip install {source}", name=name)


class MembraneXAIWarning(UserWarning):
    """Base of every warning this project emits on purpose."""
