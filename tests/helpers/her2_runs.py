"""Small training runs: brown of four strengths, which a small network learns in a few steps."""

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from her2_models.config import load_config

SMALL = [
    "data.split=official",
    "data.allow_ungrouped=true",
    "data.validation_share=0.34",
    "model.backbone=resnet10t",
    "model.weights=none",
    "model.input_size=32",
    "unfreeze.plan=full",
    "augment.stain_jitter=0.1",
    "train.epochs=3",
    "train.batch_size=8",
    "train.accelerator=cpu",
    "train.tensorboard=false",
    "train.learning_rate=0.01",
    "train.patience=0",
    "train.balance=none",
    "train.label_smoothing=0",
]


def draw_images(root, counts=(("train", 12), ("test", 6))):
    rng = np.random.default_rng(0)
    for split, count in counts:
        for score, name in enumerate(("class_0", "class_1+", "class_2+", "class_3+")):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                colour = np.array([230, 225, 220]) - score * np.array([20, 40, 60])
                rgb = colour + rng.normal(0, 6, (40, 40, 3))
                Image.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(
                    root / split / name / f"{split}_{i:03d}.png"
                )
    return root


def config(images, *overrides):
    return load_config("honest_40x", [*SMALL, f"data.path={images}", *overrides])


def weights(run):
    return load_file(run.weights)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)
