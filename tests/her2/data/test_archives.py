"""Unpacking: all that is there, nothing outside the folder, nothing endless, and on after a cut."""

import io
import stat
import zipfile

import pytest
from data_sets import her2_40x_zip, image, zip_of

from her2_models.data import discover, extract
from membrane_xai.errors import InvalidInputError


def tree(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_every_file_of_a_zip_of_zips(tmp_path):
    archive = her2_40x_zip(tmp_path, per_score=3)
    out = extract(archive, tmp_path / "out")
    found = tree(out)
    assert len(found) == 24
    with zipfile.ZipFile(archive) as outer:
        inner = io.BytesIO(outer.read("Patch-based-dataset/train_data_patch.zip"))
    with zipfile.ZipFile(inner) as file:
        for name in file.namelist():
            assert found[f"Patch-based-dataset/train_data_patch/{name}"] == file.read(name)
    assert {path.name for path in tmp_path.iterdir()} == {"out", archive.name}


def test_an_inner_zip_that_brings_its_own_folder_gets_no_second(tmp_path):
    inner = zip_of(tmp_path / "t.zip", {"train_data_patch/class_0/a.png": b"a"}).read_bytes()
    archive = zip_of(tmp_path / "a.zip", {"train_data_patch.zip": inner})
    assert tree(extract(archive, tmp_path / "a")) == {"train_data_patch/class_0/a.png": b"a"}


def test_what_is_there_is_not_touched(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"new"})
    (tmp_path / "a").mkdir()
    assert tree(extract(archive, tmp_path / "a")) == {
        "a.png": b"new"
    }  # an empty folder is no result
    (tmp_path / "a" / "a.png").write_bytes(b"mine")
    assert tree(extract(archive, tmp_path / "a")) == {"a.png": b"mine"}
    with pytest.raises(InvalidInputError, match=r"out is .*a.png', a file; it takes a folder"):
        extract(archive, tmp_path / "a" / "a.png")


def test_macos_additions_are_left(tmp_path):
    files = {"__MACOSX/._a.png": b"", "x/.DS_Store": b"", "x/a.png": b"a", "x/": b""}
    assert set(tree(extract(zip_of(tmp_path / "a.zip", files), tmp_path / "a"))) == {"x/a.png"}


@pytest.mark.parametrize(
    "name",
    [
        "../evil.png", "a/../../evil.png", "/evil.png", "//host/share/evil.png", "..\\evil.png",
        "C:\\evil.png", "C:x", "a.png:stream", "...zip", "..zip", "a/...zip", "....ZIP",
    ],
)  # fmt: skip
def test_nothing_leaves_the_folder(tmp_path, name):
    archive = zip_of(tmp_path / "in" / "a.zip", {"good.png": b"", name: b"evil"})
    with pytest.raises(InvalidInputError, match=r"a\.zip: its member '.*' lies outside the folder"):
        extract(archive, tmp_path / "in" / "out")
    assert tree(tmp_path).keys() == {"in/a.zip"}  # not even the good one


def test_nothing_leaves_the_folder_from_an_inner_zip(tmp_path):
    inner = zip_of(tmp_path / "i.zip", {"../../evil.png": b"evil"}).read_bytes()
    archive = zip_of(tmp_path / "in" / "a.zip", {"deep/train.zip": inner})
    with pytest.raises(
        InvalidInputError, match=r"train\.zip in .*a\.zip: its member '../../evil.png'"
    ):
        extract(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("evil.png"))
    assert not (tmp_path / "in" / "out").exists()


