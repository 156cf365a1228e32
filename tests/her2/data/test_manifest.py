"""Manifests: from folders in every layout and spelling, from CSV, and back."""

from collections import Counter

import pytest
from data_sets import SCORE_FOLDERS, bci, her2_40x_zip, image

from her2_models.data import Manifest, Record, discover, label_level, manifest_from_csv
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

SPELLINGS = {
    "0": 0, "1": 1, "1+": 1, "2+": 2, "3+": 3, "class0": 0, "class_0": 0, "CLASS_1+": 1,
    "Class 2": 2, "class-3+": 3, "score_1": 1, "Score3+": 3, "HER2_2+": 2, "her2-3+": 3,
    "HER2 0": 0, "IHC 2+": 2, "ihc_1plus": 1, "1plus": 1, "2_plus": 2, "3 Plus": 3,
    "HER2-IHC-3+": 3, "her2_score_0": 0, "grade 1": 1, "0+": 0, "HER2neu 2+": 2, "label_3": 3,
}  # fmt: skip


@pytest.mark.parametrize(("name", "score"), SPELLINGS.items())
def test_every_spelling_of_a_class_folder(tmp_path, name, score):
    image(tmp_path / name / "a.png")
    [record] = discover(tmp_path).records
    assert (record.score, record.split, record.group, record.source) == (
        score,
        None,
        None,
        "folder",
    )


@pytest.mark.parametrize("name", ["4", "class_4+", "12", "slide2", "2++", "0+1", "her2", "x1+", ""])
def test_other_names_are_no_scores(tmp_path, name):
    image(tmp_path / "data" / name / "a.png")
    with pytest.raises(InvalidInputError, match=r"no image there has a score, like .*a.png"):
        discover(tmp_path / "data")


@pytest.mark.parametrize(
    ("level", "split"),
    [("train", "train"), ("Test", "test"), ("VAL", "val"), ("valid", "val"), ("validation", "val"),
     ("training", "train"), ("train_data_patch", "train"), ("test_data_wsi", "test"),
     ("other", None)],
)  # fmt: skip
def test_split_levels(tmp_path, level, split):
    image(tmp_path / level / "class_1+" / "a.png")
    image(tmp_path / "class_1+" / level / "b.png")
    above, below = sorted(discover(tmp_path).records, key=lambda record: record.path.name)
    assert above.split == below.split == split
    assert above.group is None
    assert below.group == ("other" if split is None else None)
    [alone] = discover(tmp_path / level).records  # the level itself is the root
    assert alone.split == split


