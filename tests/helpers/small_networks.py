"""Small networks whose features are no maps with channels second, and Grad-CAM by hand."""

import timm
import torch
import torchvision

CLASSES = 4


def small_swin():
    torch.manual_seed(0)
    return timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=CLASSES,
        img_size=64,
        window_size=4,
        embed_dim=16,
        depths=(1, 2),
        num_heads=(1, 2),
    ).eval()


def small_vit(name="vit_tiny_patch16_224", **options):
    torch.manual_seed(0)
    options = {"img_size": 64, "embed_dim": 24, "num_heads": 2, "depth": 2, **options}
    return timm.create_model(name, num_classes=CLASSES, **options).eval()


def of_timm(name, **options):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=CLASSES, **options).eval()


def small_sam():
    return of_timm(
        "samvit_base_patch16_224", img_size=64, embed_dim=24, depth=2, num_heads=2, neck_chans=16
    )


def small_hiera():
    return of_timm(
        "hiera_tiny_224", img_size=64, embed_dim=8, stages=(1, 2, 1, 1), num_heads=1,
        mask_unit_size=(4, 4),
    )  # fmt: skip


def small_torchvision_swin():
    torch.manual_seed(0)
    return torchvision.models.SwinTransformer(
        [4, 4], 16, [1, 1], [1, 2], [4, 4], num_classes=CLASSES
    ).eval()


def small_torchvision_vit():
    torch.manual_seed(0)
    network = torchvision.models.VisionTransformer(64, 16, 2, 2, 24, 48, num_classes=CLASSES)
    torch.nn.init.normal_(network.heads.head.weight)  # 0 to begin with
    return network.eval()


def grad_cam_by_hand(network, layer, inputs, target, transform):
    """Return Grad-CAM before its ReLU, by autograd and the definition."""
    kept = []
    with layer.register_forward_hook(lambda *a: kept.append(a[-1])):
        scores = network(inputs)
    (gradients,) = torch.autograd.grad(scores[:, target].sum(), kept[0])
    maps, slopes = transform(kept[0]), transform(gradients)
    return (slopes.mean((2, 3), keepdim=True) * maps).sum(1).detach()
