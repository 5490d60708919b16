"""Log a small training run to the team's MLflow: python mlflow-example.py

The address and the credential are in this server's environment already (MLFLOW_TRACKING_URI,
MLFLOW_TRACKING_TOKEN), and the run appears under your own name.
"""

import argparse
import json
import random
import tempfile
from pathlib import Path

import mlflow


def fit(steps: int, rate: float) -> list[tuple[float, float]]:
    """Fit y = a x + noise by gradient descent; the slope and the loss of every step."""
    chance = random.Random(7)
    points = [(x / 20, 3 * x / 20 + chance.gauss(0, 0.1)) for x in range(20)]
    slope, history = 0.0, []
    for _ in range(steps):
        errors = [(slope * x - y, x) for x, y in points]
        slope -= rate * 2 * sum(error * x for error, x in errors) / len(points)
        history.append((slope, sum(error**2 for error, _ in errors) / len(points)))
    return history


def log_run(steps: int, rate: float) -> str:
    """Log parameters, a loss curve and a result file; returns the run's id."""
    with mlflow.start_run(run_name="straight line") as run, tempfile.TemporaryDirectory() as folder:
        mlflow.log_params({"steps": steps, "rate": rate})
        history = fit(steps, rate)
        for step, (_, loss) in enumerate(history):
            mlflow.log_metric("loss", loss, step=step)
        result = Path(folder) / "result.json"
        result.write_text(json.dumps({"slope": history[-1][0]}))
        mlflow.log_artifact(str(result))
    return run.info.run_id


def main() -> None:
    """Log one run to the experiment that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", default="first-steps")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.2)
    arguments = parser.parse_args()
    mlflow.set_experiment(arguments.experiment)
    run_id = log_run(arguments.steps, arguments.rate)
    user = mlflow.get_run(run_id).data.tags["mlflow.user"]
    print(f"run {run_id} of {user} is in experiment {arguments.experiment!r}: open the MLflow tile")


if __name__ == "__main__":
    main()
