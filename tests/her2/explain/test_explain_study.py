"""Studies of explanations: tables against single calls, stops, bad images, lost weights."""

import csv
import itertools
import json
from importlib import metadata

import numpy as np
import pytest
from PIL import Image
from shapely import box

torch = pytest.importorskip("torch")
timm = pytest.importorskip("timm")
pytest.importorskip("pytorch_grad_cam")

from her2_models._commands.explain import _print_randomized  # noqa: E402
from her2_models.explain import (  # noqa: E402  # noqa: E402  # noqa: E402
    CamExplainer,
    ExplainedImage,
    explain_images,
    explained_images,
    inputs_of,
    native_cam,
    predict,
)
from her2_models.explain._randomization import evenly  # noqa: E402
from her2_models.explain._work import masks_of  # noqa: E402
from her2_models.models import (  # noqa: E402
    Backbone,
    layer_groups,
    randomized,
    register,
    stages,
)
from membrane_xai import (  # noqa: E402
    CamGrid,
    alignment,
    ec_score,
    extract_membrane_mask,
    magnification_consistency,
    perturbation_consistency,
    vectorize,
    write_geojson,
)
from membrane_xai.datasets import synthetic_her2  # noqa: E402
from membrane_xai.errors import InvalidInputError  # noqa: E402
from membrane_xai.integrations.pytorch import measured_grid  # noqa: E402
from membrane_xai.perturb import horizontal_flip, rotation  # noqa: E402
from membrane_xai.study import read_view  # noqa: E402

SCORES = ("0", "1+", "2+", "3+")
SIZE, MPP = 64, 0.5  # 10x shows images of 128 pixels in 64, as 8x8 cells of layer2
STEPS = (horizontal_flip(), rotation(90))
MAGNIFICATIONS = (10, 20)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(11)
    network = timm.create_model("test_resnet", num_classes=4).eval()
    torch.nn.init.normal_(network.fc.weight, std=0.5)
    return Backbone("test_resnet", "random", network, network.layer2, "layer2",
                    (0.5,) * 3, (0.25,) * 3)  # fmt: skip


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    found = []
    for seed, score in enumerate(("3+", "2+", "3+", "0", "3+")):
        path = folder / f"{seed} {score}.png"
        Image.fromarray(synthetic_her2(score, size=128, mpp=MPP, seed=seed).rgb).save(path)
        found.append(ExplainedImage(path, score, f"slide {seed % 2}", MPP))
    return found


def pixels(image):
    return np.asarray(Image.open(image.path))


def study(backbone, images, out, methods=("GradCAM",), **options):
    told = {"input_size": SIZE, "draws": 100, "batch_size": 2, **options}
    return explain_images(backbone, images, methods, out=out, **told)


