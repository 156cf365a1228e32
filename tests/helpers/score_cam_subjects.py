"""Networks that Score-CAM is tested on, and the maps that each library makes of them."""

import numpy as np
import pytest
import pytorch_grad_cam
import timm
import torch
from pytorch_grad_cam import score_cam as library
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

CLASSES = 4
VARIANTS = ("pytorch-grad-cam", "torchcam", "official")


class Residual(nn.Module):
    """A branch whose first convolution is used twice, so that its batch norm must stay."""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))

    def forward(self, x):
        once = self.first(x)
        branch = self.norms[1](self.second(torch.relu(self.norms[0](once))))
        return nn.functional.gelu(once + branch)


def small_network():
    torch.manual_seed(3)
    stem = nn.Sequential(nn.Conv2d(3, 12, 5, stride=4, padding=2), nn.BatchNorm2d(12), nn.ReLU())
    head = [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, CLASSES)]
    return decided(nn.Sequential(stem, Residual(12), *head), head[-1])


def decided(network, head):
    """Let scores vary between masks: weights that are all alike would hide wrong ones."""
    head.weight.data *= 30
    return with_statistics(network)


def with_statistics(network):
    """Give batch norms means, variances and affine parts that are not those of a new network."""
    generator = torch.Generator().manual_seed(5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator))
            for tensor in (module.running_var, module.weight.data):
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
    return network.eval()


def image(count=1, height=24, width=24, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def tokens(side):
    return lambda x: x[:, 1:].transpose(1, 2).unflatten(2, (side, side))


def little_densenet(**kwargs):
    return timm.models.densenet.DenseNet(8, (2, 2), **kwargs)


NETWORKS = {
    "resnet18": lambda m: (m.layer1, None),
    "densenet": lambda m: (m.features, None),
    "convnext_atto": lambda m: (m.stages[1], None),
    "tf_efficientnet_lite0": lambda m: (m.blocks[3], None),
    "vit_tiny_patch16_224": lambda m: (m.blocks[-1].norm1, tokens(4)),
}
SETTINGS = {"vit_tiny_patch16_224": {"img_size": 64, "depth": 3}}


def timm_network(name):
    """Return a network with its target layer and the transform that goes with it."""
    torch.manual_seed(0)
    if name == "densenet":
        network = little_densenet(num_classes=CLASSES)
    else:
        network = timm.create_model(name, num_classes=CLASSES, **SETTINGS.get(name, {}))
    return decided(network, network.get_classifier()), *NETWORKS[name](network)


def library_map(network, layer, inputs, targets, transform=None, **kwargs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library.tqdm, "tqdm", lambda batches: batches)
        with pytorch_grad_cam.ScoreCAM(network, [layer], transform) as cam:
            cam.batch_size = 64
            return cam(inputs, targets, **kwargs)


def torchcam_map(network, layer, inputs, classes, transform=None):
    torchcam = pytest.importorskip("torchcam.methods")
    with torchcam.ScoreCAM(network, layer, batch_size=64, reshape_transform=transform) as cam:
        with torch.no_grad():
            scores = network(inputs)
        return cam(classes, scores, normalized=False)[0].numpy()


def official_map(network, layer, inputs, category, transform=None):
    """Follow the publication's code for one image, channel by channel."""
    kept = []
    with layer.register_forward_hook(lambda *a: kept.append(a[-1])), torch.no_grad():
        network(inputs)
    activations = kept[0] if transform is None else transform(kept[0])
    total = torch.zeros(1, 1, *inputs.shape[2:])
    for k in range(activations.shape[1]):
        up = nn.functional.interpolate(
            activations[:, [k]], inputs.shape[2:], mode="bilinear", align_corners=False
        )
        if up.max() == up.min():
            continue
        mask = (up - up.min()) / (up.max() - up.min())
        with torch.no_grad():
            score = torch.softmax(network(inputs * mask), 1)[0, category]
        total += score * up
    total = torch.relu(total)
    return ((total - total.min()) / (total.max() - total.min()))[:, 0].numpy()


def chosen(classes):
    return [ClassifierOutputTarget(one) for one in classes]


def close(found, expected, tolerance=1e-5):
    assert found.shape == expected.shape
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max(), rtol=0)


def masked(cam, network, inputs):
    """Return what the network was shown."""
    shown = []
    with network.register_forward_pre_hook(lambda _, given: shown.append(given[0].clone())):
        cam(inputs)
    return torch.cat(shown[1:])
