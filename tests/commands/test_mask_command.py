"""``membrane-xai mask``: files in, masks and a table out, whatever happens on the way."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import PIL.Image
import pytest
import tifffile
from mask_runs import run, table

from membrane_xai import extract_membrane_mask, rasterize, read_annotations
from membrane_xai.cli import main
from membrane_xai.datasets import synthetic_her2


@pytest.fixture(scope="module")
def rgb():
    return synthetic_her2("3+", size=(150, 200), mpp=0.5, seed=2).rgb


@pytest.fixture
def image(tmp_path, rgb):
    path = tmp_path / "in" / "patch.png"
    path.parent.mkdir()
    PIL.Image.fromarray(rgb).save(path)
    return path


def test_every_result_is_the_mask(image, rgb, tmp_path, capsys):
    out = tmp_path / "out"
    assert run(image, "--mpp", 0.5, out=out) == 0
    assert "1 made, 0 there already, 0 failed" in capsys.readouterr().out
    found = extract_membrane_mask(rgb, mpp=0.5)
    assert found.mask.any()
    png = np.asarray(PIL.Image.open(out / "patch.mask.png"))
    assert (png == np.where(found.mask, 255, 0)).all()
    with tifffile.TiffFile(out / "patch.mask.ome.tif") as file:
        classes = file.asarray()
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
    assert (classes == np.where(found.mask, found.intensity, 0)).all()
    outlines = read_annotations(out / "patch.mask.geojson")
    assert (rasterize(outlines, found.mask.shape) == found.mask).all()
    [row] = table(out)
    assert row["status"] == "ok"
    assert float(row["mask_share"]) == pytest.approx(found.mask.mean())
    assert float(row["membrane_width_um"]) == pytest.approx(found.width)
    assert (row["height"], row["width"], row["flags"]) == ("150", "200", "")


def test_a_corrupt_image_is_reported_and_the_rest_goes_on(image, tmp_path, capsys):
    (image.parent / "broken.png").write_bytes(image.read_bytes()[:500])
    out = tmp_path / "out"
    assert run(image.parent, "--mpp", 0.5, out=out) == 1
    shown = capsys.readouterr()
    assert "broken.png: is truncated or damaged" in shown.err
    assert "1 made, 0 there already, 1 failed" in shown.out
    rows = {row["file"].rsplit("/", 1)[-1]: row for row in table(out)}
    assert rows["patch.png"]["status"] == "ok"
    assert rows["broken.png"]["status"] == "failed"
    assert "truncated" in rows["broken.png"]["error"]
    assert not list(out.glob("broken*"))


def test_finished_images_are_skipped_until_something_changes(image, rgb, tmp_path, capsys):
    out = tmp_path / "out"

    def again(*options):
        assert run(image, *options, out=out) == 0
        return "1 there already" in capsys.readouterr().out

    assert not again("--mpp", 0.5)
    row = table(out)
    assert again("--mpp", 0.5)
    assert table(out) == row
    assert not again("--mpp", 0.5, "--no-resume")
    assert not again("--mpp", 0.25)
    assert again("--mpp", 0.25)
    (out / "patch.mask.png").unlink()
    assert not again("--mpp", 0.25)
    PIL.Image.fromarray(rgb[:140]).save(image)
    assert not again("--mpp", 0.25)


def test_without_a_pixel_size_the_error_says_what_to_give(image, tmp_path, capsys):
    assert run(image, out=tmp_path / "out") == 1
    assert "the file does not say its pixel size; give --mpp" in capsys.readouterr().err


def test_the_pixel_size_of_a_file_is_used(rgb, tmp_path):
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, rgb, photometric="rgb", metadata=metadata)
    assert run(path, "--formats", "png", out=tmp_path / "out") == 0
    [row] = table(tmp_path / "out")
    assert float(row["mpp"]) == 0.5
    assert (tmp_path / "out" / "a.mask.png").is_file()


def test_tiles_of_a_large_file_make_the_same_mask(tmp_path):
    field = synthetic_her2("2+", size=(300, 420), mpp=0.5, seed=4).rgb
    path = tmp_path / "large.ome.tif"
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, field, photometric="rgb", metadata=metadata, tile=(64, 64))
    background = "230,230,230"
    whole, tiled = tmp_path / "whole", tmp_path / "tiled"
    assert run(path, "--background", background, out=whole) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("membrane_xai._commands.mask.slide.CORE", 128)
        options = ("--background", background, "--max-pixels", 1000)
        assert run(path, *options, "--formats", "ome-tiff,geojson", out=tiled) == 0
    one, other = (tifffile.imread(out / "large.mask.ome.tif") for out in (whole, tiled))
    np.testing.assert_array_equal(one, other)
    assert one.any()
    outlines = read_annotations(tiled / "large.mask.geojson")
    assert (rasterize(outlines, one.shape) == (one > 0)).all()
    [row], [same] = table(whole), table(tiled)
    assert row["mask_share"] == same["mask_share"]
    assert (row["kind"], same["kind"]) == ("image", "slide")


def test_equal_names_in_sub_folders_do_not_meet(image, tmp_path):
    second = image.parent / "deeper" / "patch.png"
    second.parent.mkdir()
    second.write_bytes(image.read_bytes())
    out = tmp_path / "out"
    assert run(image.parent, "--mpp", 0.5, "--formats", "png", out=out) == 0
    assert (out / "patch.mask.png").is_file()
    assert (out / "deeper" / "patch.mask.png").is_file()


def test_images_that_would_overwrite_each_other_are_refused(image, tmp_path, capsys):
    other = tmp_path / "other" / "patch.png"
    other.parent.mkdir()
    other.write_bytes(image.read_bytes())
    assert run(image, other, "--mpp", 0.5, out=tmp_path / "out") == 1
    assert "would both write patch.mask.*" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_images_that_differ_in_the_suffix_alone_have_results_of_their_own(image, tmp_path, capsys):
    PIL.Image.open(image).save(image.with_suffix(".jpg"))
    out = tmp_path / "out"
    for named in ([image.parent], [image, image.with_suffix(".jpg")]):
        assert run(*named, "--mpp", 0.5, "--formats", "png", out=out) == 0
        assert sorted(path.name for path in out.glob("*.png")) == [
            "patch.jpg.mask.png", "patch.png.mask.png"
        ]  # fmt: skip
    assert "2 there already" in capsys.readouterr().out
    image.with_suffix(".JPG").write_bytes(image.with_suffix(".jpg").read_bytes())
    assert run(image.parent, "--mpp", 0.5, out=out) == 1
    assert "would both write patch.jpg.mask.*; rename one of them" in capsys.readouterr().err


def test_results_are_no_images_and_that_is_said(image, tmp_path, capsys):
    made = image.rename(image.with_name("x.mask.png"))
    for named in (made, image.parent, image.parent / "*.png"):
        assert run(named, "--mpp", 0.5, out=tmp_path / "out") == 1
        assert "x.mask.png ends like one (.mask.png, " in capsys.readouterr().err
    PIL.Image.open(made).save(image)
    options = ("--mpp", 0.5, "--formats", "png")
    assert run(image, made, *options, out=tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "note: 1 files are called like results of this command and were passed " in said
    assert f"such as {made}" in said
    assert run(image.parent, *options, out=tmp_path / "out") == 0
    assert "passed over" not in capsys.readouterr().err


def test_json_is_for_programs(image, tmp_path, capsys):
    assert run(image, "--mpp", 0.5, "--json", "--formats", "png", out=tmp_path / "out") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["made"], document["failed"]) == (1, 0)
    assert document["rows"][0]["status"] == "ok"


def test_an_interrupt_leaves_finished_work(image, tmp_path, monkeypatch, capsys):
    (image.parent / "second.png").write_bytes(image.read_bytes())
    from membrane_xai._commands.mask import files

    make = files.make_mask

    def interrupted(job, *rest):
        if job.source.name == "second.png":
            raise KeyboardInterrupt
        return make(job, *rest)

    monkeypatch.setattr(files, "make_mask", interrupted)
    out = tmp_path / "out"
    assert run(image.parent, "--mpp", 0.5, out=out) == 130
    assert [row["status"] for row in table(out)] == ["ok"]
    monkeypatch.undo()
    assert run(image.parent, "--mpp", 0.5, out=out) == 0
    assert "1 made, 1 there already" in capsys.readouterr().out


def test_results_of_other_options_that_are_cut_count_for_none(image, tmp_path, monkeypatch, capsys):
    from membrane_xai._commands.mask import files

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    assert run(image, "--mpp", 0.5, out=out) == 0
    with monkeypatch.context() as patch:
        patch.setattr(files, "read_image", interrupted)
        assert run(image, "--mpp", 0.25, out=out) == 130
    capsys.readouterr()
    assert run(image, "--mpp", 0.5, out=out) == 0
    assert "1 made, 0 there already" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["", "{", '{"row": {}}\n', "[]\n", "\x00\n"])
def test_a_damaged_record_counts_for_none(image, tmp_path, text, capsys):
    out = tmp_path / "out"
    assert run(image, "--mpp", 0.5, "--formats", "geojson", out=out) == 0
    [record] = out.glob("*.mask.json")
    record.write_text(text)
    capsys.readouterr()
    for said in ("1 made, 0 there already", "0 made, 1 there already"):
        assert run(image, "--mpp", 0.5, "--formats", "geojson", out=out) == 0
        assert said in capsys.readouterr().out


def test_sigint_stops_a_process_that_goes_on_later(rgb, tmp_path):
    for i in range(12):
        changed = np.tile(rgb, (3, 3, 1))
        changed[0, 0] = i
        path = tmp_path / "in" / f"{i:02d}.png"
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(changed).save(path)
    code = "import sys; from membrane_xai.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "mask", "in", "--mpp", "0.5", "--out", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    out = tmp_path / "out"
    while not list(out.glob("*.mask.json")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "membrane-xai: interrupted; files that are there are complete\n"
    made = {path: path.stat().st_mtime_ns for path in out.glob("*.mask.json")}
    assert 0 < len(made) < 12
    assert len(table(out)) == len(made)
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["made"], document["skipped"]) == (12 - len(made), len(made))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in made.items())
    assert len(table(out)) == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mpp", "0"], "'0'; it takes a positive number of micrometres"),
        (["--mpp", "fine"], "'fine'"),
        (["--mpp", "250"], "'250'; it takes a positive number of micrometres per pixel, 0.05 to 5"),
        (["--bits", "7"], "'7'; it takes 8 to 16"),
        (["--background", "1,2"], "'1,2'; it takes auto or three numbers, 1 to 255"),
        (["--stain-matrix", "1,2,3,2,4,6"], "parallel"),
        (["--formats", "png,svg"], "'png,svg'; it takes some of png,ome-tiff,geojson"),
        (["--max-pixels", "0"], "'0'; it takes a positive integer"),
    ],
)
def test_wrong_options(options, message, image, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(image, *options, out=tmp_path / "out")
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_nothing_to_do(tmp_path, capsys):
    assert run(tmp_path / "no.png", out=tmp_path / "out") == 1
    assert "there is no such file or folder" in capsys.readouterr().err
    assert run(tmp_path, out=tmp_path / "out") == 1
    assert "no images there" in capsys.readouterr().err


def test_help_has_examples(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["mask", "--help"])
    assert stopped.value.code == 0
    assert "membrane-xai mask patch.png --mpp 0.25 --out masks" in capsys.readouterr().out


def test_max_pixels_lifts_the_limit_of_the_decoder(image, tmp_path, monkeypatch):
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", 100)
    assert run(image, "--mpp", 0.5, "--max-pixels", 150 * 200, out=tmp_path / "out") == 0
    assert table(tmp_path / "out")[0]["status"] == "ok"
