"""Pages read back: elements, tables and data of an HTML report."""

import json
from html.parser import HTMLParser

import pytest


class Parsed(HTMLParser):
    """The elements of a page: tags with attributes, and the text within each."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self._open = [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in ("meta", "link", "img", "input", "br"):
            self._open.append(element)

    def handle_endtag(self, tag):
        while self._open and self._open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag):
        return [one for one in self.elements if one["tag"] == tag]

    def by_id(self, name):
        [found] = [one for one in self.elements if one["attrs"].get("id") == name]
        return found

    def json(self, name):
        return json.loads(self.by_id(name)["text"], parse_constant=pytest.fail)

    def rows(self, caption):
        """Return the cells of the table whose caption starts so, row by row."""
        at = next(
            i for i, one in enumerate(self.elements)
            if one["tag"] == "caption" and one["text"].startswith(caption)
        )  # fmt: skip
        found = []
        for one in self.elements[at + 1 :]:
            if one["tag"] == "caption":
                break
            if one["tag"] == "tr":
                found.append([])
            if one["tag"] in ("th", "td"):
                found[-1].append(" ".join(one["text"].split()))
        return found
