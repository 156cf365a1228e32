"""What is no IHC patch of its own is left out and told; what only sounds like it stays."""

import re

import PIL.Image
import pytest
from data_sets import bci, image

from her2_models.config import load_config
from her2_models.data import Manifest, Record, check, discover, manifest_from_csv
from her2_models.data._pairs import refuse_pairs
from membrane_xai.errors import InvalidInputError, MembraneXAIWarning

HE = "images that are H&E by folder or name are left out"
MADE = "images made from others there, such as masks, are left out"


def laid_out(root, *places):
    for number, place in enumerate(places):
        image(root / place, number)


def kept(root, told):
    with pytest.warns(MembraneXAIWarning, match=told):
        manifest = discover(root)
    return [record.path.relative_to(root).as_posix() for record in manifest.records]


@pytest.mark.parametrize(
    ("he", "ihc"),
    [
        ("HE", "IHC"), ("he", "ihc"), ("He", "Ihc"), ("H&E", "IHC"), ("H&E_stain", "IHC_stain"),
        ("HE_train", "IHC_train"), ("train_HE", "train_IHC"), ("HEimages", "IHCimages"),
        ("H_E", "IHC"), ("H-E", "IHC"), ("HnE", "IHC"), ("H+E", "IHC"), ("H and E", "IHC"),
        ("hematoxylin_eosin", "HER2"), ("Haematoxylin and Eosin", "IHC"), ("HE 20x", "IHC 20x"),
        ("HE_07", "IHC_07"), ("Bonn-HE", "Bonn-IHC"), ("HEBonn", "IHC"), ("HES", "IHC"),
        ("01_HE", "02_IHC"), ("1. he", "2. ihc"), ("HandE", "DAB"), ("hematoxylin", "IHC 40x"),
        ("trainA", "trainB"), ("valA", "valB"), ("testa", "testb"), ("TESTA", "TESTB"),
        ("train_A", "train_B"), ("validationA", "validationB"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["{}/class_2+/x.png", "class_2+/{}/S1/x.png"])
def test_the_he_half_of_any_layout(tmp_path, he, ihc, place):
    laid_out(tmp_path, place.format(he), place.format(ihc))
    assert kept(tmp_path, f"^.*: 1 {HE}, like .*x.png") == [place.format(ihc)]


@pytest.mark.parametrize(
    ("he", "ihc"),
    [("H&E_stain", "IHC"), ("HE_train", "IHC_train"), ("trainA", "trainB"), ("A/train", "B/train"),
     ("train_a", "train_b")],
)  # fmt: skip
def test_the_he_half_of_bci_in_other_spellings(tmp_path, he, ihc):
    laid_out(tmp_path, f"{he}/00000_train_1+.png", f"{ihc}/00000_train_1+.png")
    assert kept(tmp_path, HE) == [f"{ihc}/00000_train_1+.png"]


@pytest.mark.parametrize(
    ("he", "ihc"), [("x_HE", "x_IHC"), ("HE-x", "ihc-x"), ("x_he", "x"), ("x H&E", "x HER2")]
)
def test_the_he_half_by_the_names_of_files(tmp_path, he, ihc):
    laid_out(tmp_path, f"class_2+/{he}.png", f"class_2+/{ihc}.PNG")
    assert kept(tmp_path, HE) == [f"class_2+/{ihc}.PNG"]


@pytest.mark.parametrize(
    "place",
    [
        "the/class_2+/x.png", "sHEll/class_2+/x.png", "class_2+/Dr_He/x.png", "HER2/2+/x.png",
        "class_2+/HE2026-014/x.png", "class_2+/HEK/x.png", "class_2+/she/x.png", "IHC/2+/x.png",
        "class_2+/he_1.png", "class_2+/the_1.png", "class_2+/cache.png", "HE_IHC/class_2+/x.png",
        "IHC_hematoxylin/class_2+/x.png", "hematoxylin/2+/x.png", "Hande/class_2+/x.png",
        "class_2+/eosinophilia/x.png", "testB/class_2+/x.png",
        "class_2+/mask/x.png", "class_2+/mask.png", "class_2+/mask_1.png", "class_2+/S1_mask.png",
        "class_2+/unmasked/x.png", "class_2+/masks/x.png", "class_2+/x_overlay.png",
    ],
)  # fmt: skip
def test_what_only_sounds_like_it_stays(tmp_path, place):
    laid_out(tmp_path, place, "class_0/y.png")
    manifest = discover(tmp_path)
    assert len(manifest) == 2
    assert manifest.left_out == {}


def test_two_sets_of_one_kind_are_no_domains(tmp_path):
    for name in ("sided", "folds", "slides", "slide"):
        (tmp_path / name).mkdir()
    laid_out(tmp_path / "sided", "train/2+/x.png", "testA/2+/x1.png", "testB/2+/x2.png")
    laid_out(tmp_path / "folds", "train_a/2+/0.png", "train_a/2+/1.png", "train_b/2+/0.png")
    laid_out(tmp_path / "slides", "2+/mask/0.png", "2+/S1/0.png", "2+/A/0.png", "2+/B/0.png")
    laid_out(tmp_path / "slide", "2+/mask/0.png", "2+/0.png")
    assert [len(discover(tmp_path / n)) for n in ("sided", "folds", "slides", "slide")] == [
        3, 3, 4, 2,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "of"),
    [
        ("class_3+/x.mask.png", "class_3+/x.png"), ("class_3+/x_mask.png", "class_3+/x.jpg"),
        ("class_3+/X_MASK.PNG", "class_3+/x.png"), ("class_3+/x.mask.ome.tif", "class_3+/x.tif"),
        ("masks/class_3+/x.mask.png", "class_3+/x.png"), ("class_3+/x-mask.png", "class_3+/x.png"),
        ("class_3+/masks/x.png", "class_3+/x.png"), ("masks/3+/x.png", "images/3+/x.png"),
        ("mask/3+/x.png", "IHC/3+/x.png"), ("class_3+/x_overlay.png", "class_3+/x.png"),
        ("previews/3+/x_preview.png", "3+/x.png"), ("3+/x_membrane_mask.png", "3+/x.ome.tif"),
        ("IHC/train/00000_train_3+_mask.png", "IHC/train/00000_train_3+.png"),
        ("3+/her2-3+-score_train_04_mask.png", "3+/her2-3+-score_train_04.png"),
    ],
)  # fmt: skip
def test_masks_and_pictures_made_from_a_patch(tmp_path, made, of):
    laid_out(tmp_path, made, of)
    told = f"1 {MADE}, like .*{re.escape(made.split('/')[-1])}"
    assert kept(tmp_path, told) == [of]


def test_the_stain_is_no_slide_and_hides_no_split(tmp_path):
    laid_out(tmp_path, "class_1+/IHC stained/S4/x.png", "IHC_train/class_1+/IHC_20x/y.png")
    found = {
        record.path.name: (record.split, record.group) for record in discover(tmp_path).records
    }
    assert found == {"x.png": (None, "S4"), "y.png": ("train", None)}


def test_what_is_left_out_is_noted_by_the_check(tmp_path):
    laid_out(tmp_path, "HE/class_0/x.png", "IHC/class_0/x.png", "IHC/class_0/x.mask.png")
    with pytest.warns(MembraneXAIWarning) as told:
        manifest = discover(tmp_path)
    assert len(told) == 2
    assert {reason: len(paths) for reason, paths in manifest.left_out.items()} == {
        "that are H&E by folder or name": 1,
        "made from others there, such as masks,": 1,
    }
    notes = check(manifest).notes
    assert notes == (
        f"1 {HE}, like {tmp_path / 'HE/class_0/x.png'}",
        f"1 {MADE}, like {tmp_path / 'IHC/class_0/x.mask.png'}",
    )
    split = manifest.with_splits(["train"], "mine")
    assert check(split, decode=False).notes == notes


@pytest.mark.parametrize("root", ["HE", "H&E_stain", "HE/train", "trainA", "H_E/class_2+"])
def test_a_root_that_is_the_he_half_is_refused(tmp_path, root):
    laid_out(tmp_path / root, "class_2+/x.png")
    with pytest.raises(InvalidInputError, match=f"no image there has a score.*; 1 {HE}"):
        discover(tmp_path / root)


def test_the_home_of_somebody_called_he(tmp_path):
    laid_out(tmp_path / "he", "class_2+/x.png", "data/class_2+/y.png")
    assert len(discover(tmp_path / "he")) == 2
    assert len(discover(tmp_path / "he" / "data")) == 1
    laid_out(tmp_path / "ihc", "class_2+/x.png")
    with pytest.raises(InvalidInputError, match=HE):
        discover(tmp_path / "he")


def test_a_name_of_bci_and_a_folder_that_disagree_stop(tmp_path):
    laid_out(tmp_path, "class_1+/00001_train_1+.png")
    assert discover(tmp_path).records[0].score == 1
    laid_out(tmp_path, "class_0/00000_train_1+.png")
    match = (
        r"00000_train_1\+.png: the folder 'class_0' says score 0, the name, one of BCI, says 1\+"
    )
    with pytest.raises(InvalidInputError, match=match):
        discover(tmp_path)
    with pytest.raises(InvalidInputError, match=match):
        discover(tmp_path / "class_0")


def test_a_table_goes_before_a_name_of_bci_and_the_check_says_so(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,score\n00000_train_1+.png,0\n")
    manifest = manifest_from_csv(table)
    assert manifest.records[0].score == 0
    assert len(check(manifest, decode=False).label_conflicts) == 1


def test_names_of_bci_that_occur_twice_are_noted(tmp_path):
    laid_out(tmp_path, "one/00000_train_1+.png", "two/00000_train_1+.png")
    assert "1 names of BCI are those of several images" in check(discover(tmp_path)).notes[0]


def wide(path, size=(16, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", size).save(path)
    return path


@pytest.mark.parametrize("decode", [True, False])
def test_pairs_side_by_side_are_noted(tmp_path, decode):
    wide(tmp_path / "train" / "00000_train_1+.png")
    wide(tmp_path / "class_2+" / "field.png")
    wide(tmp_path / "class_2+" / "other.png", (16, 9))
    (tmp_path / "class_2+" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    report = check(discover(tmp_path), decode=decode)
    (note,) = (note for note in report.notes if "twice as wide" in note)
    assert [path.name for path in report.pairs] == ["00000_train_1+.png"]
    assert any("1 image of BCI with H&E and IHC side by" in one for one in report.problems)
    assert note.startswith("2 images are twice as wide as high, like field.png: H&E and IHC side")


def test_pairs_of_bci_are_not_learned_tested_or_explained(tmp_path):
    """Their patches are square; of other images nobody knows."""
    pair = wide(tmp_path / "train" / "00000_train_1+.png")
    records = discover(tmp_path).records
    with pytest.raises(InvalidInputError, match="is twice as wide as high, as are 1 of 1 images"):
        refuse_pairs(records)
    pytest.importorskip("torch")
    from her2_models.evaluate import predict_records
    from her2_models.explain import explained_images
    from her2_models.train import load_data

    with pytest.raises(InvalidInputError, match="twice as wide"):
        explained_images(records)
    with pytest.raises(InvalidInputError, match="twice as wide"):
        predict_records(None, records, input_size=8)
    rows = [f"{split}{i}.png,{i},{split}" for split in ("train", "val", "test") for i in range(4)]
    rows.append(f"train/{pair.name},1,train")
    (tmp_path / "labels.csv").write_text("\n".join(["path,score,split", *rows]))
    config = load_config(
        "honest_40x", [f"data.path={tmp_path / 'labels.csv'}", "data.split=official",
                       "data.validation_share=0"]
    )  # fmt: skip
    with pytest.raises(InvalidInputError, match="twice as wide"):
        load_data(config, tmp_path)
    refuse_pairs([Record(wide(tmp_path / "field.png"), 2), Record(tmp_path / "no.png", 2)])


def test_left_out_is_no_part_of_equality(tmp_path):
    image(tmp_path / "IHC" / "class_0" / "a.png")
    alone = discover(tmp_path)
    image(tmp_path / "HE" / "class_0" / "a.png")
    with pytest.warns(MembraneXAIWarning, match=HE):
        assert discover(tmp_path) == alone
    assert Manifest([]).left_out == {}


def test_the_clean_layout_of_bci_counts_its_he_half(tmp_path):
    assert len(kept(bci(tmp_path), f"16 {HE}, like HE/test/")) == 16
