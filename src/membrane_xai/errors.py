"""Exceptions and warnings: one family, so that callers can catch all of it at once.

Every message names the argument, what it got and what it takes.
"""

__all__ = [
    "InvalidInputError",
    "MembraneXAIError",
    "MembraneXAIWarning",
    "MissingDependencyError",
    "UndefinedScoreError",
]


class MembraneXAIError(Exception):
    """Base of every exception this project raises on purpose."""


class InvalidInputError(MembraneXAIError, ValueError):
    """An argument has a value, shape or type that the function does not take."""


class UndefinedScoreError(MembraneXAIError, ValueError):
    """A score has no value for at least one sample and the caller asked for ``"raise"``."""


class MissingDependencyError(MembraneXAIError, ImportError):
    """An optional library is needed and not installed; the message names the extra."""


class MembraneXAIWarning(UserWarning):
    """Base of every warning this project emits on purpose."""