def test_an_inner_zip_of_dots_does_not_unpack_above_its_folder(tmp_path):
    inner = zip_of(tmp_path / "i.zip", {"other/labels.csv": b"evil", ".bashrc": b"evil"})
    archive = zip_of(
        tmp_path / "in" / "a.zip", {"class_0/a.png": b"a", "...zip": inner.read_bytes()}
    )
    (tmp_path / "in" / "other").mkdir()
    (tmp_path / "in" / "other" / "labels.csv").write_bytes(b"mine")
    with pytest.raises(InvalidInputError, match=r"its member '\.\.\.zip' lies outside the folder"):
        extract(archive, tmp_path / "in" / "out")
    assert tree(tmp_path / "in").keys() == {"a.zip", "other/labels.csv"}
    assert (tmp_path / "in" / "other" / "labels.csv").read_bytes() == b"mine"


def test_a_name_with_nul_is_judged_whole(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png~evil": b""})
    archive.write_bytes(archive.read_bytes().replace(b"~", b"\0"))
    with pytest.raises(InvalidInputError, match=r"'a\.png\\x00evil' lies outside the folder"):
        extract(archive, tmp_path / "out")


@pytest.mark.parametrize(
    "name",
    ["CON", "nul.png", "a/com1.png", "LPT9", "aux .png", "a.", "a /b.png", "a./b.png", "a..zip"],
)
def test_names_that_another_system_changes_are_refused(tmp_path, name):
    archive = zip_of(tmp_path / "a.zip", {"good.png": b"", name: b"evil"})
    with pytest.raises(InvalidInputError, match="has a name that some systems change or take for"):
        extract(archive, tmp_path / "out")
    assert tree(tmp_path).keys() == {"a.zip"}


def test_names_that_look_like_those_are_taken(tmp_path):
    files = dict.fromkeys(["console.png", "a..b/c.png", "com.png", "nullo.zip.png", ".zip"], b"x")
    assert tree(extract(zip_of(tmp_path / "a.zip", files), tmp_path / "a")) == files


def test_a_link_in_the_folder_leads_nothing_out_of_it(tmp_path):
    (tmp_path / "in" / ".out.partial").mkdir(parents=True)
    (tmp_path / "in" / ".out.partial" / "class_0").symlink_to(tmp_path, target_is_directory=True)
    archive = zip_of(tmp_path / "in" / "a.zip", {"class_0/a.png": b"evil"})
    with pytest.raises(InvalidInputError, match=r"'class_0/a.png' lies outside the folder"):
        extract(archive, tmp_path / "in" / "out")
    assert not (tmp_path / "a.png").exists()


def test_the_folder_above_is_no_folder_to_make(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"a"})
    with pytest.raises(InvalidInputError, match=r"out is .*\.\.', the folder above; it takes"):
        extract(archive, tmp_path / "b" / "..")


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ({"a.png": b"evil"}, r"train\.zip in .*a\.zip: its member 'a.png' is there twice"),
        ({"train/a.png": b"evil"}, "its member 'train/a.png' is there twice"),
        ({"A.PNG": b"evil"}, "its member 'A.PNG' is there twice"),
        ({"e\u0301.png": b"evil"}, "is there twice"),  # the accent apart from its letter
        ({"b": b"evil"}, "its member 'b' is there as a file and as a folder"),
        ({"a.png/c.png": b"evil"}, "'a.png/c.png' is there as a file and as a folder"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_an_inner_zip_replaces_nothing(tmp_path, inner, message, first):
    mine = dict.fromkeys(["train/a.png", "train/\u00e9.png", "train/b/c.png"], b"mine")
    packed = {"train.zip": zip_of(tmp_path / "i.zip", inner).read_bytes()}
    archive = zip_of(tmp_path / "a.zip", packed | mine if first else mine | packed)
    with pytest.raises(InvalidInputError, match=message):
        extract(archive, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert b"evil" not in tree(tmp_path / ".a.partial").values()


def test_two_inner_zips_do_not_replace_each_other(tmp_path):
    one, two = (
        zip_of(tmp_path / f"{text}.zip", {"b/a.png": text.encode()}).read_bytes()
        for text in ("one", "two")
    )
    archive = zip_of(tmp_path / "a.zip", {"b.zip": one, "b/b.zip": two, "c.zip": two})
    found = tree(extract(archive, tmp_path / "a"))
    assert found == {"b/a.png": b"one", "b/b/a.png": b"two", "c/b/a.png": b"two"}
    clash = zip_of(tmp_path / "d.zip", {"b.zip": one, "B.zip": two})
    with pytest.raises(InvalidInputError, match=r"'B.zip' is there twice"):
        extract(clash, tmp_path / "d")


def test_names_of_unfinished_files_are_free_for_members(tmp_path):
    inner = zip_of(tmp_path / "i.zip", {"x": b"x"}).read_bytes()
    files = {"a.png.part": b"1", "a.png": b"2", ".train.zip/a": b"3", "part": b"4"}
    out = extract(zip_of(tmp_path / "a.zip", {**files, "train.zip": inner}), tmp_path / "a")
    assert tree(out) == files | {"train/x": b"x"}


def link(name, target):
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info, target


def test_links_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(*link("class_0", "/etc"))
    with pytest.raises(InvalidInputError, match=r"'class_0' is a link or a device"):
        extract(tmp_path / "a.zip", tmp_path / "a")


def test_encrypted_members_are_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"secret"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    archive.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"'a.png' is encrypted"):
        extract(archive, tmp_path / "a")


def test_rare_methods_are_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"x"}, zipfile.ZIP_BZIP2)
    with pytest.raises(
        InvalidInputError, match=r"'a.png' is packed by another method than deflate"
    ):
        extract(archive, tmp_path / "a")


