"""CAM files: the same numbers from every format, and an error for what is no CAM."""

import io
import sys
import zipfile

import numpy as np
import PIL.Image
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tiff_files import TURNS, orientation_tag

from membrane_xai.errors import InvalidInputError, MissingDependencyError
from membrane_xai.io import CAM_SUFFIXES, MAX_VALUES, read_cam

CAM = np.arange(12.0).reshape(3, 4) - 2.5


def save_zarr(path, array):
    zarr = pytest.importorskip("zarr")
    zarr.create_array(path, data=array)


SAVERS = {
    "a.npy": lambda path, cam: np.save(path, cam),
    "a.npz": lambda path, cam: np.savez(path, anything=cam),
    "a.NPY": lambda path, cam: path.write_bytes(npy_bytes(cam)),
    "named.npz": lambda path, cam: np.savez_compressed(path, cam=cam, logits=np.ones(4)),
    "a.tif": lambda path, cam: tifffile.imwrite(path, cam),
    "a.ome.tiff": lambda path, cam: tifffile.imwrite(path, cam, compression="zlib"),
    "a.zarr": save_zarr,
}


def npy_bytes(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), **options)
    return file.getvalue()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, ">f8", np.float16])
@pytest.mark.parametrize("name", SAVERS)
def test_every_format_gives_the_array(name, dtype, tmp_path):
    if name == "a.ome.tiff" and dtype == np.float16:
        pytest.skip("OME-TIFF has no such type")
    SAVERS[name](tmp_path / name, CAM.astype(dtype))
    found = read_cam(tmp_path / name)
    assert (found == CAM).all()
    assert found.dtype == (np.float64 if np.dtype(dtype).itemsize == 8 else np.float32)
    assert found.dtype.isnative


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("bits", [8, 16])
def test_pictures_are_shares_of_what_their_bits_can_hold(suffix, bits, tmp_path):
    top = 2**bits - 1
    grey = np.array([[0, 1, top // 5], [top // 2, top - 1, top]], f"u{bits // 8}")
    path = tmp_path / f"cam.{suffix}"
    if suffix == "png":
        PIL.Image.fromarray(grey).save(path)
    else:
        tifffile.imwrite(path, grey)
    assert (read_cam(path) == grey / top).all()


def test_black_and_white_is_0_and_1(tmp_path):
    picture = np.array([[True, False, True]])
    PIL.Image.fromarray(picture).convert("1").save(tmp_path / "a.png")
    assert read_cam(tmp_path / "a.png").tolist() == [[1.0, 0.0, 1.0]]
    tifffile.imwrite(tmp_path / "a.tif", picture, photometric="minisblack")
    assert read_cam(tmp_path / "a.tif").tolist() == [[1.0, 0.0, 1.0]]


@pytest.mark.parametrize("orientation", TURNS)
def test_a_cam_in_tiff_is_upright(tmp_path, orientation):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, CAM, extratags=[orientation_tag(orientation)])
    assert np.array_equal(read_cam(path), TURNS[orientation](CAM))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_integers_of_arrays_stay_as_they_are(dtype, tmp_path):
    np.save(tmp_path / "a.npy", np.array([[0, 1], [1, 0]], dtype))
    found = read_cam(tmp_path / "a.npy")
    assert found.tolist() == [[0.0, 1.0], [1.0, 0.0]]
    assert found.dtype == np.float64


@pytest.mark.parametrize("shape", [(1, 3, 4), (1, 1, 3, 4), (3, 4, 1), (1, 3, 4, 1)])
@pytest.mark.parametrize("suffix", ["npy", "npz", "zarr"])
def test_axes_of_length_1_are_left_out(shape, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    SAVERS[path.name](path, CAM.reshape(shape))
    assert (read_cam(path) == CAM).all()


def test_a_map_of_one_row_or_column_keeps_it(tmp_path):
    for shape in ((1, 7), (7, 1), (1, 1)):
        np.save(tmp_path / "a.npy", np.ones(shape))
        assert read_cam(tmp_path / "a.npy").shape == shape


def test_fortran_order_and_nan(tmp_path):
    cam = np.asfortranarray(np.array([[1.0, np.nan, np.inf], [2, 3, 4]]))
    np.save(tmp_path / "a.npy", cam)
    np.testing.assert_array_equal(read_cam(tmp_path / "a.npy"), cam)


def test_a_group_of_zarr_is_read_like_npz(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("grad", data=CAM)
    assert (read_cam(tmp_path / "a.zarr") == CAM).all()
    group.create_array("cam", data=CAM + 1)
    assert (read_cam(tmp_path / "a.zarr") == CAM + 1).all()


@pytest.mark.parametrize("arrays", [{}, {"a": CAM, "b": CAM}])
@pytest.mark.parametrize("suffix", ["npz", "zarr"])
def test_which_of_several_arrays_is_not_guessed(suffix, arrays, tmp_path):
    path = tmp_path / f"x.{suffix}"
    if suffix == "npz":
        np.savez(path, **arrays)
    else:
        group = pytest.importorskip("zarr").open_group(path, mode="w")
        for name, values in arrays.items():
            group.create_array(name, data=values)
    said = "2 arrays \\(a, b\\)" if arrays else "0 arrays \\(none\\)"
    with pytest.raises(InvalidInputError, match=f"x.{suffix}: has {said}; it takes one, or one"):
        read_cam(path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA"])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_picture_of_a_heat_map_is_refused(mode, suffix, tmp_path):
    path = tmp_path / f"heat.{suffix}"
    PIL.Image.new("RGB", (4, 3), (255, 0, 0)).convert(mode).save(path)
    with pytest.raises(
        InvalidInputError, match="a picture of a heat map is not a CAM; save the array"
    ):
        read_cam(path)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones((2, 3, 4)), r"has shape \(2, 3, 4\); it takes one map"),
        (np.ones((2, 3, 4, 1)), r"has shape \(2, 3, 4, 1\); it takes one map"),
        (np.ones(5), r"has shape \(5,\); it takes one map"),
        (np.float64(3), r"has shape \(\); it takes one map"),
        (np.ones((0, 4)), r"has shape \(0, 4\); it takes one map"),
        (np.ones((2, 2), complex), "has values of complex128; it takes real numbers"),
        (np.array([["a", "b"]]), "has values of <U1; it takes real numbers"),
        (np.zeros((2, 2), [("a", float)]), "has values of .*'a'.*; it takes real numbers"),
    ],
)
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_what_is_no_map_is_refused(suffix, values, said, tmp_path):
    path = tmp_path / f"a.{suffix}"
    SAVERS[path.name](path, values)
    with pytest.raises(InvalidInputError, match=f"a.{suffix}: {said}"):
        read_cam(path)


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('pickled code ran')",))


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_pickled_objects_are_never_read(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    if suffix == "npy":
        np.save(path, np.array([[Bomb()]], object), allow_pickle=True)
    else:
        np.savez(path, cam=np.array([[Bomb()]], object))
    with pytest.raises(InvalidInputError, match="it takes real numbers, and no pickled objects"):
        read_cam(path)


def save_large(path):
    if path.suffix == ".png":
        PIL.Image.new("L", (11, 10)).save(path)
    else:
        SAVERS[path.name](path, np.ones((10, 11)))


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.zarr", "a.png", "a.tif"])
def test_size_is_bounded(name, tmp_path):
    save_large(tmp_path / name)
    assert read_cam(tmp_path / name, max_values=110).shape == (10, 11)
    with pytest.raises(InvalidInputError, match=r"\(10, 11\), more values than max_values=109"):
        read_cam(tmp_path / name, max_values=109)


def test_a_size_that_is_only_claimed_is_found_before_decoding(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999, 999999), }"
    header += b" " * (117 - len(header)) + b"\n"
    claimed = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(claimed)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cam.npy", claimed)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InvalidInputError, match=f"more values than max_values={MAX_VALUES}"):
            read_cam(tmp_path / name)


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.png", "a.tif", "a.ome.tiff"])
def test_every_cut_and_every_kind_of_rubbish_is_an_error(name, tmp_path):
    path = tmp_path / name
    if name == "a.png":
        PIL.Image.fromarray(np.arange(110, dtype=np.uint8).reshape(10, 11)).save(path)
    else:
        SAVERS[name](path, np.random.default_rng(0).random((6, 7)))
    whole, cam = path.read_bytes(), read_cam(path)
    refused = 0
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        try:
            assert (read_cam(path) == cam).all()  # some ends are only a description
        except InvalidInputError:
            refused += 1
    assert refused > 50
    path.write_bytes(b"not a file of this format" * 9)
    with pytest.raises(InvalidInputError, match=name):
        read_cam(path)


def test_a_damaged_member_fails_its_checksum(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, cam=CAM)
    raw = bytearray(path.read_bytes())
    place = raw.index(CAM.tobytes()) + 3
    raw[place] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=r"truncated or damaged: .*CRC"):
        read_cam(path)


def test_a_damaged_zarr_is_an_error(tmp_path):
    pytest.importorskip("zarr")
    SAVERS["a.zarr"](tmp_path / "a.zarr", CAM)
    [chunk] = [one for one in (tmp_path / "a.zarr" / "c").rglob("*") if one.is_file()]
    chunk.write_bytes(b"rubbish")
    with pytest.raises(InvalidInputError, match=r"a\.zarr: is truncated or damaged"):
        read_cam(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InvalidInputError, match=r"b\.zarr"):
        read_cam(tmp_path / "b.zarr")


def test_zarr_is_missed_by_its_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(
        MissingDependencyError, match=r'needs zarr: pip install "membrane-xai\[dask'
    ):
        read_cam(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"photometric": "miniswhite"}, "is MINISWHITE; it takes one map, black at 0"),
        ({"dtype": np.int16}, "has values of int16; it takes 8 or 16 bits without sign, or floats"),
        ({"dtype": np.uint32}, "has values of uint32; it takes 8 or 16 bits"),
        ({"pages": 2}, "has 2 pages; it takes one map a file"),
    ],
)
def test_tiff_that_is_no_plain_map(options, said, tmp_path):
    shape = (2, 5, 6) if options.pop("pages", 1) == 2 else (5, 6)
    values = np.ones(shape, options.pop("dtype", np.uint8))
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric=options.get("photometric", "minisblack")
    )
    with pytest.raises(InvalidInputError, match=f"a.tif: {said}"):
        read_cam(tmp_path / "a.tif")


