"""Which images are the H&E half of a data set whose other half is IHC, by their names.

BCI, and whoever pairs H&E with IHC, gives both halves the same names and folders, so the score of
the IHC image would be read from the H&E image, too.
"""

import re
from collections.abc import Collection
from pathlib import PurePath

from her2_models.data._names import SPLIT_FOLDER, read_file_name
from her2_models.data._tree import Key, Tree, key_of

__all__ = ["is_he", "is_he_root", "is_ihc_folder"]

# Nothing else is spelled so, whatever stands around it
_SURE = re.compile(
    r"(?<![a-z0-9])h[\s_]*(?:&(?:amp;)?|\+|%26)[\s_]*e|"
    r"(?<![a-z])h[-_ ]and[-_ ]e(?![a-z])|(?-i:HandE)|eosin(?!o)",
    re.I,
)
# Names that people and slides may have, too, such as Dr_He or HE_12
_HE = r"(?:he|hes|hne|h[-_ .]e)"
_MAYBE = re.compile(rf"(?<![a-z])(?:{_HE}|ha?ematoxylin)(?![a-z])", re.I)
_CAMEL = re.compile(r"(?<=[a-z])HE(?![A-Za-z])|(?<![A-Za-z])HE(?=[A-Z][a-z])")
_WORDS = (
    r"(?:[-_. ()]|(?:train|test|val)(?:ing|id|idation)?(?:[-_ ]?[ab](?![a-z]))?|"
    r"(?:image|img|pic|patche?|tile|crop|section|slide|scan|wsi|roi|field|folder|part|stain)s?|"
    r"stained|staining|cropped|resized|registered|aligned|paired|normali[sz]ed|norm|original|orig|"
    r"raw|data|set|half|side|source|input|domain|reference|ref|tissue|breast|bci|her2|only|all|"
    r"final|new|copy|class|png|jpe?g|tiff?|(?:batch|fold)[-_ ]?[0-9]*|"
    r"(?:64|128|224|256|299|384|512|768|1024|2048)(?:px)?|(?:5|10|20|40)x)*"
)
_ORDER = r"(?:[0-9]{1,2}[-_. ]+)?"  # "01_HE"; behind it, a number may be that of a slide
_ONLY_HE = re.compile(rf"{_ORDER}{_WORDS}{_HE}{_WORDS}", re.I)
_ONLY_IHC = re.compile(rf"{_ORDER}{_WORDS}(?:ihc|dab){_WORDS}", re.I)
_IHC = re.compile(r"(?i:(?<![a-z])(?:ihc|dab)(?![a-z]))|IHC|DAB")
_GLUED_A = re.compile(r"(?:train|test|val)(?:ing|id|idation)?(?P<side>a)", re.I)
_PARTNERS = ("ihc", "dab", "her2")


def is_he(place: PurePath, tree: Tree) -> bool:
    """Tell whether the folders or the name of an image at `place` are those of an H&E half."""
    of_bci = read_file_name(place.stem).family == "bci"
    key = key_of(place)
    for i, name in enumerate(place.parts[:-1]):
        beside = tree.children[key[:i]]
        if _is_he_folder(name, beside):
            return True
        if _is_side_a(name, beside, of_bci=of_bci):
            return True
        other = _side_b(name)
        if other is not None and tree.mirrors(key[: i + 1], (*key[:i], other)):
            return True
    return _is_he_file(place, key, tree)


def is_he_root(name: str, beside: Collection[str], *, of_bci: bool) -> bool:
    """Tell whether a data set's own folder, with others `beside` it, is an H&E half.

    "he" may be a person's home, unless it holds BCI or lies beside IHC.
    """
    if name in ("he", "He") and not of_bci:
        return _is_ihc_among(beside)
    return _is_he_folder(name, beside) or _is_side_a(name, beside, of_bci=of_bci)


def is_ihc_folder(name: str) -> bool:
    """Tell whether a folder's name says IHC and nothing that a slide or patient is called."""
    return _ONLY_IHC.fullmatch(name) is not None


def _is_he_folder(name: str, beside: Collection[str]) -> bool:
    if _IHC.search(name):
        return False  # "HE_IHC" holds both
    if _SURE.search(name) or _ONLY_HE.fullmatch(name):
        return True
    if not (_MAYBE.search(name) or _CAMEL.search(name)):
        return False
    partners = set(_swapped(name))
    return any(one.lower() in partners for one in beside) or _is_ihc_among(beside)


def _is_ihc_among(names: Collection[str]) -> bool:
    return any(is_ihc_folder(one) for one in names)


def _is_side_a(name: str, beside: Collection[str], *, of_bci: bool) -> bool:
    """Tell the first domain of pix2pix and CycleGAN, trainA; B is IHC.

    Beside a "train", "testA" and "testB" may be two test sets of one kind, as may "test_a".
    """
    other = _side_b(name)
    names = {one.lower() for one in beside}
    if other is None or of_bci:
        return other is not None or (of_bci and name.lower() == "a" and "b" in names)
    splits = [found for one in beside if (found := SPLIT_FOLDER.fullmatch(one))]
    if not all(found["side"] for found in splits):
        return False
    glued = _GLUED_A.search(name)
    return glued is not None and (glued["side"] == "A" or other in names)


def _side_b(name: str) -> str | None:
    """Return what the second domain beside "trainA" is called, in lower case; None for others."""
    found = SPLIT_FOLDER.fullmatch(name)
    if not found or (found["side"] or "").lower() != "a":
        return None
    at = found.start("side")
    return f"{name[:at]}b{name[at + 1 :]}".lower()


def _is_he_file(place: PurePath, key: Key, tree: Tree) -> bool:
    stem = place.stem
    if _IHC.search(stem):
        return False
    if _SURE.search(stem):
        return True
    partners = {*_swapped(stem), _without(stem)} - {key[-1], ""}
    return any((*key[:-1], one) in tree.images for one in partners)


def _swapped(name: str) -> list[str]:
    """Return what the IHC partner of a name would be called, in lower case."""
    return [
        pattern.sub(partner, name).lower()
        for pattern in (_MAYBE, _CAMEL)
        if pattern.search(name)
        for partner in _PARTNERS
    ]


def _without(stem: str) -> str:
    """Return "x" for "x_HE", else nothing."""
    found = re.fullmatch(rf"(.+)[-_. ]{_HE}", stem, re.I)
    return found[1].lower() if found else ""
