"""Links: none leads out of a data set unasked, and none shows an image twice."""

import pytest
from data_sets import image

from her2_models._commands import data as command
from her2_models.data import discover
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

OUT = "1 images to which links lead out of the data set .follow_links=True, --follow-links, takes"
AGAIN = "images that links show again are left out"


@pytest.fixture
def data(tmp_path):
    image(tmp_path / "data" / "class_0" / "a.png", 1)
    image(tmp_path / "disk" / "class_1+" / "b.png", 2)
    try:
        (tmp_path / "probe").symlink_to(tmp_path / "disk")
    except OSError:
        pytest.skip("no links here")
    return tmp_path / "data"


def names(manifest):
    return [record.path.name for record in manifest.records]


def test_a_linked_folder_does_not_lead_out(data, tmp_path):
    (data / "more").symlink_to(tmp_path / "disk")
    with pytest.warns(MembraneXAIWarning, match=OUT):
        manifest = discover(data)
    assert names(manifest) == ["a.png"]
    assert [len(paths) for paths in manifest.left_out.values()] == [1]
    assert names(discover(data, follow_links=True)) == ["a.png", "b.png"]


def test_a_linked_file_does_not_lead_out(data, tmp_path):
    (data / "class_0" / "b.png").symlink_to(tmp_path / "disk" / "class_1+" / "b.png")
    (data / "class_0" / "c.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.warns(MembraneXAIWarning, match="2 images to which links lead out"):
        assert names(discover(data)) == ["a.png"]


def test_a_neighbour_whose_name_begins_alike_is_outside(data, tmp_path):
    image(tmp_path / "data2" / "class_1+" / "c.png")
    (data / "more").symlink_to(tmp_path / "data2")
    with pytest.warns(MembraneXAIWarning, match=OUT):
        assert names(discover(data)) == ["a.png"]


def test_nothing_but_links_out_says_the_remedy(tmp_path, data):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "x").symlink_to(data)
    with pytest.raises(InvalidInputError, match=f"no image there has a score.*; {OUT}"):
        discover(tmp_path / "linked")


def test_a_root_that_is_a_link(data, tmp_path):
    (tmp_path / "linked").symlink_to(data)
    (record,) = discover(tmp_path / "linked").records
    assert record.path == tmp_path / "linked" / "class_0" / "a.png"


def test_links_within_do_not_double(data):
    (data / "class_0" / "b.png").symlink_to("a.png")
    (data / "again").symlink_to("class_0")
    (data / "class_0" / "loop").symlink_to(data)
    image(data / "class_0" / "S1" / "c.png", 3)
    (data / "class_0" / "0").symlink_to("S1")
    with pytest.warns(MembraneXAIWarning, match=AGAIN):
        manifest = discover(data)
    assert [record.path.relative_to(data).as_posix() for record in manifest.records] == [
        "class_0/S1/c.png", "class_0/a.png",
    ]  # fmt: skip
    assert manifest.records[0].group == "S1"


def test_a_link_may_say_the_split(data):
    (data / "train" / "class_0").mkdir(parents=True)
    (data / "train" / "class_0" / "a.png").symlink_to("../../class_0/a.png")
    with pytest.warns(MembraneXAIWarning, match=AGAIN):
        (record,) = discover(data).records
    assert (record.path, record.split) == (data / "class_0" / "a.png", "train")
    (data / "test" / "class_0").mkdir(parents=True)
    (data / "test" / "class_0" / "a.png").symlink_to("../../class_0/a.png")
    with pytest.raises(InvalidInputError, match="are one file, by a link, of split 'test' and 't"):
        discover(data)


def test_one_file_of_two_scores_stops(data):
    (data / "class_2+").symlink_to("class_0")
    with pytest.raises(InvalidInputError, match="are one file, by a link, of score 0 and 2"):
        discover(data)


def test_a_zip_outside_is_not_unpacked(data, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    (data / "a.zip").symlink_to(tmp_path / "a.zip")
    assert len(discover(data, unpack=True)) == 1


def test_the_command_follows_links_on_demand(data, tmp_path, capsys):
    import argparse

    (data / "more").symlink_to(tmp_path / "disk")
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    for extra, count in (((), 1), (("--follow-links",), 2)):
        table = tmp_path / "all.csv"
        command.run(parser.parse_args(["check", str(data), "--csv", str(table), *extra]))
        assert len(discover(table)) == count
    out, err = capsys.readouterr()
    assert f"note: {OUT[:45]}" in out
    assert f"warning: {data}: {OUT[:45]}" in err
