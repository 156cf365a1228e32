"""Pixel sizes in micrometres: from metadata, by user, and as magnification."""

import math
import re
import warnings
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET

from membrane_xai._backend.checks import MPP_LIMITS
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

__all__ = [
    "MICROMETERS",
    "MPP_AT_1X",
    "PixelSize",
    "from_density",
    "from_ome",
    "from_text",
    "length_of",
    "magnification_of",
    "resolve_mpp",
    "scale_text",
]

MPP_AT_1X = 10.0
"""Micrometres per pixel by convention: 10x is 1, 20x is 0.5, 40x is 0.25."""

MICROMETERS = {
    "m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25400.0,
    "\N{MICRO SIGN}m": 1.0, "\N{GREEK SMALL LETTER MU}m": 1.0, "um": 1.0, "micron": 1.0,
}  # fmt: skip
"""Micrometres in a unit of length."""
_OTHER_NAMES = {
    "\\u00b5m": "um", "micron": "um", "microns": "um", "micrometer": "um", "micrometre": "um",
    "micrometers": "um", "micrometres": "um", "millimeter": "mm", "millimetre": "mm",
    "centimeter": "cm", "centimetre": "cm", "nanometer": "nm", "nanometre": "nm",
    "inch": "in", "inches": "in",
}  # fmt: skip
"""As ImageJ spells units, whose text is ASCII; in lower case."""

_APERIO = re.compile(r"\|\s*MPP\s*=\s*([-+]?[0-9]*[.,]?[0-9]+(?:[eE][-+]?[0-9]+)?)")
_CONFLICT = 0.05  # relative difference from what the user gives that is warned of; set by hand
_ONE_SCALE = 1.02  # largest ratio of pixel sizes that are told as one; images differ by rounding
_ANISOTROPY = 0.02  # relative difference of height and width of a square pixel; set by hand


class PixelSize(NamedTuple):
    """Sides of a pixel in micrometres."""

    x: float
    y: float

    @property
    def plausible(self) -> bool:
        """Whether a microscope gives such pixels."""
        low, high = MPP_LIMITS
        return low <= min(self.x, self.y) and max(self.x, self.y) <= high

    def turned(self) -> "PixelSize":
        """Return the size with its sides exchanged."""
        return PixelSize(self.y, self.x)


class _StatedSize(PixelSize):
    """The same, with what states it."""

    said_by: str

    def turned(self) -> "PixelSize":
        return _if_known(self.y, self.x, self.said_by) or self


def magnification_of(mpp: float) -> float:
    """Return the objective at which pixels have this size.

    Parameters
    ----------
    mpp : float
        Micrometres per pixel, above 0.

    Returns
    -------
    float
        ``10 / mpp``, as scanners count: their 40x has 0.25 micrometres per pixel.

    Examples
    --------
    >>> from membrane_xai.io import magnification_of
    >>> magnification_of(0.25), magnification_of(1.0)
    (40.0, 10.0)
    """
    return MPP_AT_1X / mpp


def scale_text(mpp: float | Iterable[float]) -> str:
    """Return pixel sizes as they are printed: in micrometres, and as objectives.

    Parameters
    ----------
    mpp : float, or iterable of float
        Micrometres per pixel; NaN where unknown.

    Returns
    -------
    str
        One size where all are within 2 %, else the least and the greatest.

    Examples
    --------
    A patch of 1024 pixels at 40x that a network takes in 224:

    >>> from membrane_xai.io import scale_text
    >>> scale_text(0.25 * 1024 / 224)
    '1.14 um/px (8.75x)'
    >>> scale_text([0.25, 0.5, float("nan")]), scale_text([])
    ('0.25 to 0.5 um/px (40x to 20x), some unknown', 'unknown um/px')
    """
    sizes = [float(one) for one in (mpp if isinstance(mpp, Iterable) else [mpp])]
    known = [one for one in sizes if 0 < one < math.inf]
    if not known:
        return "unknown um/px"
    low, high = min(known), max(known)
    ends = [math.sqrt(low * high)] if high / low <= _ONE_SCALE else [low, high]
    values = " to ".join(f"{one:.3g}" for one in ends)
    objectives = " to ".join(f"{magnification_of(one):.3g}x" for one in ends)
    rest = ", some unknown" if len(known) < len(sizes) else ""
    return f"{values} um/px ({objectives}){rest}"


def from_ome(xml: str) -> PixelSize | None:
    """Return the physical size in the first ``Pixels`` of OME-XML; None without one."""
    try:
        pixels = ET.fromstring(xml).find(".//{*}Pixels")  # noqa: S314  # expat limits expansion
    except ET.ParseError:
        return None
    if pixels is None:
        return None
    sides = []
    for axis in "XY":
        unit = pixels.get(f"PhysicalSize{axis}Unit", "um")
        length = _number(pixels.get(f"PhysicalSize{axis}")) * MICROMETERS.get(unit, math.nan)
        sides.append(length)
    return _if_known(sides[0], sides[1], "its OME-XML")


def from_density(x: float, y: float, length: float) -> PixelSize | None:
    """Return the size for `x` and `y` pixels on `length` micrometres; None unless plausible.

    Resolutions are also written by programs that know none: 72, 96 or 300 dots per inch.
    """
    if min(x, y) <= 0:
        return None
    size = _if_known(length / x, length / y, "its resolution")
    return size if size and size.plausible else None


def length_of(unit: object) -> float | None:
    """Return the micrometres in a unit as ImageJ spells it; None for none, such as pixels."""
    name = str(unit)
    return MICROMETERS.get(_OTHER_NAMES.get(name.lower(), name))


def from_text(description: str) -> PixelSize | None:
    """Return what Aperio's scanners write into the description: ``|MPP = 0.2498``."""
    found = _APERIO.search(description)
    size = _number(found[1].replace(",", ".")) if found else math.nan
    return _if_known(size, size, "Aperio's description in it")


def resolve_mpp(mpp: float | None, found: PixelSize | None, source: str) -> float | None:
    """Return the size to go by: `mpp` if given, else the one found.

    Raises if the one found is not plausible, or not square, and no other was given; warns if both
    are there and disagree.
    """
    if found is None:
        return mpp
    mean = math.sqrt(found.x * found.y)
    if mpp is not None:
        if abs(mean / mpp - 1) > _CONFLICT:
            warnings.warn(
                f"{source}: mpp={mpp:g} was given and is used; the file says {mean:.4g}",
                MembraneXAIWarning,
                stacklevel=3,
            )
        return mpp
    if not found.plausible:
        low, high = MPP_LIMITS
        said_by = found.said_by if isinstance(found, _StatedSize) else "the file"
        raise InvalidInputError(
            f"{source}: {said_by} states pixels of {found.x:.4g} by {found.y:.4g} um, which "
            f"no microscope gives ({low:g} to {high:g}): give the true size, mpp or --mpp, which "
            f"goes before it"
        )
    if abs(found.x / found.y - 1) > _ANISOTROPY:
        raise InvalidInputError(
            f"{source}: pixels are {found.x:.4g} by {found.y:.4g} um; they have to be square "
            f"within 2 %: resample the image, or give mpp if the file is wrong"
        )
    return mean


def _if_known(x: float, y: float, said_by: str) -> PixelSize | None:
    if not (0 < x < math.inf and 0 < y < math.inf):
        return None
    size = _StatedSize(x, y)
    size.said_by = said_by
    return size


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
