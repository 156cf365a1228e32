"""Only listed codecs of Zarr are read: hostile stores are refused before anything decodes."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest

from membrane_xai.cli import main
from membrane_xai.errors import InvalidInputError
from membrane_xai.io import read_cam
from membrane_xai.labelled import evaluate_store

numcodecs = pytest.importorskip("numcodecs")
xr = pytest.importorskip("xarray")
zarr = pytest.importorskip("zarr")

CAM = np.arange(16.0).reshape(4, 4)
PICKLE_2 = {"id": "pickle", "protocol": 5}
PICKLE_3 = {"name": "numcodecs.pickle", "configuration": {"protocol": 5}}
BYTES = {"name": "bytes", "configuration": {"endian": "little"}}
SHARD = {"chunk_shape": [4, 4], "index_codecs": [BYTES, {"name": "crc32c"}], "codecs": [BYTES]}


def array_2(**options):
    plain = {"zarr_format": 2, "shape": [4, 4], "chunks": [4, 4], "dtype": "<f8", "order": "C"}
    return {**plain, "compressor": None, "fill_value": 0, "filters": None, **options}


def array_3(*codecs, **options):
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 4],
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [4, 4]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": list(codecs),
        "attributes": {},
        **options,
    }


def shard(**options):
    return {"name": "sharding_indexed", "configuration": {**SHARD, **options}}


GROUP_3 = {"zarr_format": 3, "node_type": "group", "attributes": {}}
HOSTILE = {
    "filter": ({".zarray": array_2(filters=[PICKLE_2])}, "pickle"),
    "second filter": ({".zarray": array_2(filters=[{"id": "shuffle"}, PICKLE_2])}, "pickle"),
    "filter that is no list": ({".zarray": array_2(filters=PICKLE_2)}, "pickle"),
    "compressor": ({".zarray": array_2(compressor=PICKLE_2)}, "pickle"),
    "objects": ({".zarray": array_2(dtype="|O", filters=[PICKLE_2])}, "pickle"),
    "json2": ({".zarray": array_2(filters=[{"id": "json2"}])}, "json2"),
    "msgpack2": ({".zarray": array_2(filters=[{"id": "msgpack2"}])}, "msgpack2"),
    "capitals": ({".zarray": array_2(filters=[{"id": "Pickle"}])}, "Pickle"),
    "no name": ({".zarray": array_2(filters=[{"protocol": 5}])}, None),
    "a number": ({".zarray": array_2(filters=[7])}, 7),
    "member": (
        {".zgroup": {"zarr_format": 2}, "cam/.zarray": array_2(filters=[PICKLE_2])},
        "pickle",
    ),
    "member without a file of its group": (
        {
            ".zgroup": {"zarr_format": 2},
            "mask/.zarray": array_2(),
            "a/.zarray": array_2(compressor=PICKLE_2),
        },
        "pickle",
    ),
    "consolidated": (
        {
            ".zgroup": {"zarr_format": 2},
            ".zmetadata": {
                "zarr_consolidated_format": 1,
                "metadata": {
                    ".zgroup": {"zarr_format": 2},
                    "cam/.zarray": array_2(filters=[PICKLE_2]),
                },
            },
            "cam/.zarray": array_2(),
        },
        "pickle",
    ),
    "version 3": ({"zarr.json": array_3(BYTES, PICKLE_3)}, "numcodecs.pickle"),
    "version 3, in front": ({"zarr.json": array_3(PICKLE_3, BYTES)}, "numcodecs.pickle"),
    "version 3, bare": ({"zarr.json": array_3(BYTES, "pickle")}, "pickle"),
    "version 3, unknown": ({"zarr.json": array_3(BYTES, {"name": "mine"})}, "mine"),
    "within a shard": ({"zarr.json": array_3(shard(codecs=[BYTES, PICKLE_3]))}, "numcodecs.pickle"),
    "index of a shard": (
        {"zarr.json": array_3(shard(index_codecs=[BYTES, PICKLE_3]))},
        "numcodecs.pickle",
    ),
    "shard in a shard": (
        {"zarr.json": array_3(shard(codecs=[shard(codecs=[BYTES, PICKLE_3])]))},
        "numcodecs.pickle",
    ),
    "version 3, member": (
        {"zarr.json": GROUP_3, "cam/zarr.json": array_3(BYTES, PICKLE_3)},
        "numcodecs.pickle",
    ),
    "version 3, consolidated": (
        {
            "zarr.json": {
                **GROUP_3,
                "consolidated_metadata": {
                    "kind": "inline",
                    "must_understand": False,
                    "metadata": {"cam": array_3(BYTES, PICKLE_3)},
                },
            },
            "cam/zarr.json": array_3(BYTES),
        },
        "numcodecs.pickle",
    ),
    "both versions": (
        {"zarr.json": array_3(BYTES), ".zarray": array_2(filters=[PICKLE_2])},
        "pickle",
    ),
}


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def written(folder, documents, chunk):
    shutil.rmtree(folder, ignore_errors=True)
    for key, document in documents.items():
        place = folder / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(document))
        for name in ("0.0", "c/0/0"):
            (place.parent / name).parent.mkdir(parents=True, exist_ok=True)
            (place.parent / name).write_bytes(chunk)
    return folder


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_stores(case, tmp_path, monkeypatch):
    """The refusal is this package's own: what zarr would do is not asked."""
    documents, codec = HOSTILE[case]
    path = written(tmp_path / "a.zarr", documents, pickle.dumps(Runs(tmp_path / "RAN")))
    for name in ("open", "open_group"):
        monkeypatch.setattr(zarr, name, lambda *args, **kwargs: pytest.fail("zarr was asked"))
    with pytest.raises(InvalidInputError) as caught:
        read_cam(path)
    message = str(caught.value)
    assert str(path) in message
    assert f"names the codec {codec!r}; it takes " in message
    assert "blosc" in message
    assert "zstd" in message
    with pytest.raises(InvalidInputError, match="names the codec"):
        evaluate_store(path, out=tmp_path / "out")
    with pytest.raises(InvalidInputError, match="names the codec"):
        evaluate_store(path.as_uri(), out=tmp_path / "out")
    assert not (tmp_path / "RAN").exists()