@pytest.fixture(scope="module")
def whole(backbone, images, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    options = {"perturbations": STEPS, "magnifications": MAGNIFICATIONS, "randomize": 2}
    return study(backbone, images, out, ("GradCAM", "ScoreCAM"), **options), out


def said(backbone, image):
    probabilities = predict(backbone, backbone.to_input(pixels(image), SIZE))[0]
    return int(probabilities.argmax()), float(probabilities.max())


def same(rows, others):
    """Equal rows, but for the last digits that the size of a batch changes."""
    assert len(rows) == len(others)
    for row, other in zip(rows, others, strict=True):
        assert row.keys() == other.keys()
        for name, value in row.items():
            if isinstance(value, float):
                assert value == pytest.approx(other[name], abs=1e-4, nan_ok=True), name
            else:
                assert value == other[name], name


@pytest.mark.parametrize("method", ["GradCAM", "ScoreCAM"])
def test_rows_are_those_of_single_calls(backbone, images, whole, method):
    rows = {row["id"]: row for row in whole[0].images if row["method"] == method}
    assert len(rows) == len(images)
    for image in images:
        row, rgb = rows[str(image.path)], pixels(image)
        index, confidence = said(backbone, image)
        cam = native_cam(backbone, backbone.to_input(rgb, SIZE), method, target=index)[0]
        explain = CamExplainer(backbone, method, SIZE, grid=whole[0].registration.grid)
        found = extract_membrane_mask(rgb, mpp=MPP)
        expected = alignment(cam, found.mask, region=found.tissue, grid=whole[0].registration.grid)
        assert (row["class"], row["predicted"], row["score"]) == (
            SCORES[index], SCORES[index], image.score)  # fmt: skip
        assert (row["group"], row["magnification"]) == (image.group, "20x")
        assert row["confidence"] == pytest.approx(confidence, abs=1e-5)
        assert row["status"] == expected.status
        for name in ("map", "chance", "ceiling", "relative", "coverage"):
            assert row[name] == pytest.approx(getattr(expected, name), abs=1e-4, nan_ok=True)
        found = perturbation_consistency(explain, rgb[None], STEPS, targets=[SCORES[index]])
        assert row["ec"] == pytest.approx(found.ec[0], abs=1e-3, nan_ok=True)
        found = magnification_consistency(
            explain, rgb[None], mpp=MPP, magnifications=MAGNIFICATIONS, targets=[SCORES[index]]
        )
        assert found.status.tolist() == [["ok"]]
        assert row["ec_magnification"] == pytest.approx(found.ec[0], abs=1e-3)
        half = magnification_consistency(
            explain.__call__, rgb[None], window=SIZE, mpp=MPP, magnifications=MAGNIFICATIONS,
            targets=[SCORES[index]],
        )  # fmt: skip
        assert row["ec_magnification"] != pytest.approx(half.ec[0], abs=2e-3)
        assert row["input_um_per_pixel"] == 1.0  # 128 pixels of 0.5 um in 64
        (pair,) = (one for one in whole[0].magnifications
                   if (one["id"], one["method"]) == (row["id"], method))  # fmt: skip
        assert pair["class"] == row["class"]
        assert pair["similarity"] == pytest.approx(row["ec_magnification"])
        assert {name: pair[name] for name in pair if name != "similarity"} == {
            "id": row["id"], "method": method, "class": row["class"], "pair": "10x-20x",
            "cells": "8x8", "status": "ok", "field_rows_um": 64, "field_columns_um": 64,
            "first_um_per_pixel": 1, "second_um_per_pixel": 0.5, "first_tiles": "1x1",
            "second_tiles": "3x3",
        }  # fmt: skip
        kept = read_view(whole[1], row["key"])
        np.testing.assert_allclose(kept.maps[method][row["class"]], cam, atol=1e-4 * cam.max())


def test_what_is_explained_is_the_tensor_that_was_predicted(backbone, images, tmp_path):
    seen = []
    with backbone.network.register_forward_pre_hook(lambda _module, args: seen.append(args[0])):
        study(backbone, images[:2], tmp_path / "out")
    *_, predicted, explained = seen  # after the passes that measure where cells lie
    assert torch.equal(predicted, explained)
    assert torch.equal(predicted[1], backbone.to_input(pixels(images[1]), SIZE)[0])


def test_classes_are_means_and_pairs(images, whole):
    done, out = whole
    assert {(row["method"], row["class"]) for row in done.classes} == {
        (row["method"], row["class"]) for row in done.images
    }
    for row in done.classes:
        members = [one for one in done.images
                   if (one["method"], one["class"]) == (row["method"], row["class"])]  # fmt: skip
        assert row["rows"] == len(members)
        assert row["groups"] == len({one["group"] for one in members})
        assert row["scored"] == sum(one["status"] == "ok" for one in members)
        for name in ("map", "relative", "ec", "ec_magnification"):
            values = [one[name] for one in members if np.isfinite(one[name])]
            expected = np.mean(values) if values else np.nan
            assert row[name] == pytest.approx(expected, nan_ok=True)
        maps = [read_view(out, one["key"]).maps[one["method"]][one["class"]] for one in members]
        expected = ec_score(np.stack(maps)) if len(maps) > 1 else np.nan
        assert row["ec_class"] == pytest.approx(expected, nan_ok=True)
        others = [one for one in done.images
                  if one["method"] == row["method"] and one["class"] != row["class"]]  # fmt: skip
        between = [
            ec_score(np.stack([cam, read_view(out, one["key"]).maps[one["method"]][one["class"]]]))
            for cam in maps for one in others
        ]  # fmt: skip
        expected = np.nanmean(between) if between else np.nan
        assert row["ec_between"] == pytest.approx(expected, nan_ok=True)


def test_tables_are_written(whole):
    done, out = whole
    with (out / "images.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [row["id"] for row in done.images]
    record = json.loads((out / "images.json").read_text())["provenance"]
    about = record["parameters"]["about"]
    assert about["cam_normalization"] == "negative values set to 0, not scaled"
    assert about["weights"].startswith("sha256:")
    assert about["cam_grid"] == done.registration.grid.to_text()
    assert about["grid_source"] == "measured"
    assert record["versions"]["torch"] == metadata.version("torch")
    assert (out / "classes.csv").exists()
    with (out / "magnifications.csv").open(encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    assert [row["similarity"] for row in pairs] == [
        str(row["similarity"]) for row in done.magnifications
    ]
    assert len((out / "randomization.csv").read_text().splitlines()) == 1 + len(done.randomization)


class Stop(KeyboardInterrupt):
    """Ctrl-C."""


def counted(backbone, most=10**9):
    """Count forward passes, and stop at one of them."""
    count = [0]

    def hook(*_):
        count[0] += 1
        if count[0] > most:
            raise Stop

    return count, backbone.network.register_forward_pre_hook(hook)


def test_a_stopped_run_goes_on_without_loss(backbone, images, whole, tmp_path):
    options = {"perturbations": STEPS, "magnifications": MAGNIFICATIONS, "randomize": 2}
    before = {name: tensor.clone() for name, tensor in backbone.network.state_dict().items()}
    count, hook = counted(backbone)
    with hook:
        full = study(backbone, images, tmp_path / "full", **options)
    total = count[0]
    stops = 0
    for _ in range(40):
        count, hook = counted(backbone, most=3 + total // 4)
        try:
            with hook:
                done = study(backbone, images, tmp_path / "cut", **options)
            break
        except Stop:
            stops += 1
    assert stops >= 3
    same(done.images, full.images)
    same(done.classes, full.classes)
    same(done.randomization, full.randomization)
    same(done.magnifications, full.magnifications)
    after = backbone.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    count, hook = counted(backbone)
    with hook:
        CamExplainer(backbone, "GradCAM", SIZE)
    measuring = count[0]
    count, hook = counted(backbone)
    with hook:
        same(study(backbone, images, tmp_path / "cut", **options).images, full.images)
    assert count[0] == measuring + 3  # the predictions, in batches of 2


def test_a_bad_image_is_a_row_and_the_rest_goes_on(backbone, images, whole, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(images[0].path.read_bytes()[:300])
    mixed = [*images[:2], ExplainedImage(bad, "2+", "slide 9", MPP), *images[2:]]
    done = study(backbone, mixed, tmp_path / "out", perturbations=STEPS,
                 magnifications=MAGNIFICATIONS)  # fmt: skip
    (row,) = (row for row in done.images if row["status"] == "error")
    assert (row["id"], row["predicted"], row["score"]) == (str(bad), "", "2+")
    assert np.isnan(row["confidence"])
    assert np.isnan(row["map"])
    assert row["error"]
    rest = [one for one in done.images if one["status"] != "error"]
    same(rest, [one for one in whole[0].images if one["method"] == "GradCAM"])
    assert sum(one["error"] for one in done.classes) == 1


def test_every_class(backbone, images, tmp_path):
    done = study(backbone, images[:2], tmp_path / "out", ("ScoreCAM", "LayerCAM"),
                 every_class=True, magnifications=MAGNIFICATIONS)  # fmt: skip
    assert [row["class"] for row in done.images] == list(SCORES) * 4
    for row in done.images:
        rgb = pixels(next(i for i in images if str(i.path) == row["id"]))
        inputs, target = backbone.to_input(rgb, SIZE), SCORES.index(row["class"])
        cam = native_cam(backbone, inputs, row["method"], target=target)[0]
        kept = read_view(tmp_path / "out", row["key"]).maps[row["method"]][row["class"]]
        np.testing.assert_allclose(kept, cam, atol=1e-4 * cam.max())
        assert np.isfinite(row["ec_magnification"]) <= (row["class"] == row["predicted"])


def test_magnifications_that_do_not_fill_the_input_are_undefined(backbone, images, tmp_path):
    done = study(backbone, images[:2], tmp_path / "out", magnifications=(5, 20), mpp=MPP)
    assert [row["status"] for row in done.magnifications] == ["small_field"] * 2
    assert all(np.isnan(row["ec_magnification"]) for row in done.images)
    again = study(backbone, images[:2], tmp_path / "out", magnifications=(5, 20), mpp=MPP)
    same(again.magnifications, done.magnifications)


def test_annotations_are_the_masks(backbone, images, tmp_path):
    mask = np.zeros((128, 128), bool)
    mask[32:64, 16:96] = True
    for image in images[:2]:
        write_geojson(tmp_path / f"{image.path.stem}.geojson", vectorize(mask))
    done = study(backbone, images[:2], tmp_path / "out", annotations=tmp_path)
    for row in done.images:
        assert row["mask_share"] == mask.mean()
        np.testing.assert_array_equal(read_view(tmp_path / "out", row["key"]).mask, mask)


def test_annotations_of_all_images_in_one_table(backbone, images, tmp_path):
    rows = [
        f"{image.path.name};{box(0, 0, 128, y).wkt}"
        for image, y in zip(images[:2], (32, 64), strict=True)
    ]
    (tmp_path / "all.csv").write_text("\n".join(["Image;WKT", *rows]))
    done = study(backbone, images[:2], tmp_path / "out", annotations=tmp_path / "all.csv")
    assert [row["mask_share"] for row in done.images] == [0.25, 0.5]


def test_missing_annotations_are_named(backbone, images, tmp_path):
    with pytest.raises(InvalidInputError, match=r"no outlines for 0 3\+\.png, 1 2\+\.png; files"):
        study(backbone, images[:2], tmp_path / "out", annotations=tmp_path)


def test_masks_are_pictures_and_classes_choose(backbone, images, tmp_path):
    masks = np.zeros((3, 128, 128), bool)
    masks[0, :40] = masks[1, :, :30] = masks[2, 20:90] = True
    stems = [image.path.stem for image in images[:2]]
    Image.fromarray(masks[0]).save(tmp_path / f"{stems[0]}.png")
    shapes = [
        *vectorize(masks[1])["features"],
        *vectorize(masks[2], classification="Tissue")["features"],
    ]
    write_geojson(
        tmp_path / f"{stems[1]}.geojson", {"type": "FeatureCollection", "features": shapes}
    )
    done = study(backbone, images[:2], tmp_path / "out", annotations=tmp_path, randomize=1)
    for row, mask in zip(done.images, masks, strict=False):
        np.testing.assert_array_equal(read_view(tmp_path / "out", row["key"]).mask, mask)
    assert done.randomization[0]["rows"] == 1
    options = {"annotations": tmp_path, "mask_classes": ["Tissue"], "region_classes": ["Membrane"]}
    done = study(backbone, images[1:2], tmp_path / "other", randomize=1, **options)
    view = read_view(tmp_path / "other", done.images[0]["key"])
    np.testing.assert_array_equal(view.mask, masks[2])
    np.testing.assert_array_equal(view.region, masks[1])
    assert done.randomization[0]["map"] == done.images[0]["map"]


def test_files_of_images_of_one_name_are_told_by_their_folders(tmp_path):
    paths = [tmp_path / "images" / "class_2+" / slide / "001.png" for slide in ("S17", "S18")]
    given = [ExplainedImage(path) for path in paths]
    for place in ("S17/001.geojson", "class_2+/S18/001.png"):
        (tmp_path / "outlines" / place).parent.mkdir(parents=True)
        (tmp_path / "outlines" / place).touch()
    found = masks_of(given, tmp_path / "outlines")
    assert [path.relative_to(tmp_path / "outlines").as_posix() for path in found] == [
        "S17/001.geojson", "class_2+/S18/001.png"
    ]  # fmt: skip
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "001.geojson").touch()
    with pytest.raises(InvalidInputError, match=r"001\.geojson would be of .*S17.* and of .*S18"):
        masks_of(given, tmp_path / "flat")
    tiles = [ExplainedImage(tmp_path / f"s [x={x},y=0,w=9,h=9].png") for x in (0, 9)]
    (tmp_path / "flat" / "s.geojson").touch()
    assert masks_of(tiles, tmp_path / "flat") == [tmp_path / "flat" / "s.geojson"] * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"draws": 50}, "draws is 50; it takes an integer of at least 100"),
        ({"regions": "cells"}, "regions is 'cells'; it takes 'tissue', 'tumour' or None"),
        ({"annotations": "nowhere"}, "nowhere: there is no such folder"),
    ],
)
def test_what_does_not_fit_is_said_before_any_image_is_read(options, words, backbone, tmp_path):
    absent = [ExplainedImage(tmp_path / "absent.png", "3+", "a", MPP)]
    count, hook = counted(backbone)
    with hook, pytest.raises(InvalidInputError, match=words):
        study(backbone, absent, tmp_path / "out", **options)
    assert (count[0], (tmp_path / "out").exists()) == (0, False)


