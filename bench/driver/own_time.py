"""What a search took by Taja's own clock, from accepted to finished, and what of that the model took."""

import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from driver.client import Client
from driver.processes import DriverFailure

WAIT = "taja_batch_wait_seconds"
INFERENCE = "taja_inference_seconds"


def samples(text: str) -> dict[str, float]:
    """The values of Prometheus's text format; those that differ by labels alone are added up."""
    found: defaultdict[str, float] = defaultdict(float)
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name.partition("{")[0]] += float(value)
    return found


def metrics(client: Client) -> dict[str, float]:
    """What `/metrics` tells."""
    status, body = client.request("GET", "/metrics")
    if status != 200:
        raise DriverFailure(f"/metrics answers {status}")
    return samples(body.decode())


def model_ms(before: dict[str, float], after: dict[str, float]) -> float:
    """Milliseconds that a text waited for the model and was in it, on average: its wait for a batch, and a batch's run."""

    def mean(name: str) -> float:
        count = after.get(f"{name}_count", 0) - before.get(f"{name}_count", 0)
        return (after.get(f"{name}_sum", 0) - before.get(f"{name}_sum", 0)) / count if count > 0 else 0.0

    return 1e3 * (mean(WAIT) + mean(INFERENCE))


def whole_ms(client: Client, jobs: Iterable[str]) -> list[float]:
    """Milliseconds that each of these jobs took."""
    taken = []
    for job in jobs:
        status, body = client.request("GET", f"/jobs/{job}")
        if status != 200:
            raise DriverFailure(f"job {job} is not told: {status}")
        told = json.loads(body)
        created, finished = (datetime.fromisoformat(told[name]) for name in ("created_at", "finished_at"))
        taken.append(1e3 * (finished - created).total_seconds())
    return taken
