"""XML as a tree of tags, attributes and children, without entities of the document's own.

Entities can make a small file huge, and read other files; no program of this field writes any.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat  # entities are refused below

from membrane_xai.errors import InvalidInputError

__all__ = ["Element", "parse_xml"]


@dataclass(slots=True)
class Element:
    """A tag with its attributes; the text between tags is passed over."""

    tag: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """Return an attribute without blanks around it."""
        return self.attributes.get(name, default).strip()

    def each(self, *path: str) -> Iterator["Element"]:
        """Yield the elements that a path of tags leads to."""
        for child in self.children:
            if child.tag == path[0]:
                if len(path) == 1:
                    yield child
                else:
                    yield from child.each(*path[1:])


def parse_xml(data: bytes) -> Element:
    """Return the root of a document, or raise saying what is wrong."""
    root = Element("", {})
    open_elements = [root]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag.rpartition(":")[2], attributes)
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(_tag: str) -> None:
        open_elements.pop()

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise InvalidInputError(f"the annotations are not XML: {error}") from None
    except (LookupError, ValueError) as error:  # of an encoding that is none
        if isinstance(error, InvalidInputError):
            raise
        raise InvalidInputError(f"the annotations are not XML: {error}") from None
    return root.children[0]


def _refuse(*_about: object) -> NoReturn:
    raise InvalidInputError("the annotations are XML that declares entities, which is not read")