def test_other_weights_are_refused(backbone, images, tmp_path):
    study(backbone, images[:1], tmp_path)
    words = "out has rows of other settings: there about"
    with (
        randomized(backbone.network, ["fc.weight"]),
        pytest.raises(InvalidInputError, match=words),
    ):
        study(backbone, images[:1], tmp_path)


def test_how_many_channels_score_cam_scores_at_once_may_change(backbone, images, tmp_path):
    before = study(
        backbone, images[:2], tmp_path, ("ScoreCAM",), options={"ScoreCAM": {"batch_size": 4}}
    )
    again = study(
        backbone, images[:2], tmp_path, ("ScoreCAM",), options={"ScoreCAM": {"batch_size": 9}}
    )
    same(again.images, before.images)
    with pytest.raises(InvalidInputError, match=r"options\.ScoreCAM\.max_channels is None, now 3"):
        study(
            backbone, images[:2], tmp_path, ("ScoreCAM",), options={"ScoreCAM": {"max_channels": 3}}
        )


@pytest.mark.parametrize(
    ("sizes", "words"), [((0.5, 0.25), "say 0.25, 0.5"), ((None, None), "say None")]
)
def test_pixel_sizes_that_are_not_one(backbone, images, tmp_path, sizes, words):
    some = [i._replace(mpp=mpp) for i, mpp in zip(images, sizes, strict=False)]
    with pytest.raises(InvalidInputError, match=f"mpp is not given, and the images {words}"):
        study(backbone, some, tmp_path)
    assert study(backbone, some[:1], tmp_path, mpp=MPP).images[0]["magnification"] == "20x"


