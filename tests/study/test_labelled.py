"""xarray in and out, stores larger than memory, workers that die: against plain NumPy calls."""

import json
import os
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

xr = pytest.importorskip("xarray")
pytest.importorskip("dask.array")
pytest.importorskip("distributed")
pytest.importorskip("zarr")

from membrane_xai import (  # noqa: E402
    CamGrid,
    EcAccumulator,
    MapAccumulator,
    alignment,
    ec_score,
    evaluate,
    map_score,
    pixel_auc,
    pointing_game,
    rank_accuracy,
    summarize,
)
from membrane_xai._backend.vocabulary import bounds_of  # noqa: E402
from membrane_xai.cli import main  # noqa: E402
from membrane_xai.errors import InvalidInputError, MissingDependencyError  # noqa: E402
from membrane_xai.labelled import evaluate_store, score_dataset  # noqa: E402
from membrane_xai.metrics import SUMMARY_SCORES  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::UserWarning"
)
SCORES = (
    "map",
    "chance",
    "enrichment",
    "skill",
    "ideal",
    "toward_ideal",
    "ceiling",
    "relative",
    "coverage",
)
N, GRID, MASK = 23, (5, 4), (12, 9)
EXACT = {"rtol": 0, "atol": 1e-12}


def samples(seed=0, n=N):
    rng = np.random.default_rng(seed)
    masks = rng.random((n, *MASK)) < 0.3
    masks[3] = False
    cams = rng.random((n, *GRID))
    cams[5] = 0
    groups = np.array([f"patient {i % 6}" for i in range(n)])
    classes = np.array(["0", "1+", "3+"])[rng.integers(0, 3, n)]
    regions = rng.random((n, *MASK)) < 0.8
    return cams, masks, regions, groups, classes


def dataset(seed=0, n=N, region=False):
    cams, masks, regions, groups, classes = samples(seed, n)
    fine = ("sample", "y", "x")
    variables = {"cam": (("sample", "row", "column"), cams), "mask": (fine, masks)}
    if region:
        variables["region"] = (fine, regions)
    labels = {"group": groups, "class": classes, "id": [f"patch {i}" for i in range(n)]}
    return xr.Dataset(variables, {name: ("sample", values) for name, values in labels.items()})


def stored(data, folder, chunk=4):
    path = folder / "cams.zarr"
    sizes = {name: {"chunks": (chunk, *data[name].shape[1:])} for name in data.data_vars}
    data.to_zarr(path, encoding=sizes, zarr_format=2, mode="w")
    return path


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    before = dict(os.environ)  # in which a cluster leaves OMP_NUM_THREADS=1
    options = {"processes": True, "threads_per_worker": 1, "dashboard_address": None}
    with LocalCluster(n_workers=2, **options) as local, Client(local) as client:
        yield client
    os.environ.clear()
    os.environ.update(before)


def same_summary(rows, others):
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            if isinstance(value, float):
                np.testing.assert_allclose(value, other[name], **EXACT, err_msg=name)
            else:
                assert value == other[name], name


# Datasets


@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_a_dataset_keeps_dims_and_coordinates_and_is_lazy(chunk):
    data = dataset(region=True)
    given_data = data if chunk is None else data.chunk(sample=chunk, row=2, y=5)
    found = score_dataset(given_data, region="region", ranked=True)
    expected = alignment(data["cam"].values, data["mask"].values, region=data["region"].values)
    if chunk is not None:
        assert all(found[name].chunks is not None for name in found.data_vars)
    assert found.attrs == {"grid": list(GRID), "cam_grid": "", "negative": "clip"}
    for name in (*SCORES, "cam_min", "cam_max"):
        assert found[name].dims == ("sample",)
        np.testing.assert_allclose(found[name].values, getattr(expected, name), **EXACT)
    assert found["status"].values.tolist() == expected.status.tolist()
    assert found["group"].values.tolist() == data["group"].values.tolist()
    maps = data["cam"].values, data["mask"].values
    for name, metric in (
        ("rank_accuracy", rank_accuracy), ("pointing_game", pointing_game), ("pixel_auc", pixel_auc)
    ):  # fmt: skip
        one = metric(*maps, region=data["region"].values)
        np.testing.assert_allclose(found[name].values, one, **EXACT)