def test_a_tile_that_a_tiff_leaves_out_is_no_zero(tmp_path):
    tiles = iter([np.ones((16, 16), np.float32), None])
    tifffile.imwrite(tmp_path / "a.tif", tiles, shape=(16, 32), dtype=np.float32, tile=(16, 16))
    with pytest.raises(InvalidInputError, match=r"a\.tif: is truncated or damaged: a part of it"):
        read_cam(tmp_path / "a.tif")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_values_after_a_changed_byte_are_never_returned(save, tmp_path):
    path = tmp_path / "a.npz"
    save(path, cam=CAM)
    whole = path.read_bytes()
    for place in range(60, len(whole) - 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            assert (read_cam(path) == CAM).all()  # some bytes say nothing of the values
        except InvalidInputError:
            continue


def test_files_that_are_not_there_or_not_cams(tmp_path):
    for suffix in CAM_SUFFIXES:
        with pytest.raises((FileNotFoundError, InvalidInputError), match=f"none{suffix}"):
            read_cam(tmp_path / f"none{suffix}")
    with pytest.raises(InvalidInputError, match=r"ends in '.jpg'; a CAM file ends in .npy, .npz"):
        read_cam(tmp_path / "a.jpg")
    for value in (0, 1.5, "many"):
        with pytest.raises(InvalidInputError, match="max_values is"):
            read_cam(tmp_path / "a.npy", max_values=value)


@given(arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_what_is_saved_is_read(tmp_path_factory, cam):
    folder = tmp_path_factory.mktemp("cams")
    for name in ("a.npy", "a.npz", "a.tif"):
        SAVERS[name](folder / name, cam)
        np.testing.assert_array_equal(read_cam(folder / name), cam)