def test_a_label_may_be_what_is_hostile(tmp_path, capsys):
    path = tmp_path / "cams.zarr"
    dataset().to_zarr(path, zarr_format=2, consolidated=False)
    place = path / "group" / ".zarray"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"filters": [PICKLE_2]}))
    assert main(["score", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "group/.zarray names the codec 'pickle'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_store_that_becomes_hostile_while_it_is_read(tmp_path):
    from membrane_xai.labelled._layout import parts_of, read_layout, read_part

    path = tmp_path / "cams.zarr"
    dataset().to_zarr(path, zarr_format=2, consolidated=False)
    names = {"cam": "cam", "mask": "mask", "region": None, "groups": None, "classes": None}
    layout = read_layout(path, **names)
    place = path / "cam" / ".zarray"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"filters": [PICKLE_2]}))
    with pytest.raises(InvalidInputError, match="names the codec 'pickle'"):
        read_part(layout.source, parts_of(layout, None)[0])


@pytest.mark.parametrize("content", ["[]", "{", "7", "\x00"])
def test_metadata_that_is_none(content, tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    (path / ".zarray").write_text(content)
    with pytest.raises(InvalidInputError, match=r"a\.zarr: is truncated or damaged"):
        read_cam(path)
    with pytest.raises(InvalidInputError, match=r"a\.zarr: cannot be opened as Zarr"):
        evaluate_store(path, out=tmp_path / "out")


def dataset():
    rng = np.random.default_rng(0)
    maps = ("sample", "row", "column")
    data = {"cam": (maps, rng.random((6, 4, 4))), "mask": (maps, rng.random((6, 4, 4)) < 0.5)}
    words = np.array(["a", "b", "ccc"] * 2, dtype=object)
    labels = {"group": ("sample", words), "class": ("sample", list("001122"))}
    return xr.Dataset(data, labels)


COMPRESSORS_2 = {
    "none": None,
    **{
        name: getattr(numcodecs, name)()
        for name in ("Blosc", "Zstd", "GZip", "Zlib", "BZ2", "LZMA", "LZ4")
    },
}
FILTERS_2 = {
    "shuffle": [numcodecs.Shuffle(8)],
    "delta": [numcodecs.Delta("<f8")],
    "fixed": [numcodecs.FixedScaleOffset(0, 2**20, "<f8", "<i8")],
    "quantize": [numcodecs.Quantize(9, "<f8")],
    "rounded": [numcodecs.BitRound(40)],
    "checked": [numcodecs.Shuffle(8), numcodecs.Fletcher32()],
}


def scored(path, out):
    return [round(row["map"], 3) for row in evaluate_store(path, out=out).summary()]


@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("name", COMPRESSORS_2)
def test_plain_compressors_of_version_2(name, consolidated, tmp_path):
    path, codec = tmp_path / "cams.zarr", COMPRESSORS_2[name]
    encoding = {one: {"compressors": codec} for one in ("cam", "mask")}
    dataset().to_zarr(path, zarr_format=2, encoding=encoding, consolidated=consolidated)
    assert len(scored(path, tmp_path / "out")) == 4
    single = zarr.create_array(
        tmp_path / "a.zarr", shape=(4, 4), dtype="f8", zarr_format=2, compressors=codec
    )
    single[...] = CAM
    assert (read_cam(tmp_path / "a.zarr") == CAM).all()


@pytest.mark.parametrize("name", FILTERS_2)
def test_plain_filters_of_version_2(name, tmp_path):
    path = tmp_path / "cams.zarr"
    dataset().to_zarr(path, zarr_format=2, encoding={"cam": {"filters": FILTERS_2[name]}})
    assert scored(path, tmp_path / "out") == scored(plain(tmp_path), tmp_path / "plain out")


def plain(folder):
    dataset().to_zarr(folder / "plain.zarr", zarr_format=2)
    return folder / "plain.zarr"


@pytest.mark.filterwarnings("ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr")
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
@pytest.mark.filterwarnings("ignore:The data type")
@pytest.mark.parametrize("name", ["gzip", "zstd", "blosc", "checked", "shards", "numcodecs"])
def test_plain_codecs_of_version_3(name, tmp_path):
    from zarr import codecs
    from zarr.codecs import numcodecs as wrapped

    encodings = {
        "gzip": {"compressors": [codecs.GzipCodec()]},
        "zstd": {"compressors": [codecs.ZstdCodec()]},
        "blosc": {"compressors": [codecs.BloscCodec()]},
        "checked": {"compressors": [codecs.ZstdCodec(), codecs.Crc32cCodec()]},
        "shards": {"chunks": (2, 4, 4), "shards": (6, 4, 4)},
        "numcodecs": {"filters": [wrapped.Delta(dtype="<f8")], "compressors": [wrapped.LZ4()]},
    }
    path = tmp_path / "cams.zarr"
    dataset().to_zarr(path, zarr_format=3, encoding={"cam": encodings[name]})
    assert scored(path, tmp_path / "out") == scored(plain(tmp_path), tmp_path / "plain out")
    single = zarr.create_array(
        tmp_path / "a.zarr", data=CAM, filters=[codecs.TransposeCodec(order=(1, 0))]
    )
    assert single.shape == (4, 4)
    assert (read_cam(tmp_path / "a.zarr") == CAM).all()


def test_a_store_elsewhere(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    plain(tmp_path)
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "plain.zarr"), "/cams.zarr", recursive=True)
    expected = scored(tmp_path / "plain.zarr", tmp_path / "out")
    assert scored("memory://cams.zarr", tmp_path / "elsewhere") == expected
    memory.rm("/cams.zarr/.zmetadata")
    assert scored("memory://cams.zarr", tmp_path / "not consolidated") == expected
    hostile = json.loads(memory.cat("/cams.zarr/mask/.zarray")) | {"compressor": PICKLE_2}
    memory.pipe("/cams.zarr/mask/.zarray", json.dumps(hostile).encode())
    with pytest.raises(InvalidInputError, match=r"memory://cams\.zarr: mask/\.zarray names the"):
        evaluate_store("memory://cams.zarr", out=tmp_path / "refused")
    memory.rm("/cams.zarr", recursive=True)