def test_batch_dims_are_matched_by_name():
    cams, masks, *_ = samples(n=6)
    cam = xr.DataArray(cams.reshape(2, 3, *GRID), dims=("scale", "patch", "row", "column"))
    mask = xr.DataArray(masks[:3], dims=("patch", "y", "x"), coords={"patch": ["a", "b", "c"]})
    found = score_dataset(xr.Dataset({"cam": cam, "mask": mask}).chunk(patch=1))["map"].compute()
    assert set(found.dims) == {"scale", "patch"}
    for i in range(2):
        for j, patch in enumerate("abc"):
            expected = map_score(cams[3 * i + j], masks[j])
            got = found.isel(scale=i).sel(patch=patch).item()
            np.testing.assert_allclose(got, expected, **EXACT)


def test_ec_of_a_dataarray_on_dask():
    data = dataset()
    cams = data["cam"].isel(sample=slice(6, None))
    lazy = ec_score(cams.chunk(sample=3))
    np.testing.assert_allclose(float(lazy), ec_score(cams.values), **EXACT)


def test_a_dataset_without_the_variable():
    with pytest.raises(InvalidInputError, match=r"data has no 'heat'; it has \['cam', 'class'"):
        score_dataset(dataset(), cam="heat")


# Stores


@pytest.mark.parametrize("region", [False, True])
def test_a_store_gives_what_numpy_gives(tmp_path, region):
    data = dataset(region=region)
    result = evaluate_store(stored(data, tmp_path), out=tmp_path / "out")
    where = data["region"].values if region else None
    expected = alignment(data["cam"].values, data["mask"].values, region=where)
    scores = result.scores()
    for name in SCORES:
        np.testing.assert_allclose(scores[name].values, getattr(expected, name), **EXACT)
    assert scores["status"].values.tolist() == expected.status.tolist()
    for name in ("id", "group", "class"):
        assert scores[name].values.tolist() == data[name].values.tolist()
    assert (result.failed, result.non_finite, result.missing) == ({}, [], 0)
    rows = result.summary(draws=500)
    assert [row["class"] for row in rows] == ["all", "0", "1+", "3+"]
    for row in rows:
        mine = np.full(N, True) if row["class"] == "all" else data["class"].values == row["class"]
        assert row["rows"] == mine.sum()
        ok = expected.status == "ok"
        assert row["scored"] == (mine & ok).sum()
        for name in ("map", "chance", "ideal", "toward_ideal", "ceiling", "relative", "coverage"):
            values = np.where(ok, getattr(expected, name), np.nan)[mine]
            mean = summarize(values, data["group"].values[mine], bounds=bounds_of(name))
            np.testing.assert_allclose(row[name], mean.mean, **EXACT)
            np.testing.assert_allclose(row[f"{name}_low"], mean.low, **EXACT)
            np.testing.assert_allclose(row[f"{name}_high"], mean.high, **EXACT)
            np.testing.assert_allclose(row[f"{name}_n_eff"], mean.n_eff, **EXACT)
            assert (row[f"{name}_n"], row[f"{name}_note"]) == (mean.n, mean.note)
        np.testing.assert_allclose(row["ec_class"], ec_score(data["cam"].values[mine]), **EXACT)


def test_a_store_has_the_summary_of_a_study_of_the_same_arrays(tmp_path):
    """Name for name and number for number; only EC is of another kind."""
    data = dataset()
    images = np.zeros((N, *data["mask"].shape[1:], 3), np.uint8)
    study = evaluate({"m": list(data["cam"].values)}, images, list(data["mask"].values),
                     groups=data["group"].values, targets=data["class"].values)  # fmt: skip
    rows = evaluate_store(stored(data, tmp_path), out=tmp_path / "out").summary(draws=300, seed=7)
    scores = list(SUMMARY_SCORES)
    options = {"scores": scores, "draws": 300, "seed": 7}
    [whole] = study.summary(**options)
    by_class = {row["class"]: row for row in study.summary(by="class", **options)}
    assert any(row["status"] != "ok" and np.isfinite(row["chance"]) for row in study.rows)
    for row in rows:
        wanted = whole if row["class"] == "all" else by_class[row["class"]]
        assert list(row)[1:-4] == list(wanted)[1:]
        same_summary([{k: row[k] for k in list(wanted)[1:]}], [dict(list(wanted.items())[1:])])


