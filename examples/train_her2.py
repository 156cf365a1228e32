"""Train a HER2 classifier by hybrid layer unfreezing, and read its numbers.

    python examples/train_her2.py [FOLDER [KEY=VALUE ...]]

FOLDER holds HER2-IHC-40x; other data sets need other values, as in data.split=kfold, which keeps
the slides of class folders whole. Without it, synthetic slides are drawn.
"""

import sys

from her2_models.config import load_config
from her2_models.evaluate import evaluate
from her2_models.train import train

if len(sys.argv) > 1:  # ResNet50 with timm's ImageNet weights; what is of one origin on one side
    config = load_config("honest_40x", [f"data.path={sys.argv[1]}", *sys.argv[2:]])
else:  # two small epochs, to see it work
    config = load_config(
        "demo",
        [
            "data.synthetic.slides={train: 2, val: 1, test: 1}",
            "model.input_size=128",
            "train.epochs=2",
        ],
    )

if __name__ == "__main__":  # slides are drawn by several processes
    run = train(config, "runs/example")  # a second call goes on where the first stopped
    result = evaluate(run)
    print("\n".join(result.caveats.lines()))
    for quantity in ("accuracy", "quadratic_kappa", "macro_auc"):
        row = result.metrics.row(quantity)
        print(f"{quantity}: {row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]")
    if result.caveats.caution:  # what synthetic slides are worth
        print(result.caveats.caution)
    print(f"tables and figures: {run.folder / 'test'}")
