"""HER2 scores in the names of folders and files, in the spellings that are in use."""

import re
from typing import NamedTuple

__all__ = ["SPLIT_FOLDER", "FileName", "read_file_name", "read_grade", "read_score"]

_LABELLED = re.compile(
    r"(?:(?:her2(?:neu)?|ihc|class|score|grade|label)[\s_.-]*)+([0-3])\s*(?:\+|plus|p)?"
)
_SIGNED = re.compile(r"([0-3])[\s_-]*(?:\+|plus)")
_BARE = re.compile(r"[0-3]")
_FLOAT = re.compile(r"([0-3])[.,]0+")  # as pandas writes a column that has gaps

_STAIN = r"(?:ihc|her2|dab|h&e|he)"
SPLIT_FOLDER = re.compile(
    rf"(?:{_STAIN}[-_ ])?(?P<split>train|test|val)(?:ing|id|idation)?(?:[-_ ]?(?P<side>[ab]))?"
    rf"(?:[-_ ]?(?:data|set|patch|patches|wsi|images|{_STAIN}))*",
    re.I,
)
"""A folder of a split, "train_data"; of pix2pix and CycleGAN with its side, "trainA"."""

_BCI = re.compile(r"(?P<counter>\d+)_(?P<origin>train|test|val)_(?P<grade>[0-3])\+?", re.I)
_HER2_40X = re.compile(
    r"her2[-_ ](?P<grade>[0-3])\+?[-_ ]score[-_ ](?P<origin>train|test|val)[-_ ](?P<counter>\d+)"
    r"(?:\D.*)?",  # such as " (1)" of a copy
    re.I,
)
_ORIGIN = re.compile(r"(?:^|[-_ ])(train|test|val)(?=[-_ ]|$)", re.I)
_COUNTER = re.compile(r"(\d+)\D*$")


class FileName(NamedTuple):
    """What the name of an image file says."""

    family: str | None
    """Whose names look so: "bci", "her2-ihc-40x", or None."""
    grade: int | None
    origin: str | None
    """The token "train", "test" or "val"."""
    counter: int | None
    prefix: str
    """What is before the counter, so that counters of different series are kept apart."""


def read_grade(text: str, *, bare: bool = True) -> int | None:
    """Return the score that a folder or a table's cell names, or None; `bare` allows "2" alone."""
    plain = text.strip().lower()
    for pattern in (_LABELLED, _SIGNED, *((_BARE,) if bare else ())):
        if found := pattern.fullmatch(plain):
            return int(found[found.lastindex or 0])
    return None


def read_score(text: str) -> int | None:
    """Return the score in a table's cell, or None; "2.0" is 2 there, and no version of a folder."""
    found = _FLOAT.fullmatch(text.strip())
    return int(found[1]) if found else read_grade(text)


def read_file_name(stem: str) -> FileName:
    """Take a file name, without its ending, apart."""
    for family, pattern in (("bci", _BCI), ("her2-ihc-40x", _HER2_40X)):
        if found := pattern.fullmatch(stem):
            origin = found["origin"].lower()
            return FileName(family, int(found["grade"]), origin, int(found["counter"]), origin)
    tokens = {token.lower() for token in _ORIGIN.findall(stem)}
    counter = _COUNTER.search(stem)
    return FileName(
        None,
        None,
        tokens.pop() if len(tokens) == 1 else None,
        int(counter[1]) if counter else None,
        stem[: counter.start()] if counter else stem,
    )
