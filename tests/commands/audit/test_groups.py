"""``membrane-xai audit``: the table of groups and other labels."""

import pytest
from audit_files import NAMES, audit, document, table, write_groups


def test_groups_as_spreadsheets_write_them(root):
    lines = ["name;group;score;magnification", "one.png;A;3+;40", "two;B;2+;", "three;A;;20"]
    write_groups(root, lines, encoding="utf-8-sig")
    assert audit(root, "--groups", root / "groups.csv") == 0
    rows = {row["id"]: row for row in table(root)}
    assert [rows[name]["group"] for name in NAMES] == ["A", "B", "A"]
    assert [rows[name]["score"] for name in NAMES] == ["3+", "2+", ""]
    assert rows["one"]["magnification"] == "40"
    by = {(row["by"], row["value"]) for row in document(root, "summary.json")["rows"]}
    assert ("score", "3+") in by
    assert not any(value is None for _, value in by)


@pytest.mark.parametrize("index", ["", "Unnamed: 0", '""'])
@pytest.mark.parametrize("first", [0, 1])
def test_groups_as_pandas_and_r_write_them(root, index, first):
    """Their row numbers are no column, and their missing values no group of their own."""
    rows = ["one,A,nan", "two,B,<NA>", "three,A,NaN"]
    lines = [f"{index},name,group,score", *(f"{i},{row}" for i, row in enumerate(rows, first))]
    write_groups(root, lines)
    assert audit(root, "--groups", root / "groups.csv") == 0
    found = {row["id"]: row for row in table(root)}
    assert [found[name]["group"] for name in NAMES] == ["A", "B", "A"]
    assert not any(row["score"] for row in found.values())
    assert not {"", "Unnamed: 0"} & set(found["one"])


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["file,group", "one,A"], "has columns ['file', 'group']; it takes 'name' and others"),
        (["name", "one"], "it takes 'name' and others"),
        (["name,group", "one,A", "one,B"], "lines 2 and 3 are both of 'one'"),
        (["name,group", "one,A", "one.png,B"], "two rows of the image 'one'"),
        (["name,group", "one"], "line 2 has 1 cells; it takes 2, one for each column"),
        (["name,group", "one,A,B"], "line 2 has 3 cells; it takes 2"),
        (["name,group", ",A"], "line 2 has no name"),
        (["name,map", "one,A"], "has a column 'map', as the results have already"),
        (["name,ec_x", "one,A"], "has a column 'ec_x', as the results have already"),
        (["name,z", "one,A"], "has a column 'z', as the results have already"),
        (["name,group,group", "one,A,B"], "two columns 'group'; it takes different names"),
        (["name,group,", "one,A,B"], "has columns ['name', 'group', '']; each takes a name"),
        ([], "has columns []"),
    ],
)
def test_tables_that_say_nothing_sensible(lines, said, root, capsys):
    write_groups(root, lines)
    assert audit(root, "--groups", root / "groups.csv") == 1
    assert said in capsys.readouterr().err
    assert not (root / "out").exists()


def test_a_table_that_is_no_text(root, capsys):
    (root / "groups.csv").write_bytes(b"name,group\n\xff,A\n")
    assert audit(root, "--groups", root / "groups.csv") == 1
    assert "groups.csv: is not UTF-8 text" in capsys.readouterr().err


def test_columns_of_many_values_do_not_part_images(root, monkeypatch, capsys):
    monkeypatch.setattr("membrane_xai.study._summary.MOST_VALUES", 2)
    write_groups(root, ["name,age,score", "one,61,3+", "two,62,2+", "three,63,3+"])
    assert audit(root, "--groups", root / "groups.csv") == 0
    assert "note: age has too many values" in capsys.readouterr().err
    assert {row["by"] for row in document(root, "summary.json")["rows"]} == {"all", "score"}
    assert [row["age"] for row in table(root)] == ["61", "63", "62"]
