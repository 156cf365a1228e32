"""Tables of any separator, as spreadsheets and people write them."""

import pytest

from membrane_xai.errors import InvalidInputError
from membrane_xai.tables import read_csv, write_csv


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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_the_unicode_text_of_spreadsheets(tmp_path, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    path = written(tmp_path, mark + "name\tgröße\na\t1\n", encoding)
    assert read_csv(path).rows == [{"name": "a", "größe": "1"}]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("sep=;\nname;x\na;1,5\n", [{"name": "a", "x": "1,5"}]),
        ('"sep=,"\r\nname,x\r\na,1;2\r\n', [{"name": "a", "x": "1;2"}]),
        ('"name, of it";x\na;1,5\n', [{"name, of it": "a", "x": "1,5"}]),
        ('"a;b;c;d",x\n1,2\n', [{"a;b;c;d": "1", "x": "2"}]),
        ('name, x\n"a", "1, 2"\n', [{"name": "a", "x": "1, 2"}]),
        ("name,x\n a, b\n", [{"name": " a", "x": " b"}]),
        ("name,x\na,b,\nc,d,, \n", [{"name": "a", "x": "b"}, {"name": "c", "x": "d"}]),
        ("wkt\nPOINT(1 2, 3)\n", [{"wkt": "POINT(1 2, 3)"}]),
    ],
)
def test_what_separates_cells(tmp_path, text, rows):
    assert read_csv(written(tmp_path, text)).rows == rows


def test_lines_are_counted_below_a_line_of_the_separator(tmp_path):
    assert read_csv(written(tmp_path, "\nsep=;\nname;x\na;1\n")).lines == [4]


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


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig"])
def test_text_as_windows_writes_it(tmp_path, encoding):
    found = read_csv(written(tmp_path, "name\tgröße\r\na\t1\r\n", encoding))
    assert found.rows == [{"name": "a", "größe": "1"}]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!doctype html>", "an HTML page (servers send one"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
        (b"PK\x03\x04\x14\x00", "a zip archive (a spreadsheet is one)"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a file of an old Microsoft Office"),
        (b'{"name": 1}', "JSON"),
        (b'<?xml version="1.0"?><a/>', "XML"),
        (b"\x89PNG\r\n", "a PNG image"),
        (b"PAR1\x15", "a Parquet table"),
    ],
)
def test_what_is_no_table(tmp_path, data, what):
    path = tmp_path / "table.csv"
    path.write_bytes(data)
    with pytest.raises(InvalidInputError) as refused:
        read_csv(path)
    assert str(refused.value).startswith(f"{path}: is {what}")
    assert str(refused.value).endswith("; it takes a CSV")
    with pytest.raises(InvalidInputError, match="is a folder; it takes a CSV"):
        read_csv(tmp_path)
