"""Celery's side of the benchmark of the queue: one task that does nothing. BROKER_URL and PREFETCH come from outside."""

import os
import time

from celery import Celery

app = Celery("tasks", broker=os.environ["BROKER_URL"], backend=os.environ["BROKER_URL"])
app.conf.update(
    task_acks_late=True,
    worker_prefetch_multiplier=int(os.environ["PREFETCH"]),
    worker_disable_rate_limits=True,
    broker_connection_retry_on_startup=True,
)


@app.task
def handle(payload):
    """Answers how long it waited, nanoseconds of the machine's monotonic clock."""
    return {"waited_ns": time.monotonic_ns() - payload["sent_ns"]}
