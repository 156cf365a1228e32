"""MAP of pytorch-grad-cam's maps, stretched as it gives them and on the grid of their layer."""

from pytorch_grad_cam import GradCAM, LayerCAM

from her2_models.models import imagenet_efficientnet_lite0
from membrane_xai.datasets import synthetic_her2
from membrane_xai.integrations.pytorch_grad_cam import MembraneActivationPrecision, native_grid

field = synthetic_her2("3+", size=256, seed=0)
backbone = imagenet_efficientnet_lite0()
images = backbone.to_input(field.rgb, 224)
layers = [backbone.network.get_submodule("blocks.4")]  # 14 x 14
columns = ("map", "chance", "ideal", "toward_ideal")
metrics = [MembraneActivationPrecision(field.membrane, score=name) for name in columns]

print(f"{'method':10}{'grid':>10}" + "".join(f"{name:>14}" for name in columns))
for method in (GradCAM, LayerCAM):
    with method(backbone.network, layers) as cam:
        stretched = cam(images, targets=None)
        with native_grid(cam):
            native = cam(images, targets=None)
    for maps in (native, stretched):
        scores = [metric(images, maps)[0] for metric in metrics]
        grid = "x".join(str(side) for side in maps.shape[1:])
        print(f"{method.__name__:10}{grid:>10}" + "".join(f"{score:14.3f}" for score in scores))