def test_two_members_of_one_name_are_refused(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": b"1", "A.png": b"2"})
    with pytest.raises(InvalidInputError, match=r"'A.png' is there twice"):
        extract(archive, tmp_path / "a")


def test_bombs_are_refused_before_they_are_written(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": bytes(2**22)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(
        InvalidInputError, match=r"'a.png' grows \d+ times, more than max_ratio=100"
    ):
        extract(archive, tmp_path / "a")
    assert tree(tmp_path).keys() == {"a.zip"}
    assert extract(archive, tmp_path / "a", max_ratio=2000).is_dir()


def test_a_bomb_in_an_inner_zip(tmp_path):
    inner = zip_of(tmp_path / "i.zip", {"a.png": bytes(2**22)}, zipfile.ZIP_DEFLATED).read_bytes()
    archive = zip_of(tmp_path / "a.zip", {"train.zip": inner})
    with pytest.raises(InvalidInputError, match="grows"):
        extract(archive, tmp_path / "a")


def test_limits_count_inner_zips_too(tmp_path):
    inner = zip_of(tmp_path / "i.zip", {"a": bytes(100), "b": bytes(100)}).read_bytes()
    archive = zip_of(tmp_path / "a.zip", {"1.zip": inner, "2.zip": inner})
    size = 2 * len(inner) + 400
    with pytest.raises(InvalidInputError, match=r"2\.zip in .*'b' makes it larger than max_bytes"):
        extract(archive, tmp_path / "a", max_bytes=size - 1)
    with pytest.raises(InvalidInputError, match=r"'b' is one more than max_files allows"):
        extract(archive, tmp_path / "a", max_files=5)
    assert len(tree(extract(archive, tmp_path / "a", max_bytes=size, max_files=6))) == 4


def test_sizes_that_lie_give_no_more_than_they_say(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"a.png": bytes(2**16)}, zipfile.ZIP_DEFLATED)
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = (100).to_bytes(4, "little")
    archive.write_bytes(data)
    with pytest.raises(InvalidInputError, match=r"its member 'a.png' is damaged"):
        extract(archive, tmp_path / "a", max_bytes=1000)
    assert tree(tmp_path).keys() == {"a.zip"}


def test_zips_three_deep_are_refused(tmp_path):
    one = zip_of(tmp_path / "1.zip", {"a.png": b""}).read_bytes()
    two = zip_of(tmp_path / "2.zip", {"1.zip": one}).read_bytes()
    with pytest.raises(InvalidInputError, match=r"'1.zip' is a zip in a zip in a zip"):
        extract(zip_of(tmp_path / "3.zip", {"2.zip": two}), tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"no zip at all", "cut"])
