"""Sends tasks: `fill JOBS` leaves them to a worker that starts later, `pickup JOBS` prints how long each waited, ns."""

import sys
import time

from tasks import app, handle

PAUSE_SECONDS = 0.02  # between two tasks, so that the worker is idle when one arrives
ANSWER_SECONDS = 30
TEXT = "x" * 220


def payload():
    return {"tenant": "acme", "sent_ns": time.monotonic_ns(), "text": TEXT}


def fill(jobs):
    with app.producer_or_acquire() as producer:
        for _ in range(jobs):
            handle.apply_async((payload(),), producer=producer)


def pickup(jobs):
    for _ in range(jobs):
        print(handle.delay(payload()).get(timeout=ANSWER_SECONDS)["waited_ns"])
        time.sleep(PAUSE_SECONDS)


{"fill": fill, "pickup": pickup}[sys.argv[1]](int(sys.argv[2]))
