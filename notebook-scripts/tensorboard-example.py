"""Write the curves of a small training run to ~/runs, for the TensorBoard tile of the launcher.

Needs neither PyTorch nor TensorFlow: TensorBoard's own writer makes the event files. With
PyTorch at hand, torch.utils.tensorboard.SummaryWriter(log_dir=...) writes the same ones.
"""

import argparse
import math
import random
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter


def scalar(tag: str, value: float, step: int) -> Event:
    """One point of one curve."""
    summary = Summary(value=[Summary.Value(tag=tag, simple_value=value)])
    return Event(wall_time=time.time(), step=step, summary=summary)


def train(directory: Path, steps: int, seed: int) -> None:
    """Fit y = a x by gradient descent and log loss and slope at each step."""
    chance = random.Random(seed)
    points = [(x / 20, 3 * x / 20 + chance.gauss(0, 0.1)) for x in range(20)]
    slope, rate = chance.uniform(-2, 2), 0.2
    writer = EventFileWriter(str(directory))
    for step in range(steps):
        errors = [(slope * x - y, x) for x, y in points]
        slope -= rate * 2 * sum(error * x for error, x in errors) / len(points)
        loss = math.fsum(error**2 for error, _ in errors) / len(points)
        writer.add_event(scalar("loss", loss, step))
        writer.add_event(scalar("slope", slope, step))
    writer.close()
    print(f"{directory}: slope {slope:.3f} after {steps} steps, loss {loss:.4f}")


def main() -> None:
    """Two runs with different starting points, so that there is something to compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--logdir", type=Path, default=Path.home() / "runs")
    parser.add_argument("--steps", type=int, default=60)
    arguments = parser.parse_args()
    for seed in (1, 2):
        train(arguments.logdir / f"example-{seed}", arguments.steps, seed)


if __name__ == "__main__":
    main()