def test_no_images(backbone, tmp_path):
    with pytest.raises(InvalidInputError, match="images is empty"):
        study(backbone, [], tmp_path)


def test_skill_stands_beside_that_of_shuffled_networks(whole, capsys):
    rows = whole[0].randomization
    for row in rows:
        assert {"ec_skill_geometric", "ec0_geometric", "ec_skill_photometric"} <= row.keys()
    _print_randomized(rows)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == sum(row["mode"] != "independent" for row in rows)
    assert lines[0].startswith(f"{rows[0]['method']}, trained: EC skill geometric ")
    assert any(", shuffled down to fc: EC skill" in line for line in lines)


def test_randomization_shows_what_the_weights_do(backbone, whole):
    rows = whole[0].randomization
    names = [group.name for group in layer_groups(backbone.network)][::-1]
    for method in ("GradCAM", "ScoreCAM"):
        mine = [row for row in rows if row["method"] == method]
        assert [(row["mode"], row["layers"]) for row in mine] == [
            ("trained", ""),
            *(("cascading", name) for name in names),
            *(("independent", name) for name in names),
        ]
        assert all(row["rows"] == 2 for row in mine)
        assert mine[0]["similarity_to_trained"] == pytest.approx(1)
        # A head that is shuffled alone is the first stage of both modes.
        same([{**mine[1], "mode": ""}], [{**mine[1 + len(names)], "mode": ""}])
        assert 0 < sum(row["compared"] for row in mine[1:]) < 2 * len(mine) or method == "ScoreCAM"
        alike = [row["similarity_to_trained"] for row in mine[1:] if row["compared"]]
        assert min(alike) < 0.9


