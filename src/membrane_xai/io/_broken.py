"""The many errors of broken files as one."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from membrane_xai._disk.contents import IMAGE_KINDS, unlike
from membrane_xai.errors import InvalidInputError, MembraneXAIError, missing

__all__ = ["as_image_errors", "as_input_errors"]


@contextmanager
def as_input_errors(path: Path, expected: Sequence[str] = IMAGE_KINDS) -> Iterator[None]:
    """Turn the many errors of a broken file into one, and that of a missing decoder into its own.

    tifffile and the decoders raise whatever they come across in a file they did not expect. A file
    that is something else than `expected` is called that.
    """
    try:
        yield
    except (MembraneXAIError, FileNotFoundError, PermissionError, MemoryError):
        raise
    except Exception as error:
        if "requires the 'imagecodecs' package" in str(error):
            raise missing("imagecodecs", f"{path}: its compression", extra="slides") from error
        if kind := unlike(path, *expected):
            raise InvalidInputError(f"{path}: is {kind}, in spite of its suffix") from None
        raise InvalidInputError(f"{path}: is truncated or damaged: {error}") from error


@contextmanager
def as_image_errors(path: Path) -> Iterator[None]:
    """Do the same for what Pillow raises, which may not know the file."""
    from PIL import UnidentifiedImageError

    with as_input_errors(path):
        try:
            yield
        except UnidentifiedImageError:
            kind = unlike(path, *IMAGE_KINDS)
            what = f"is {kind}, and is" if kind else "is"
            damaged = "" if kind else ", or its beginning is damaged"
            raise InvalidInputError(
                f"{path}: {what} not a PNG, JPEG, BMP or TIFF image{damaged}"
            ) from None
