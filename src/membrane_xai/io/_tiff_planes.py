"""Whether three grey planes of a TIFF are red, green and blue, or something else of three."""

import re
from typing import Any
from xml.etree import ElementTree as ET

__all__ = ["bits_of_ome", "may_be_fluorescence", "why_no_colours"]

_CHANNELS = 3
_NAMES = (("red", "r"), ("green", "g"), ("blue", "b"))
_COLORS = ("-16776961", "16711935", "65535")  # red, green and blue in OME: RGBA, 32 bits, signed
_UNNAMED = re.compile(r"(channel|ch|c)?[\s_:#-]*\d*(:\d+)?", re.IGNORECASE)
_OF_LIGHT = ("Fluor", "EmissionWavelength", "ExcitationWavelength")
_REMEDY = "if they are red, green and blue, save them as RGB"


def why_no_colours(
    axes: str, *, ome: str | None, imagej: dict[str, Any] | None, eight_bits: bool
) -> str:
    """Return why three grey planes are no RGB picture, or an empty text.

    Parameters
    ----------
    axes : str
        Of the planes and within them, as tifffile names them.
    ome : str or None
        OME-XML.
    imagej : dict or None
        ImageJ's metadata.
    eight_bits : bool
        Whether they have 8 bits a sample: converters write the colours of brightfield slides as
        three channels of that without names.
    """
    kinds = {"Z": "slices of a stack", "T": "time points"}
    first = axes.strip("YX")
    if first != "C":
        what = kinds.get(first, "grey pictures")
        return f"holds three {what} (axes {axes}), which are no colours; {_REMEDY}"
    if imagej is not None:
        if _are_named(imagej.get("Labels") or []):
            return ""
        return f"holds three channels of ImageJ, which are no colours; {_REMEDY}"
    if ome is None:
        return f"holds three channels without names; {_REMEDY}"
    return _of_channels(ome, eight_bits=eight_bits)


def may_be_fluorescence(ome: str | None) -> bool:
    """Tell whether nothing but the pixels can tell three channels from colours."""
    pixels = _pixels(ome)
    channels = [] if pixels is None else pixels.findall("{*}Channel")
    return not _are_named([one.get("Name", "") for one in channels])


def bits_of_ome(xml: str | None) -> int | None:
    """Return how many bits of a sample are in use by OME-XML; None if it does not say."""
    pixels = _pixels(xml)
    stated = "" if pixels is None else pixels.get("SignificantBits", "")
    return int(stated) if stated.isdecimal() and int(stated) > 0 else None


def _of_channels(ome: str, *, eight_bits: bool) -> str:
    pixels = _pixels(ome)
    channels = [] if pixels is None else pixels.findall("{*}Channel")
    names = [one.get("Name", "") for one in channels]
    if _are_named(names):
        return ""
    told = [name for name in names if not _UNNAMED.fullmatch(name)]
    light = [one for one in channels if any(one.get(key) for key in _OF_LIGHT)]
    if told or light or any(one.get("ContrastMethod") == "Fluorescence" for one in channels):
        listed = f" ({', '.join(told)})" if told else ""
        return f"holds three channels{listed} that are no colours; it takes one RGB picture"
    colors = [one.get("Color") for one in channels]
    if any(colors) and tuple(colors) != _COLORS:
        return f"holds three channels that are not red, green and blue; {_REMEDY}"
    if not eight_bits and not any(colors):
        return f"holds three channels of 16 bits without names; {_REMEDY}"
    return ""


def _are_named(names: list[str]) -> bool:
    """Tell whether channels are called red, green and blue."""
    return len(names) == _CHANNELS and all(
        name.strip().lower() in known for name, known in zip(names, _NAMES, strict=True)
    )


def _pixels(xml: str | None) -> ET.Element | None:
    try:
        return ET.fromstring(xml or "").find(".//{*}Pixels")  # noqa: S314  # expat limits expansion
    except ET.ParseError:
        return None
