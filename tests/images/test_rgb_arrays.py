"""One check of RGB images that are arrays: the same answer at every door."""

import re

import numpy as np
import pytest
from PIL import Image

import membrane_xai as mx
from membrane_xai.baselines import darkness
from membrane_xai.cells import measure_nuclei
from membrane_xai.errors import InvalidInputError
from membrane_xai.explanation_consistency import perturbation_consistency
from membrane_xai.io import check_rgb
from membrane_xai.perturb import horizontal_flip, noise

RNG = np.random.default_rng(2)
RGB = RNG.integers(60, 250, (48, 40, 3)).astype(np.uint8)
MASK = np.eye(48, 40, dtype=bool)


def of_study(rgb):
    [row] = mx.evaluate({"m": darkness}, [rgb], [MASK]).rows
    if row["status"] == "error":
        raise InvalidInputError(row["error"])
    return row["map"]


def of_network(rgb):
    pytest.importorskip("torch")
    pytest.importorskip("torchvision")
    from her2_models.models import InputSpec

    return InputSpec(16, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)).to_tensor(rgb).numpy()


UINT8 = {
    "check_rgb": check_rgb,
    "evaluate": of_study,
    "her2_models": of_network,
    "perturbation_consistency": lambda rgb: (
        perturbation_consistency(darkness, [rgb], [horizontal_flip()]).ec
    ),
    "flip": lambda rgb: horizontal_flip().apply(rgb),
    "noise": lambda rgb: noise(5, seed=0).apply(rgb),
}
ANY_DEPTH = {
    "stains": lambda rgb: mx.separate_stains(rgb).dab,
    "mask": lambda rgb: mx.extract_membrane_mask(rgb, mpp=0.5).dab,
    "background": mx.estimate_background,
    "nuclei": lambda rgb: measure_nuclei(rgb, mpp=0.5).median,
    "darkness": lambda rgb: darkness(rgb, cells=(4, 4)),
}
doors = pytest.mark.parametrize("door", (UINT8 | ANY_DEPTH).values(), ids=UINT8 | ANY_DEPTH)


def _read_only(rgb):
    copy = rgb.copy()
    copy.flags.writeable = False
    return copy


GOOD = {
    "read-only": _read_only,
    "flipped": lambda rgb: rgb[::-1].copy()[::-1],
    "channels turned": lambda rgb: rgb[..., ::-1].copy()[..., ::-1],
    "channels moved": lambda rgb: np.moveaxis(np.moveaxis(rgb, -1, 0).copy(), 0, -1),
    "nothing masked": lambda rgb: np.ma.masked_array(rgb, np.zeros(rgb.shape, bool)),
    "PIL": Image.fromarray,
    "tensor": lambda rgb: pytest.importorskip("torch").tensor(rgb),
    "JAX": lambda rgb: pytest.importorskip("jax.numpy").asarray(rgb),
}


@doors
@pytest.mark.parametrize("kind", GOOD.values(), ids=GOOD)
def test_arrays_of_every_kind(door, kind):
    np.testing.assert_array_equal(door(kind(RGB)), door(RGB))


SHAPES = {
    "grey": (RGB[..., 0], "has shape (48, 40); it takes (H, W, 3), not empty; a grey image has no"),
    "one channel": (RGB[..., :1], "has shape (48, 40, 1); it takes (H, W, 3), not empty; a grey"),
    "alpha": (np.dstack([RGB, RGB[..., 0]]), "has shape (48, 40, 4); it takes (H, W, 3), not empty;"
              " lay its alpha channel over white first"),
    "channels first": (np.moveaxis(RGB, -1, 0), "has shape (3, 48, 40); it takes (H, W, 3), not "
                       "empty; its channels come first: np.moveaxis(image, 0, -1)"),
    "empty": (RGB[:0], "has shape (0, 40, 3); it takes (H, W, 3), not empty"),
    "masked": (np.ma.masked_array(RGB, RGB > 240), "masked values; it takes pixels that are all"),
    "words": (np.full((48, 40), "a"), "has shape (48, 40); it takes (H, W, 3)"),
}  # fmt: skip


@doors
@pytest.mark.parametrize(("image", "message"), SHAPES.values(), ids=SHAPES)
def test_what_is_no_rgb_image(door, image, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        door(image)


DTYPES = {
    "float": (RGB / 255, "has dtype float64; it takes uint8; multiply values in [0, 1] by 255"),
    "float32": ((RGB / 255).astype(np.float32), "has dtype float32; it takes uint8; multiply"),
    "uint16": (RGB.astype(np.uint16), "has dtype uint16; it takes uint8; scale it by the true"),
    "int64": (RGB.astype(int), "has dtype int64; it takes uint8"),
    "bool": (RGB > 200, "has dtype bool; it takes uint8"),
}


@pytest.mark.parametrize("door", UINT8.values(), ids=UINT8)
@pytest.mark.parametrize(("image", "message"), DTYPES.values(), ids=DTYPES)
def test_other_dtypes(door, image, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        door(image)


def test_a_backbone_and_a_study_say_the_same():
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    from torch import nn

    from her2_models.models import Backbone

    layer = nn.Identity()
    backbone = Backbone("toy", "", layer, layer, "", (0.5,) * 3, (0.5,) * 3)
    for image, _ in (*SHAPES.values(), *DTYPES.values()):
        with pytest.raises(InvalidInputError) as at_network:
            backbone.to_input(image, 8)
        [row] = mx.evaluate({"m": darkness}, [image], [MASK]).rows
        said = str(at_network.value).removeprefix("rgb ")
        assert row["error"] == f"InvalidInputError: image {said}"