@settings(max_examples=8, deadline=None)
@given(stored_chunk=st.integers(1, 30), chunk=st.integers(1, 30), seed=st.integers(0, 99))
def test_chunks_change_nothing(tmp_path_factory, stored_chunk, chunk, seed):
    folder = tmp_path_factory.mktemp("chunks")
    path = stored(dataset(seed), folder, stored_chunk)
    whole = evaluate_store(path, out=folder / "whole", chunk=N)
    parts = evaluate_store(path, out=folder / "parts", chunk=chunk)
    same_summary(parts.summary(draws=200), whole.summary(draws=200))
    assert parts.scores().equals(whole.scores())


def test_a_cluster_gives_what_one_process_gives(tmp_path, cluster):
    path = stored(dataset(), tmp_path)
    here = evaluate_store(path, out=tmp_path / "here")
    there = evaluate_store(path, out=tmp_path / "there", client=cluster)
    same_summary(there.summary(draws=200), here.summary(draws=200))
    assert there.scores().equals(here.scores())


def test_dask_in_two_processes_is_numpy(tmp_path, cluster):
    data = dataset()
    path = stored(data, tmp_path)
    lazy = score_dataset(xr.open_zarr(path, consolidated=False, chunks={"sample": 5}))
    found = cluster.compute(lazy).result()
    expected = alignment(data["cam"].values, data["mask"].values)
    for name in SCORES:
        np.testing.assert_allclose(found[name].values, getattr(expected, name), **EXACT)


def test_a_worker_that_dies_changes_nothing(tmp_path, cluster):
    path = stored(dataset(n=60), tmp_path, chunk=1)
    here = evaluate_store(path, out=tmp_path / "here")
    started = cluster.submit(lambda: time.sleep(0.2), pure=False)
    started.result()
    pids = list(cluster.run(os.getpid).values())

    def kill_one():
        os.kill(pids[0], signal.SIGKILL)

    import threading

    timer = threading.Timer(0.15, kill_one)
    timer.start()
    there = evaluate_store(path, out=tmp_path / "there", client=cluster)
    timer.join()
    cluster.wait_for_workers(2, timeout=30)
    assert pids[0] not in cluster.run(os.getpid).values()
    assert (there.failed, there.missing) == ({}, 0)
    same_summary(there.summary(draws=200), here.summary(draws=200))