def test_stages_cover_all_parameters(backbone):
    groups = layer_groups(backbone.network)
    every = {name for name, _ in backbone.network.named_parameters()}
    alone = [set(stage.parameters) for stage in stages(groups, "independent")]
    assert set.union(*alone) == every
    assert sum(map(len, alone)) == len(every)
    along = [set(stage.parameters) for stage in stages(groups, "cascading")]
    assert along[-1] == every
    assert all(small < large for small, large in itertools.pairwise(along))
    assert along[0] == {"fc.weight", "fc.bias"}


def test_stages_of_another_mode(backbone):
    with pytest.raises(InvalidInputError, match="mode is 'all'; it takes 'cascading' or"):
        stages(layer_groups(backbone.network), "all")


def test_randomized_keeps_values_and_gives_them_back(backbone):
    before = {name: value.detach().clone() for name, value in backbone.network.named_parameters()}
    lost = ["layer4.0.conv1.weight", "fc.weight"]

    def look():
        now = dict(backbone.network.named_parameters())
        changed = {name for name in before if not torch.equal(now[name], before[name])}
        kept = all(torch.equal(now[n].flatten().sort().values, before[n].flatten().sort().values)
                   for n in before)  # fmt: skip
        return changed, kept, now["fc.weight"].detach().clone()

    found = []

    def fail():
        with randomized(backbone.network, lost, seed=1):
            found.extend(look())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    changed, kept, shuffled = found
    assert changed == set(lost)
    assert kept
    assert look()[0] == set()
    with randomized(backbone.network, lost[1:], seed=1):
        assert torch.equal(look()[2], shuffled)  # alike, whichever others are lost
    with randomized(backbone.network, lost, seed=2):
        assert not torch.equal(look()[2], shuffled)
    with pytest.raises(InvalidInputError, match="parameters has 'x', which"):
        randomized(backbone.network, ["x"]).__enter__()


