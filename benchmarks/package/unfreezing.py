"""Hybrid against full fine-tuning, ResNet50: time a step, memory, parameters that learn.

Weights are random: neither time nor memory depends on them. Memory is the highest resident size of
a process of its own after three steps, less that before the first one.
"""

import argparse
import resource
from collections.abc import Callable

import torch

from benchmarks.harness.processes import run_apart
from benchmarks.harness.publish import publish
from benchmarks.harness.rows import Goal, Row
from benchmarks.harness.timing import clock, in_turns, ratios
from her2_models.config import ModelConfig, UnfreezeConfig
from her2_models.models import create_network, make_plan

_NAME = "benchmarks.package.unfreezing"
_BACKBONE, _SIDE, _BATCH = "resnet50", 224, 32
_PLANS = ("hybrid", "full")
_ROUNDS, _STEPS_IN_MEMORY = 5, 3


def step_of(plan_name: str) -> tuple[Callable[[], object], int]:
    """Return a function that makes one step of training, and how many parameters learn."""
    torch.manual_seed(0)
    network = create_network(ModelConfig(backbone=_BACKBONE, weights="none"))
    network = network.to(memory_format=torch.channels_last)
    plan = make_plan(network, UnfreezeConfig(plan=plan_name))
    plan.apply(network, 0)
    network.train()
    plan.eval_frozen(network)
    optimizer = torch.optim.AdamW(plan.parameter_groups(network, 1e-4, 1e-4))
    images = torch.randn(_BATCH, 3, _SIDE, _SIDE).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(_BATCH) % 4

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()

    return step, plan.table(network)[-1]["trainable"]


def memory_of(plan_name: str) -> float:
    """Return the megabytes that steps take, measured in another process."""
    return float(run_apart(_NAME, "--memory-of", plan_name)) / 1e3


def print_memory(plan_name: str) -> None:
    """Print the kilobytes that the resident size grew by at most."""
    step, _ = step_of(plan_name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(_STEPS_IN_MEMORY):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def measure() -> list[Row]:
    """Weigh each plan in its own process, and time them in turns."""
    # First: a process begins with the highest resident size of the one that starts it.
    memory = {name: memory_of(name) for name in _PLANS}
    steps = {name: step_of(name) for name in _PLANS}
    seconds = in_turns({name: clock(step) for name, (step, _) in steps.items()}, _ROUNDS)
    learning = {name: count for name, (_, count) in steps.items()}
    rows = []
    for name in _PLANS:
        where = f"{_BACKBONE}, {_SIDE} px, batch {_BATCH}, {name}"
        rows += [
            Row(f"{where}: time a step", "s", seconds[name], seconds={name: seconds[name]}),
            Row("  peak memory of a step", "MB", [memory[name]]),
            Row("  parameters that learn", "millions", [learning[name] / 1e6]),
        ]
    return [
        *rows,
        Row("hybrid / full: time", "x", ratios(*(seconds[n] for n in _PLANS)), Goal("<=", 0.65)),
        Row("hybrid / full: memory", "x", [memory["hybrid"] / memory["full"]], Goal("<=", 0.6)),
        Row("hybrid / full: parameters", "x", [learning["hybrid"] / learning["full"]]),
    ]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(f"python -m {_NAME}", description=__doc__)
    parser.add_argument("--memory-of", choices=_PLANS, help="print a plan's kilobytes, no more")
    args = parser.parse_args()
    if args.memory_of:
        print_memory(args.memory_of)
    else:
        publish(measure(), "unfreezing", ("torch", "timm"), threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