def test_corrupt_samples_and_parts_are_named_and_the_rest_is_complete(tmp_path):
    data = dataset()
    data["cam"][9, 1, 1] = np.inf
    path = stored(data, tmp_path, chunk=4)
    chunk = path / "cam" / "1.0.0"  # samples 4 to 7
    whole = chunk.read_bytes()
    chunk.write_bytes(whole[: len(whole) // 2])
    result = evaluate_store(path, out=tmp_path / "out")
    assert list(result.failed) == [(4, 8)]
    assert "samples 4 to 7: 'cam' cannot be read" in result.failed[4, 8]
    assert (result.non_finite, result.missing) == ([9], 4)
    rest = np.delete(np.arange(N), [4, 5, 6, 7])
    assert result.scores()["sample"].values.tolist() == rest.tolist()
    expected = alignment(data["cam"].values[rest], data["mask"].values[rest])
    np.testing.assert_allclose(result.scores()["map"].values, expected.map, **EXACT)
    chunk.write_bytes(whole)
    again = evaluate_store(path, out=tmp_path / "out")
    assert (again.failed, again.missing, again.non_finite) == ({}, 0, [9])


def test_a_part_that_fails_on_a_worker_is_named_and_the_rest_is_complete(tmp_path, cluster):
    path = stored(dataset(), tmp_path)
    (path / "cam" / "1.0.0").write_bytes(b"cut")
    result = evaluate_store(path, out=tmp_path / "out", client=cluster)
    assert list(result.failed) == [(4, 8)]
    assert "samples 4 to 7: 'cam' cannot be read" in result.failed[4, 8]
    assert result.missing == 4


def test_a_stopped_run_computes_only_what_is_missing(tmp_path, monkeypatch):
    from membrane_xai import labelled

    path = stored(dataset(), tmp_path, chunk=4)
    done = []

    def count(source, part, measures, stop=10**6):
        if len(done) >= stop:
            raise KeyboardInterrupt
        done.append(part.number)
        return real(source, part, measures)

    real = labelled.score_part
    monkeypatch.setattr(labelled, "score_part", lambda *a, **k: count(*a, **k, stop=2))
    with pytest.raises(KeyboardInterrupt):
        evaluate_store(path, out=tmp_path / "out")
    monkeypatch.setattr(labelled, "score_part", count)
    result = evaluate_store(path, out=tmp_path / "out")
    assert done == [0, 1, 2, 3, 4, 5]
    assert evaluate_store(path, out=tmp_path / "out").missing == result.missing == 0
    assert len(done) == 6
    (tmp_path / "out" / "parts" / "part-0000003.npz").write_bytes(b"cut")
    same_summary(evaluate_store(path, out=tmp_path / "out").summary(), result.summary())
    assert done[6:] == [3]


def test_a_store_without_labels_or_with_one_mask(tmp_path):
    data = dataset().drop_vars(["group", "class", "id"])
    data["mask"] = data["mask"].isel(sample=0)
    data.to_zarr(tmp_path / "cams.zarr", zarr_format=3, consolidated=False)
    result = evaluate_store(tmp_path / "cams.zarr", out=tmp_path / "out", chunk=5)
    (row,) = result.summary(draws=200)
    expected = alignment(data["cam"].values, data["mask"].values)
    np.testing.assert_allclose(row["map"], np.nanmean(expected.map), **EXACT)
    assert (np.isnan(row["map_low"]), row["map_note"]) == (True, "few_groups")
    assert row["groups"] is None
    assert set(result.scores().coords) == {"sample"}


def test_zeros_of_a_store_by_another_tool_are_zeros(tmp_path):
    """Its fill value is 0, which xarray would take for missing."""
    import zarr

    data = dataset()
    group = zarr.create_group(tmp_path / "cams.zarr", zarr_format=2)
    for name in ("cam", "mask"):
        values = data[name].values
        array = group.create_array(
            name,
            shape=values.shape,
            dtype=values.dtype,
            fill_value=0,
            chunks=(5, *values.shape[1:]),
        )
        array[:] = values
        array.attrs["_ARRAY_DIMENSIONS"] = list(data[name].dims)
    result = evaluate_store(tmp_path / "cams.zarr", out=tmp_path / "out")
    expected = alignment(data["cam"].values, data["mask"].values)
    assert result.non_finite == []
    assert result.scores()["status"].values.tolist() == expected.status.tolist()
    np.testing.assert_allclose(result.scores()["map"].values, expected.map, **EXACT)


@pytest.mark.parametrize("chunk", [None, 3])
def test_ec_of_maps_with_a_dim_called_column(chunk):
    cams = xr.DataArray(samples()[0][6:], dims=("map", "row", "column"))
    found = ec_score(cams if chunk is None else cams.chunk(map=chunk, column=2))
    np.testing.assert_allclose(float(found), ec_score(cams.values), **EXACT)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cam": "heat"}, "has no 'heat'; it has"),
        ({"mask": "membrane"}, "has no 'membrane'; it has"),
        ({"groups": "patient"}, "has no 'patient'; it has"),
        (
            {"groups": "cam"},
            r"'cam' has dims \('sample', 'row', 'column'\); it takes \('sample',\)",
        ),
        ({"chunk": 0}, "chunk is 0; it takes a positive integer"),
        ({"negative": "drop"}, "negative is 'drop'"),
        ({"similarity": "ssim"}, "similarity is 'ssim'"),
        ({"client": "tcp://x"}, "client is 'tcp://x'; it takes a dask.distributed.Client"),
    ],
)
def test_bad_options(tmp_path, options, words):
    path = stored(dataset(), tmp_path)
    with pytest.raises(InvalidInputError, match=words):
        evaluate_store(path, out=tmp_path / "out", **options)