def test_tensors_of_one_size_are_not_shuffled_alike():
    network = torch.nn.Sequential(*(torch.nn.Linear(8, 8, bias=False) for _ in range(2)))
    for layer in network:
        layer.weight.data = torch.arange(64.0).view(8, 8)
    with randomized(network, ["0.weight", "1.weight"]):
        assert not torch.equal(network[0].weight, network[1].weight)


def test_the_published_protocol_explains_the_true_score_of_the_rescaled_image(
    backbone, images, tmp_path
):
    """The library on what the notebook gave it; what is predicted is normalised as ever."""
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    from membrane_xai.integrations.pytorch_grad_cam import native_grid

    def rescaled(rgb):
        small = Image.fromarray(rgb).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.float32(small) / 255).permute(2, 0, 1)[None]

    grades = [said(backbone, image)[0] for image in images]
    assert any(SCORES[grade] != image.score for grade, image in zip(grades, images, strict=True))
    options = {"published_protocol": True, "magnifications": MAGNIFICATIONS, "randomize": 1}
    done = study(backbone, images, tmp_path / "out", ("ScoreCAM",), **options)
    layers = [backbone.target_layer]
    for row, image, grade in zip(done.images, images, grades, strict=True):
        assert (row["class"], row["score"]) == (image.score, image.score)
        assert row["predicted"] == SCORES[grade]
        target = ClassifierOutputTarget(SCORES.index(image.score))
        with pytorch_grad_cam.ScoreCAM(backbone.network, layers) as cam, native_grid(cam):
            expected = cam(rescaled(pixels(image)), [target])[0]
        kept = read_view(tmp_path / "out", row["key"]).maps["ScoreCAM"][image.score]
        # Pillow and torch round the resized image differently, by one in 255
        np.testing.assert_allclose(kept, expected, atol=0.02 * expected.max())
        assert np.isfinite(row["ec_magnification"])
        other = native_cam(backbone, backbone.to_input(pixels(image), SIZE), "ScoreCAM",
                           target=SCORES.index(image.score))[0]  # fmt: skip
        assert np.corrcoef(other.ravel(), kept.ravel())[0, 1] < 0.999  # the input matters
    assert (done.settings["about"]["classes"], done.settings["about"]["input"]) == (
        "true", "rescaled"
    )  # fmt: skip
    trained = done.randomization[0]
    assert trained["similarity_to_trained"] == pytest.approx(1)
    nameless = [images[0], ExplainedImage(images[1].path, None, None, MPP)]
    message = "published_protocol is True, which explains true scores; 1 of 2 images have none"
    with pytest.raises(InvalidInputError, match=message):
        study(backbone, nameless, tmp_path / "none", published_protocol=True)


