"""Files in folders by suffix: their order, hidden files, links."""

import pytest
from file_trees import touch

from membrane_xai.io import IMAGE_SUFFIXES, files_below


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