def test_a_folder_of_other_settings(tmp_path):
    path = stored(dataset(), tmp_path)
    evaluate_store(path, out=tmp_path / "out")
    with pytest.raises(InvalidInputError, match="out has parts of other settings: there negative"):
        evaluate_store(path, out=tmp_path / "out", negative="abs")


def test_a_store_of_another_mask_grid_is_another_one(tmp_path):
    path = stored(dataset(), tmp_path)
    evaluate_store(path, out=tmp_path / "out")
    stored(dataset().isel(x=slice(None, -1)), tmp_path)
    with pytest.raises(InvalidInputError, match="there mask_grid is \\[12, 9\\], now \\[12, 8\\]"):
        evaluate_store(path, out=tmp_path / "out")


def test_numbers_that_were_repaired_are_scored(tmp_path):
    data = dataset()
    data["cam"][9, 1, 1] = np.nan
    assert evaluate_store(stored(data, tmp_path), out=tmp_path / "out").non_finite == [9]
    again = evaluate_store(stored(dataset(), tmp_path), out=tmp_path / "out")
    assert again.non_finite == []
    expected = map_score(dataset()["cam"].values[9], dataset()["mask"].values[9])
    np.testing.assert_allclose(again.scores()["map"].values[9], expected, **EXACT)


def test_something_that_is_no_store(tmp_path):
    with pytest.raises(InvalidInputError, match="cannot be opened as Zarr"):
        evaluate_store(tmp_path / "nothing", out=tmp_path / "out")