@pytest.mark.parametrize(
    ("levels", "said"),
    [(("slide", "slide"), "slide"), (("slide", "patch"), "mixed"), (("patch", None), "unknown")],
)
def test_classes_say_whose_scores_the_images_bear(backbone, images, tmp_path, levels, said):
    told = [image._replace(label_level=level) for image, level in zip(images, levels, strict=False)]
    done = study(backbone, told, tmp_path / "out", regions=None, controls=())
    assert done.label_level == said
    assert [row["label_level"] for row in done.classes] == [said] * len(done.classes)
    with (tmp_path / "out" / "classes.csv").open(encoding="utf-8") as file:
        assert {row["label_level"] for row in csv.DictReader(file)} == {said}


def test_explained_images_take_turns():
    from her2_models.data import Record

    records = [Record(f"{i}.png", score, group=f"s{i}", source="bci", mpp=0.5, label_level="slide")
               for i, score in enumerate((0, 0, 0, 1, 3, 3))]  # fmt: skip
    names = [image.path.name for image in explained_images(records, most=4)]
    assert names == ["0.png", "1.png", "3.png", "4.png"]
    assert explained_images(records)[4] == ExplainedImage(
        records[4].path, "3+", "bci/s4", 0.5, "slide"
    )
    with pytest.raises(InvalidInputError, match="most is 0"):
        explained_images(records, most=0)


def test_explainers_say_where_their_cells_lie(backbone, whole):
    done, _ = whole
    explain = CamExplainer(backbone, "GradCAM", SIZE)
    assert explain.grid == measured_grid(backbone.network, backbone.target_layer, SIZE)
    assert done.registration.grid == explain.grid  # of the trained network, for lost weights, too
    assert done.registration.source == "measured"
    assert str(done.registration).startswith("cells of 8x8 px lie -0.")
    given = CamGrid.half_pixel((8, 8), (SIZE, SIZE))
    assert CamExplainer(backbone, "GradCAM", SIZE, grid=given).grid == given


def test_registration_falls_back_to_what_is_known():
    class Mixed(torch.nn.Module):
        def forward(self, x):
            return x.mean((2, 3), keepdim=True).expand(x.shape)

    blind = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), Mixed())
    found = register(blind, blind[1], 32)
    assert (found.grid, found.source) == (CamGrid.half_pixel((8, 8), (32, 32)), "half-pixel")
    assert "tell to" in found.reason
    assert str(found).startswith("cells are taken to lie at half-pixel centres: layer has")
    # Nothing is learnt on the way.
    norm = torch.nn.BatchNorm2d(4)
    register(torch.nn.Sequential(blind[0], norm, blind[1]).train(), blind[1], 32)
    assert norm.training
    assert norm.num_batches_tracked == 0
    # A constant map has no gradient, but kernels can be counted.
    constant = torch.nn.Conv2d(3, 4, 3, stride=4, padding=1)
    torch.nn.init.zeros_(constant.weight)
    found = register(constant, constant, 32)
    assert (found.grid, found.source) == (CamGrid(4, 0, 32), "arithmetic")
    tokens = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 4, stride=4), torch.nn.Flatten(2))
    with pytest.raises(InvalidInputError, match="pass reshape="):
        register(tokens, tokens[1], 32)


def test_explainer_takes_scores_and_its_own_device(backbone, images):
    rgb = np.stack([pixels(image) for image in images[:2]])
    explain = CamExplainer(backbone, "GradCAM", SIZE)
    both = explain(rgb, ["0", "3+"])
    inputs = inputs_of(backbone, rgb, SIZE)
    for i, target in enumerate((0, 3)):
        expected = native_cam(backbone, inputs[i : i + 1], "GradCAM", target=target)[0]
        np.testing.assert_allclose(both[i], expected, atol=1e-5 * expected.max())
    with pytest.raises(InvalidInputError, match="targets has None; it takes scores among 0"):
        explain(rgb, [None, "0"])
    with pytest.raises(InvalidInputError, match="method is 'XCAM'"):
        CamExplainer(backbone, "XCAM", SIZE)
    with pytest.raises(InvalidInputError, match="target has 1 classes for 2 images"):
        native_cam(backbone, inputs, "GradCAM", target=[1])


@pytest.mark.parametrize(
    ("count", "most", "places"), [(10, 4, [0, 2, 5, 7]), (3, 5, [0, 1, 2]), (4, 0, []), (0, 2, [])]
)
def test_images_of_a_sample_lie_evenly(count, most, places):
    assert evenly(count, most) == places