def test_what_is_no_zip(tmp_path, content):
    path = zip_of(tmp_path / "a.zip", {"a.png": bytes(1000)})
    path.write_bytes(path.read_bytes()[:500] if content == "cut" else content)
    with pytest.raises(InvalidInputError, match=r"a\.zip: is not a zip, or is truncated"):
        extract(path, tmp_path / "a")


def damaged(path, member):
    data = bytearray(path.read_bytes())
    data[data.index(member)] ^= 1
    path.write_bytes(data)


def test_a_damaged_member_is_named_and_the_rest_kept_for_the_next_call(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {"a.png": b"first" * 50, "b.png": b"second" * 50})
    whole = path.read_bytes()
    damaged(path, b"second")
    with pytest.raises(InvalidInputError, match=r"a\.zip: its member 'b.png' is damaged"):
        extract(path, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    kept = tmp_path / ".a.partial" / "a.png"
    assert tree(tmp_path / ".a.partial").keys() == {"a.png"}
    path.write_bytes(whole)
    before = kept.stat().st_mtime_ns, kept.stat().st_ino
    out = extract(path, tmp_path / "a")
    after = (out / "a.png").stat()
    assert (after.st_mtime_ns, after.st_ino) == before  # not written again
    assert tree(out)["b.png"] == b"second" * 50
    assert not kept.parent.exists()


def test_leftovers_of_wrong_content_are_written_again(tmp_path):
    path = zip_of(tmp_path / "a.zip", {"a.png": b"right", "b.png": b"longer"})
    partial = tmp_path / ".a.partial"
    partial.mkdir()
    (partial / "a.png").write_bytes(b"wrong")  # of the same size
    (partial / "b.png").write_bytes(b"lon")
    (tmp_path / ".a.partial-files").mkdir()
    (tmp_path / ".a.partial-files" / "part").write_bytes(b"lo")
    assert tree(extract(path, tmp_path / "a")) == {"a.png": b"right", "b.png": b"longer"}
    assert {p.name for p in tmp_path.iterdir()} == {"a", "a.zip"}


def test_it_goes_on_after_a_kill_in_the_middle_of_an_inner_zip(tmp_path, monkeypatch):
    archive = her2_40x_zip(tmp_path)
    written = []
    real = zipfile.ZipFile.open

    def dying(self, info, *args, **options):
        written.append(info)
        if len(written) == 5:
            raise KeyboardInterrupt
        return real(self, info, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipFile, "open", dying)
        with pytest.raises(KeyboardInterrupt):
            extract(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    out = extract(archive, tmp_path / "out")
    assert out == tmp_path / "out"
    assert tree(out) == tree(extract(archive, tmp_path / "again"))


def test_a_full_disk_is_told_before(tmp_path, monkeypatch):
    path = zip_of(tmp_path / "a.zip", {"a.png": bytes(1000)})
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 999}))
    with pytest.raises(InvalidInputError, match="needs 1000 bytes; there are 999 on the disk"):
        extract(path, tmp_path / "a")
    (tmp_path / ".a.partial").mkdir()
    (tmp_path / ".a.partial" / "a.png").write_bytes(bytes(1000))
    extract(path, tmp_path / "a")  # nothing is missing


def test_leftovers_are_not_discovered(tmp_path):
    image(tmp_path / ".x.partial" / "class_0" / "b.png")
    image(tmp_path / "x" / "class_0" / "a.png")
    assert len(discover(tmp_path)) == 1


def test_a_bar_is_shown_to_a_terminal_and_vanishes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    archive = her2_40x_zip(tmp_path)
    extract(archive, tmp_path / "out")
    assert "her2-ihc-40x-patch.zip" in (shown := capsys.readouterr().err)
    assert shown.endswith("\x1b[2K")  # the line is wiped