def test_no_zarr(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "membrane-xai\[dask\]"'):
        evaluate_store(tmp_path, out=tmp_path / "out")


def test_scores_of_nothing(tmp_path):
    path = stored(dataset(), tmp_path, chunk=N)
    (path / "cam" / "0.0.0").write_bytes(b"cut")
    result = evaluate_store(path, out=tmp_path / "out")
    assert result.missing == N
    with pytest.raises(InvalidInputError, match="no part of the store could be scored"):
        result.scores()


def test_accumulators_take_scores_that_are_there():
    cams, masks, _, groups, _ = samples()
    result = alignment(cams, masks)
    one = MapAccumulator().update(cams, masks, groups=groups).compute()
    assert MapAccumulator().update_scores(result, groups=groups).compute() == one
    with pytest.raises(InvalidInputError, match="result was made with negative='clip'"):
        MapAccumulator(negative="abs").update_scores(result)
    assert EcAccumulator().update(cams).compute().n_undefined > 0


# Where cells lie


def test_a_dataset_or_an_argument_says_where_cells_lie():
    grid = CamGrid((2.4, 2.25), (0.5, 0), MASK)
    data = dataset()
    expected = alignment(data["cam"].values, data["mask"].values, grid=grid)
    told = data.assign(cam=data["cam"].assign_attrs(cam_grid=grid.to_text()))
    for found in (score_dataset(data, grid=grid, ranked=True), score_dataset(told, ranked=True)):
        for name in SCORES:
            np.testing.assert_array_equal(found[name].values, getattr(expected, name))
        auc = pixel_auc(data["cam"].values, data["mask"].values, grid=grid)
        np.testing.assert_array_equal(found["pixel_auc"].values, auc)
        assert found.attrs["cam_grid"] == "2.4x2.25,0.5x0,12x9"
    half = CamGrid.half_pixel(GRID, MASK)
    np.testing.assert_array_equal(score_dataset(told, grid=half)["map"], score_dataset(data)["map"])
    wrong = data.assign(cam=data["cam"].assign_attrs(cam_grid="7x7"))
    with pytest.raises(InvalidInputError, match="cam_grid of the CAMs: grid is '7x7'; it takes"):
        score_dataset(wrong)


def test_a_store_says_where_cells_lie_and_goes_on_with_that_alone(tmp_path, capsys):
    grid = CamGrid((2.4, 2.25), (0.5, 0), MASK)
    data = dataset()
    plain = stored(data, tmp_path)
    (tmp_path / "told").mkdir()
    told = data.assign(
        cam=data["cam"].assign_attrs(cam_grid=grid.to_text()),
        mask=data["mask"].assign_attrs(mpp=0.5),
    )
    told = stored(told, tmp_path / "told")
    expected = score_dataset(data, grid=grid)
    first = evaluate_store(told, out=tmp_path / "a")
    second = evaluate_store(plain, out=tmp_path / "b", grid=grid, mpp=0.5)
    for result in (first, second):
        np.testing.assert_array_equal(result.scores()["map"].values, expected["map"].values)
        row = result.summary(draws=200)[0]
        assert (row["grid"], row["cam_grid"]) == ("5x4", grid.to_text())
        assert row["cell_um"] == pytest.approx(0.5 * (2.4 * 2.25) ** 0.5)
    assert np.isnan(evaluate_store(plain, out=tmp_path / "b", grid=grid).summary()[0]["cell_um"])
    with pytest.raises(InvalidInputError, match=r"there cam_grid is '2.4x2.25,0.5x0,12x9', now ''"):
        evaluate_store(plain, out=tmp_path / "b")
    with pytest.raises(InvalidInputError, match="mpp"):
        evaluate_store(plain, out=tmp_path / "c", mpp=-1)
    command = ["score", str(plain), "--out", str(tmp_path / "d"), "--draws", "200"]
    assert main([*command, "--grid", grid.to_text(), "--mpp", "0.5"]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert "5x4 cells of 1.2 um, 0.08 of a cell up and 0.28 left of half-pixel centres, EC" in line
    with pytest.raises(SystemExit, match="2"):
        main([*command, "--grid", "7x7"])
    assert "it takes SPACING,OFFSET,SIZE" in capsys.readouterr().err


# Command


def test_score_command(tmp_path, capsys):
    data = dataset()
    path = stored(data, tmp_path)
    assert main(["score", str(path), "--out", str(tmp_path / "out"), "--draws", "200"]) == 0
    said = capsys.readouterr().out.splitlines()
    result = evaluate_store(path, out=tmp_path / "out")
    rows = result.summary(draws=200)
    assert said[0].startswith(
        f"all: {rows[0]['scored']} of {N} samples scored, "
        f"toward ideal {rows[0]['toward_ideal']:.3f} [{rows[0]['toward_ideal_low']:.3f}, "
    )
    assert f"MAP {rows[0]['map']:.3f} [{rows[0]['map_low']:.3f}, " in said[0]
    assert "5x4 cells of unknown size" in said[0]
    assert said[-1] == f"written to {tmp_path / 'out'}"
    kept = xr.open_zarr(tmp_path / "out" / "scores.zarr")
    np.testing.assert_array_equal(kept["map"].values, result.scores()["map"].values)
    assert (tmp_path / "out" / "summary.csv").read_text().splitlines()[1].startswith("all,")


def test_score_command_tells_what_failed(tmp_path, capsys):
    data = dataset()
    data["cam"][9, 1, 1] = np.nan
    path = stored(data, tmp_path)
    (path / "cam" / "0.0.0").write_bytes(b"cut")
    command = ["score", str(path), "--out", str(tmp_path / "out"), "--draws", "200", "--json"]
    assert main(command) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert document["failed"][0]["start"] == 0
    assert document["non_finite"] == [9]
    assert "failed: samples 0 to 3: " in captured.err
    assert "non-finite values in samples 9" in captured.err


def test_score_command_on_a_cluster(tmp_path, cluster, capsys):
    path = stored(dataset(), tmp_path)
    address = cluster.scheduler.address
    options = ["--draws", "200", "--json"]
    assert main(["score", str(path), "--out", str(tmp_path / "a"), *options]) == 0
    here = json.loads(capsys.readouterr().out)["summary"]
    there = ["score", str(path), "--out", str(tmp_path / "b"), "--scheduler", address, *options]
    assert main(there) == 0
    same_summary(json.loads(capsys.readouterr().out)["summary"], here)


def test_score_command_without_a_scheduler(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("membrane_xai._commands.score._TIMEOUT", 1)
    path = stored(dataset(), tmp_path)
    command = [
        "score",
        str(path),
        "--out",
        str(tmp_path / "out"),
        "--scheduler",
        "tcp://127.0.0.1:9",
    ]
    assert main(command) == 1
    assert "no scheduler at tcp://127.0.0.1:9" in capsys.readouterr().err