def test_bci(tmp_path):
    with pytest.warns(MembraneXAIWarning, match="16 images that are H&E"):
        manifest = discover(bci(tmp_path / "BCI_dataset"))
    assert manifest.counts() == {"train": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
    assert {record.path.parent.parent.name for record in manifest.records} == {"IHC"}
    # Liu et al., BCI, CVPR Workshops 2022, section 3.1: 0.46 um per pixel, slides are scored
    assert {(r.source, r.magnification, r.mpp, r.label_level) for r in manifest.records} == {
        ("bci", 20.0, 0.46, "slide")
    }
    assert discover(tmp_path / "BCI_dataset" / "IHC" / "test").counts() == {"test": (2, 2, 2, 2)}


def test_the_he_half_of_bci_is_refused(tmp_path):
    bci(tmp_path)
    with pytest.raises(InvalidInputError, match="no image there has a score"):
        discover(tmp_path / "HE")
    with pytest.raises(InvalidInputError, match="no image there has a score"):
        discover(tmp_path / "HE" / "train")


def test_cut_style_bci_takes_ihc_alone(tmp_path):
    for folder, value in (("trainA", 1), ("trainB", 2), ("testA", 3), ("testB", 4)):
        image(tmp_path / folder / f"00007_{folder[:-1]}_3+.png", value)
    with pytest.warns(MembraneXAIWarning, match="2 images that are H&E"):
        records = discover(tmp_path).records
    assert [(r.path.parent.name, r.split) for r in records] == [
        ("testB", "test"),
        ("trainB", "train"),
    ]
    assert {r.score for r in records} == {3}


@pytest.mark.parametrize("kind", ["patch", "wsi"])
def test_her2_40x_from_nested_zips(tmp_path, kind):
    archive = her2_40x_zip(tmp_path, kind)
    with pytest.raises(InvalidInputError, match="is not unpacked; unpack=True"):
        discover(tmp_path)
    with pytest.raises(InvalidInputError, match="is not unpacked; unpack=True"):
        discover(archive)
    manifest = discover(archive, unpack=True)
    assert manifest.counts() == {"train": (2, 2, 2, 2), "test": (2, 2, 2, 2)}
    assert {(r.source, r.magnification, r.mpp, r.group) for r in manifest.records} == {
        (f"her2-ihc-40x-{kind}", 40.0, 0.25, None)
    }
    assert label_level(manifest.records) == "patch"
    assert not list(tmp_path.rglob("*.part*"))
    assert discover(tmp_path).records == manifest.records  # the zip beside it is done with


def test_a_zip_that_is_not_unpacked_is_told(tmp_path):
    image(tmp_path / "class_0" / "a.png")
    her2_40x_zip(tmp_path)
    with pytest.warns(MembraneXAIWarning, match="her2-ihc-40x-patch.zip: is not unpacked"):
        assert len(discover(tmp_path)) == 1


def test_the_folder_goes_before_the_name(tmp_path):
    image(tmp_path / "class_3+" / "her2-0-score_train_04.png")
    assert discover(tmp_path).records[0].score == 3
    image(tmp_path / "flat" / "her2-2+-score_train_04.png")
    [record] = discover(tmp_path / "flat").records
    assert (record.score, record.source, record.mpp) == (2, "folder", 0.25)


def test_folders_between_class_and_file_are_groups(tmp_path):
    image(tmp_path / "train" / "class_2+" / "S17" / "images" / "a.png")
    image(tmp_path / "train" / "class_2+" / "b.png")
    assert [record.group for record in discover(tmp_path).records] == ["S17", None]


def test_slides_with_numbers_are_no_classes(tmp_path):
    image(tmp_path / "class_2+" / "3" / "a.png")
    [record] = discover(tmp_path).records
    assert (record.score, record.group) == (2, "3")
    image(tmp_path / "bare" / "0" / "3" / "a.png")
    with pytest.raises(InvalidInputError, match="the folders '0' and '3' name different scores"):
        discover(tmp_path / "bare")


def test_a_class_named_twice(tmp_path):
    image(tmp_path / "class_2+" / "HER2 2+" / "S1" / "a.png")
    image(tmp_path / "2" / "2" / "a.png")
    bare, spelled = discover(tmp_path).records
    assert (bare.score, bare.group) == (2, "2")
    assert (spelled.score, spelled.group) == (2, "S1")


def test_the_root_as_a_class_folder(tmp_path):
    image(tmp_path / "2+" / "S1" / "a.png")
    [record] = discover(tmp_path / "2+").records
    assert (record.score, record.group) == (2, "S1")
    image(tmp_path / "2" / "a.png")
    with pytest.raises(InvalidInputError, match="has a score"):
        discover(tmp_path / "2")  # a mere number may be anything


def test_the_innermost_split_counts(tmp_path):
    image(tmp_path / "train" / "val" / "class_0" / "a.png")
    assert discover(tmp_path).counts() == {"val": (1, 0, 0, 0)}


def test_groups_by_pattern(tmp_path):
    for name in ("S1_a", "S1_b", "S2_a", "nothing"):
        image(tmp_path / "2+" / f"{name}.png")
    found = [r.group for r in discover(tmp_path, group_pattern=r"/(?P<slide>S\d)_(x)?").records]
    assert Counter(found) == {"S1": 2, "S2": 1, None: 1}
    with pytest.raises(InvalidInputError, match=r"group_pattern is '\(T\)'; it finds nothing"):
        discover(tmp_path, group_pattern="(T)")
    with pytest.raises(InvalidInputError, match="it takes one with a group"):
        discover(tmp_path, group_pattern="S1")
    with pytest.raises(InvalidInputError, match=r"group_pattern is '\('; as a pattern"):
        discover(tmp_path, group_pattern="(")


def test_what_the_caller_knows_goes_first(tmp_path):
    ihc = bci(tmp_path) / "IHC"
    [*records] = discover(ihc, mpp=1.0, magnification=10, label_level="patch").records
    assert {(r.mpp, r.magnification, r.label_level) for r in records} == {(1.0, 10, "patch")}
    with pytest.raises(InvalidInputError, match=r"label_level of .* is 'case'; it takes 'slide',"):
        discover(ihc, label_level="case")
    with pytest.raises(InvalidInputError, match=r"mpp of .* is -1; it takes a positive number"):
        discover(ihc, mpp=-1)


def test_images_without_a_score_are_told_and_hidden_ones_passed_over(tmp_path):
    image(tmp_path / "class_0" / "a.png")
    image(tmp_path / "class_0" / "._a.png")
    image(tmp_path / "__MACOSX" / "class_0" / "b.png")
    image(tmp_path / "overview.png")
    with pytest.warns(MembraneXAIWarning, match="1 images without a score .* like overview.png"):
        assert len(discover(tmp_path)) == 1


def test_links_to_folders_are_followed_once(tmp_path):
    image(tmp_path / "disk" / "class_0" / "a.png")
    root = tmp_path / "data"
    root.mkdir()
    try:
        (root / "train").symlink_to(tmp_path / "disk")
        (tmp_path / "disk" / "loop").symlink_to(root)
    except OSError:
        pytest.skip("no links here")
    assert discover(root, follow_links=True).counts() == {"train": (1, 0, 0, 0)}


def test_empty_and_missing_roots(tmp_path):
    with pytest.raises(InvalidInputError, match=r"no images there; looked for .bmp"):
        discover(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InvalidInputError, match="it takes a folder, a CSV or a zip"):
        discover(tmp_path / "a.txt")


def test_csv_round_trip(tmp_path):
    root = tmp_path / "data"
    for folder in SCORE_FOLDERS:
        image(root / "train" / folder / "slide, 1" / "ä.png")
    manifest = discover(root, mpp=0.1 + 0.2)
    inside = manifest.to_csv(root / "labels.csv")
    assert discover(inside) == manifest
    outside = manifest.to_csv(tmp_path / "runs" / "1" / "labels.csv")
    assert [r.path.resolve() for r in discover(outside).records] == [
        r.path.resolve() for r in manifest.records
    ]
    root.rename(tmp_path / "moved")  # with its table
    assert all(record.path.is_file() for record in discover(tmp_path / "moved/labels.csv").records)


def test_a_linked_data_set_stays_where_the_link_is(tmp_path):
    image(tmp_path / "disk" / "class_0" / "a.png")
    (tmp_path / "data").mkdir()
    try:
        (tmp_path / "data" / "linked").symlink_to(tmp_path / "disk")
    except OSError:
        pytest.skip("no links here")
    found = discover(tmp_path / "data", follow_links=True)
    path = found.to_csv(tmp_path / "data" / "labels.csv")
    assert "\nlinked/class_0/a.png,0," in path.read_text()


def write(tmp_path, text, **options):
    path = tmp_path / "labels.csv"
    path.write_text(text, newline="", **{"encoding": "utf-8", **options})
    return path


def test_a_csv_needs_path_and_score_alone(tmp_path):
    text = "Score , PATH,stain\r\n3+,sub/a.png,x\r\n0,b.png,y\r\n"
    records = manifest_from_csv(write(tmp_path, text, encoding="utf-8-sig")).records
    assert [(r.score, r.path) for r in records] == [
        (3, tmp_path / "sub" / "a.png"),
        (0, tmp_path / "b.png"),
    ]
    assert {(r.split, r.group, r.mpp, r.source) for r in records} == {(None, None, None, "csv")}


@pytest.mark.parametrize(
    "text",
    [
        "path,score,split,group,mpp,magnification\nsub/a.png,2+,Test,S1,0.25,40\n",
        "path;score;split;group;mpp;magnification\nsub/a.png;2,0;Test;S1;0,25;40x\n",
        "sep=;\r\npath;score;split;group;mpp;magnification\r\nsub/a.png;2;test;S1;0,25;40,0\r\n",
        "path\tscore\tsplit\tgroup\tmpp\tmagnification\nsub\\a.png\t2.0\ttest\tS1\t0.25\t40X\n",
        ",path,score,split,group,mpp,magnification\n0,sub/a.png,2.0,test,S1,.25,40.0\n",
        "Unnamed: 0,path,score,split,group,mpp,magnification\n7,sub\\a.png,2.00,test,S1,0.25,4e1\n",
        '"path", "score", "split", "group", "mpp", "magnification"\n'
        '"sub/a.png", "HER2 2+", "test", "S1", "0.25", "40"\n',
        "\n\n path , score , split , group , mpp , magnification \n\n,,,,,\n"
        " sub/a.png , 2 , test , S1 , 0.25 , 40 \n\n",
        "path,score,split,group,mpp,magnification\nsub/a.png,2+,test,S1,0.25,40,\n",
        'PATH;Score;SPLIT;group;mpp;magnification;"note, of whom, when, why, how, where, who"\n'
        "sub/a.png;2plus;testing;S1;0.25;40;\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_tables_of_other_programs(tmp_path, text, encoding):
    (record,) = manifest_from_csv(write(tmp_path, text, encoding=encoding)).records
    assert record == Record(tmp_path / "sub/a.png", 2, "test", "S1", 40.0, 0.25, "csv")


@pytest.mark.parametrize("word", ["", "nan", "NaN", "<NA>", "None", "null", "N/A"])
def test_missing_words_are_no_names(tmp_path, word):
    """One group of all images without one would keep together, or call safe, what nobody knows."""
    text = f"path,score,split,group,source,label_level,scheme\na.png,1,{word},{word}," + ",".join(
        [word] * 3
    )
    manifest = manifest_from_csv(write(tmp_path, text))
    assert manifest.records == (Record(tmp_path / "a.png", 1, source="csv"),)
    assert manifest.scheme is None
    initials = Manifest(
        [Record(tmp_path / "a.png", 1, group="NA"), Record("b.png", 1, group="Nan")]
    )
    back = manifest_from_csv(initials.to_csv(tmp_path / "b.csv"))
    assert [record.group for record in back.records] == ["NA", "Nan"]


def test_a_backslash_may_be_part_of_a_name(tmp_path):
    image(tmp_path / "sub\\a.png")
    (record,) = manifest_from_csv(write(tmp_path, "path,score\nsub\\a.png,1\n")).records
    assert record.path == tmp_path / "sub\\a.png"


def test_a_table_may_tell_cases_as_windows_does_not(tmp_path):
    own = image(tmp_path / "IHC" / "Class_1" / "a.PNG")
    for name in ("b.png", "B.png"):
        image(tmp_path / "IHC" / name)
    text = "path,score\nihc\\class_1\\A.png,1\nIHC/b.PNG,1\nihc/B.png,2\nihc/c.png,3\n"
    assert [record.path for record in manifest_from_csv(write(tmp_path, text)).records] == [
        own, tmp_path / "IHC/b.PNG", tmp_path / "IHC/B.png", tmp_path / "ihc/c.png",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,score,Path\na.png,1,b.png\n", "has 2 columns path; it takes one"),
        (
            "path,score\nD:\\x\\a.png,1\n",
            r"line 2: path is 'D:\\\\x\\\\a.png', which is one of Win",
        ),
        ("path,score\n\\\\server\\x\\a.png,1\n", "which is one of Windows"),
        ("path,score\na.png,1.5\n", "line 2: score is '1.5'; it takes 0"),
        ("path,score\na.png,nan\n", "line 2: score is 'nan'; it takes 0"),
        ("path|score\na.png|1\n", r"has no column path and score but path\|score"),
        ("path;score;mpp\na.png;1;1.000,5\n", "line 2: mpp is '1.000,5'; it takes a positive"),
        ("", "has no column path and score but none"),
        ("path,label\na.png,1\n", "has no column score but path, label"),
        ("path,score\n", "has no rows"),
        ("path,score\na.png,1\nb.png,7\n", r"line 3: score is '7'; it takes 0, 1\+, 2\+ or 3\+"),
        ("path,score\na.png\n", r"labels.csv: line 2 has 1 cells; it takes 2"),
        ("path,score\n,1\n", "line 2: path is empty"),
        ("path,score,mpp\na.png,1,wide\n", "line 2: mpp is 'wide'; it takes a positive number"),
        ("path,score,mpp\na.png,1,nan\n", "line 2: mpp of .*a.png is nan"),
        ("path,score,split\na.png,1,holdout\n", "line 2: split of .*a.png is 'holdout'"),
        ("path,score\na.png,1\na.png,1\n", "labels.csv: records holds .*a.png twice"),
    ],
)
def test_bad_tables_say_where(tmp_path, text, message):
    with pytest.raises(InvalidInputError, match=message):
        discover(write(tmp_path, text))


def test_a_table_that_is_no_text(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"path,score\n\xff\xfe\x00,1\n")
    with pytest.raises(InvalidInputError, match=r"labels\.csv: is not UTF-8 text"):
        discover(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"score": True}, "score of a.png is True"),
        ({"score": 2.0}, "score of a.png is 2.0"),
        ({"score": -1}, "score of a.png is -1"),
        ({"score": 0, "split": "dev"}, "split of a.png is 'dev'"),
        ({"score": 0, "group": ""}, "group of a.png is ''"),
        ({"score": 0, "mpp": float("inf")}, "mpp of a.png is inf"),
        ({"score": 0, "magnification": 0}, "magnification of a.png is 0"),
    ],
)
def test_bad_records(values, message):
    with pytest.raises(InvalidInputError, match=message):
        Record("a.png", **values)


def test_an_empty_manifest_counts_nothing_and_writes_nothing(tmp_path):
    assert Manifest([]).counts() == {}
    with pytest.raises(InvalidInputError, match="rows is empty"):
        Manifest([]).to_csv(tmp_path / "a.csv")


def test_no_torch():
    import subprocess
    import sys

    code = "import sys, her2_models.data; print('torch' in sys.modules, 'sklearn' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("mpp", [0.00025, 0.0499, 5.01, 352.8])
def test_the_pixel_size_of_a_record_is_one_of_a_microscope(mpp):
    with pytest.raises(InvalidInputError, match=r"mpp of .* it takes .* 0.05 to 5"):
        Record("a.png", 0, mpp=mpp)
