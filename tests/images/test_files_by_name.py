"""Files in folders by suffix and name, and tables of any separator."""

import pytest

from membrane_xai.annotations import OUTLINE_SUFFIXES, find_outlines, read_annotations
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import IMAGE_SUFFIXES, files_below
from membrane_xai.tables import read_csv, write_csv


def touch(root, *places):
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).touch()


def link(place, target):
    try:
        place.symlink_to(target)
    except OSError:
        pytest.skip("no links here")


def places(root, suffixes=(".png",), **options):
    return [path.relative_to(root).as_posix() for path in files_below(root, suffixes, **options)]


def test_files_come_in_order_without_what_systems_hide(tmp_path):
    touch(tmp_path, "b/z.PNG", "b/a.png", "a.png", "c.jpg", ".a.png", ".b/a.png", "__MACOSX/a.png")
    (tmp_path / "d.png").mkdir()
    assert places(tmp_path) == ["a.png", "b/a.png", "b/z.PNG"]
    assert places(tmp_path, IMAGE_SUFFIXES) == ["a.png", "b/a.png", "b/z.PNG", "c.jpg"]
    assert places(tmp_path, without=[tmp_path / "b"]) == ["a.png"]


def test_a_zarr_folder_stands_for_a_file(tmp_path):
    touch(tmp_path, "a.zarr/c/0.png", "b.png")
    assert places(tmp_path, (".zarr", ".png")) == ["a.zarr", "b.png"]
    assert places(tmp_path) == ["b.png"]


def test_links_in_circles_end(tmp_path):
    touch(tmp_path, "one/a.png", "two/b.png")
    link(tmp_path / "one" / "other", tmp_path / "two")
    link(tmp_path / "two" / "other", tmp_path / "one")
    link(tmp_path / "two" / "up", tmp_path)
    found = ["one/a.png", "one/other/b.png", "two/b.png", "two/other/a.png"]
    assert places(tmp_path) == found


def test_a_link_to_nothing_is_a_file_that_will_not_open(tmp_path):
    link(tmp_path / "a.png", tmp_path / "gone.png")
    link(tmp_path / "b", tmp_path / "gone")
    assert places(tmp_path) == ["a.png"]


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


def test_outlines_that_are_not_to_be_told_apart(tmp_path):
    touch(tmp_path, "a.json", "a.csv")
    with pytest.raises(InvalidInputError, match="are both annotations of the name 'a'"):
        find_outlines(tmp_path, ["a"])
    with pytest.raises(InvalidInputError, match="there is no such folder"):
        find_outlines(tmp_path / "none", ["a"])


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_any_separator(tmp_path, separator, end):
    lines = ["", "name, x ", 'a,"1 ""2"""', "", " ,", "b,", ""]
    text = end.join(lines).replace(",", separator)
    columns, rows, numbers = read_csv(written(tmp_path, text, "utf-8-sig"))
    assert columns == ("name", "x")
    assert rows == [{"name": "a", "x": '1 "2"'}, {"name": "b", "x": ""}]
    assert numbers == [3, 6]


def test_a_cell_may_have_lines_and_be_long(tmp_path):
    long = "y" * 200_000
    table = read_csv(written(tmp_path, f'name,x\na,"1\n2"\nb,{long}\n'))
    assert [row["x"] for row in table.rows] == ["1\n2", long]
    assert table.lines == [3, 4]


def test_what_was_written_comes_back(tmp_path):
    path = write_csv(tmp_path / "a.csv", [{"id": "one; 1", "map": 0.1 + 0.2, "ec": float("nan")}])
    assert read_csv(path).rows == [{"id": "one; 1", "map": "0.30000000000000004", "ec": ""}]


def test_an_index_without_a_name_is_a_column(tmp_path):
    assert read_csv(written(tmp_path, "\tname\n0\ta\n")).rows == [{"": "0", "name": "a"}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n\n1\n", r"table.csv: line 4 has 1 cells; it takes 2, one for each column"),
        ("\n\na,b\n1,2,3\n", r"line 4 has 3 cells; it takes 2"),
        ("a, a\n1,2\n", "has two columns 'a'; it takes different names"),
        ('a,b\n1,"2\n', "table.csv: line 2: unexpected end of data"),
        ('a,b\n"1"x,2\n', "line 2: .* expected after"),
    ],
)
def test_tables_that_do_not_hold_together(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        read_csv(written(tmp_path, text))


def test_a_table_in_another_encoding(tmp_path):
    with pytest.raises(InvalidInputError, match=r"table\.csv: is not UTF-8 text: invalid"):
        read_csv(written(tmp_path, "a\nä\n", "latin-1"))


def test_a_table_of_outlines_keeps_its_lines_and_must_hold_together():
    text = 'ID;Term;WKT;note\n7;Tumour;POINT (1 2);"two\nlines"\n'
    [found] = read_annotations(text, height=10)
    assert (found.id, found.classification, found.properties) == (
        "7",
        "Tumour",
        {"note": "two\nlines"},
    )
    with pytest.raises(InvalidInputError, match="line 2 has 2 cells; it takes 1"):
        read_annotations("WKT\nPOINT (1 2),x\n", format="csv", height=10)
