"""MAP of Captum's attributions: of a layer on its grid, and of the image, its colours reduced."""

from captum.attr import InputXGradient, LayerGradCam

from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai import alignment
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.captum import attribute_maps

field = synthetic_her2("3+", size=256, seed=0)
backbone = imagenet_efficientnet_lite0()
images = backbone.to_input(field.rgb, 224).requires_grad_()
target = int(backbone.network(images).argmax())
layer = backbone.network.get_submodule("blocks.4")

runs = [
    ("LayerGradCam", LayerGradCam(backbone.network, layer), "sum"),
    ("InputXGradient", InputXGradient(backbone.network), "sum"),
    ("InputXGradient", InputXGradient(backbone.network), "sum_abs"),
    ("InputXGradient", InputXGradient(backbone.network), "norm"),
]
print(
    f"{'method':16}{'channels':10}{'grid':>9}{'MAP':>8}{'chance':>8}{'ideal':>9}"
    f"{'toward ideal':>14}"
)
for name, method, channels in runs:
    maps = attribute_maps(method, images, channels=channels, target=target)
    found = alignment(maps[0].numpy(), field.membrane)
    grid = "x".join(str(side) for side in found.grid)
    numbers = f"{found.map:8.3f}{found.chance:8.3f}{found.ideal:9.3f}{found.toward_ideal:14.3f}"
    print(f"{name:16}{channels:10}{grid:>9}{numbers}")
