"""Files of outlines that go with the names of images."""

import pytest
from file_trees import touch

from membrane_xai.annotations import OUTLINE_SUFFIXES, find_outlines
from membrane_xai.errors import InvalidInputError


def test_outlines_by_name(tmp_path):
    touch(tmp_path, *(f"{i}{suffix}" for i, suffix in enumerate(OUTLINE_SUFFIXES)))
    touch(tmp_path, "below/a.ome.GeoJSON", "below/A\u0308.wkt", "below/skipped/a.json")
    names = [*map(str, range(len(OUTLINE_SUFFIXES))), "below/a", "below/\u00c4", "gone"]
    found = find_outlines(tmp_path, names, without=[tmp_path / "below" / "skipped"])
    assert list(found) == names[:-1]
    assert [path.name for path in found.values()][-2:] == ["a.ome.GeoJSON", "A\u0308.wkt"]
    assert list(find_outlines(tmp_path, ["below/a.ome", "below/A\u0308"])) == [
        "below/a.ome", "below/A\u0308"
    ]  # fmt: skip
    assert len(find_outlines(tmp_path)) == len(OUTLINE_SUFFIXES) + 3
    assert len(find_outlines(tmp_path, without=[found["0"]])) == len(OUTLINE_SUFFIXES) + 2


def test_outlines_that_are_not_to_be_told_apart(tmp_path):
    touch(tmp_path, "a.json", "a.csv")
    with pytest.raises(InvalidInputError, match="are both annotations of the name 'a'"):
        find_outlines(tmp_path, ["a"])
    with pytest.raises(InvalidInputError, match="there is no such folder"):
        find_outlines(tmp_path / "none", ["a"])
