"""Tables of several images, as Cytomine exports a project: rows of one image at a time."""

import pytest

from membrane_xai.annotations import find_outlines, read_annotations
from membrane_xai.errors import InvalidInputError

# As Cytomine's Python client is used to write it, and as its report does.
BY_ID = (
    "ID;Image;Project;Term;User;Area;Perimeter;WKT \n"
    "58;7;1;[1486];2;6.0;10.0;POINT (1 1)\n59;8;1;[1486];2;6.0;10.0;POINT (2 2)\n"
    "60;7;1;[1486];2;6.0;10.0;POINT (3 3)\n"
)
BY_NAME = (
    "Id,Image Id,Image Filename,Term,WKT\n58,7,a.svs,Tumor,POINT (1 1)\n"
    "59,8,b.ome.tif,Tumor,POINT (2 2)\n60,7,a.svs,Tumor,POINT (3 3)\n"
)


def ids(text, **options):
    return [one.id for one in read_annotations(text, height=10, **options)]


@pytest.mark.parametrize(
    ("text", "image", "expected"),
    [
        (BY_ID, 7, ["58", "60"]),
        (BY_ID, "8", ["59"]),
        (BY_NAME, "a.svs", ["58", "60"]),
        (BY_NAME, "a", ["58", "60"]),
        (BY_NAME, "a.tif", ["58", "60"]),
        (BY_NAME, "b", ["59"]),
        (BY_NAME, 8, ["59"]),
        (BY_NAME.replace("a.svs", "/data/1/a.svs"), "a", ["58", "60"]),
        (BY_NAME.replace("a.svs", "C:\\1\\a.svs"), "a.svs", ["58", "60"]),
        (BY_NAME.replace("7,", "7.0,").replace("8,", "8.0,"), 8, ["59"]),
        (BY_NAME.replace("a.svs", "a.1").replace("b.ome.tif", "a.2"), "a.2", ["59"]),
    ],
)
def test_rows_of_an_image(text, image, expected):
    assert ids(text, image=image) == expected


@pytest.mark.parametrize("text", [BY_ID, BY_NAME])
def test_several_images_are_not_one(text):
    with pytest.raises(InvalidInputError, match=r"the table has rows of 2 images \('.*7.*', '.*8"):
        ids(text)
    with pytest.raises(InvalidInputError, match="image is 'c', of which there is no row"):
        ids(text, image="c")


def test_names_that_are_of_two_images():
    two = BY_NAME.replace("a.svs", "/1/a.svs").replace("b.ome.tif", "/2/a.svs")
    with pytest.raises(InvalidInputError, match=r"'a', which is the name of '/1/a\.svs 7', "):
        ids(two, image="a")
    assert ids(two, image="/2/a.svs") == ["59"]


def test_a_table_of_one_image_needs_no_name_and_is_of_no_other():
    one = BY_ID.replace(";8;", ";7;")
    assert ids(one) == ids(one, image=7) == ["58", "59", "60"]
    with pytest.raises(InvalidInputError, match="image is 9, of which there is no row"):
        ids(one, image=9)


def test_other_files_are_of_one_image():
    point = {"type": "Point", "coordinates": [1, 2]}
    assert len(read_annotations(point, image="a")) == 1
    assert len(read_annotations("POINT (1 2)", height=5, image="a")) == 1
    assert ids("ID;WKT\n1;POINT (1 2)\n", image="a") == ["1"]


def test_outlines_of_all_images_in_a_table(tmp_path):
    path = tmp_path / "project.csv"
    path.write_text(BY_NAME)
    assert find_outlines(path) == {"a": path, "b": path}
    assert find_outlines(path, ["b", "c"]) == {"b": path}
    path.write_text(BY_ID)
    assert find_outlines(path) == {"7": path, "8": path}
    for text in ("POINT (1 2)", "ID;WKT\n1;POINT (1 2)\n", '{"type": "Point"}'):
        path.write_text(text)
        with pytest.raises(InvalidInputError, match=r"project\.csv is a file; outlines of several"):
            find_outlines(path)
