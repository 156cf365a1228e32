"""Several methods of pytorch-grad-cam on one network and one image, at two layers."""

from her2_models.explain import cam_method
from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai import alignment
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.pytorch_grad_cam import native_grid

METHODS = ("GradCAM", "GradCAMPlusPlus", "XGradCAM", "LayerCAM", "HiResCAM", "EigenCAM")
LAYERS = ("blocks.4", "blocks.6")  # 14x14 and 7x7

field = synthetic_her2("3+", size=256, seed=0)
backbone = imagenet_efficientnet_lite0()
images = backbone.to_input(field.rgb, 224)

print(
    f"{'method':18}{'layer':>10}{'grid':>8}{'MAP':>8}{'chance':>8}{'ideal':>9}{'toward ideal':>14}"
)
for layer in LAYERS:
    for name in METHODS:
        target_layers = [backbone.network.get_submodule(layer)]
        with cam_method(name)(backbone.network, target_layers) as cam, native_grid(cam):
            found = alignment(cam(images, targets=None)[0], field.membrane)
        grid = "x".join(str(side) for side in found.grid)
        numbers = f"{found.map:8.3f}{found.chance:8.3f}{found.ideal:9.3f}{found.toward_ideal:14.3f}"
        print(f"{name:18}{layer:>10}{grid:>8}{numbers}")
