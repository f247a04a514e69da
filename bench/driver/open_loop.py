"""Requests at a fixed rate, whether or not earlier ones were answered; each is timed from the moment it was due."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Outcome:
    """Seconds from due to answered, and what failed."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    late: float = 0.0  # the most that a request was sent after it was due


def run(rate: float, seconds: float, senders: int, make: Callable[[], Callable[[int], None]]) -> Outcome:
    """Sends `rate` requests a second by so many threads; `make` gives each thread what sends the request of a number."""
    outcome, lock = Outcome(), threading.Lock()
    total = int(rate * seconds)
    numbers = iter(range(total))
    start = time.monotonic() + 0.2

    def work() -> None:
        send = make()
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            due = start + number / rate
            time.sleep(max(0.0, due - time.monotonic()))
            late = time.monotonic() - due
            try:
                send(number)
                failed = None
            except Exception as error:
                failed = f"{type(error).__name__}: {error}"
            took = time.monotonic() - due
            with lock:
                outcome.late = max(outcome.late, late)
                if failed:
                    outcome.errors.append(failed)
                else:
                    outcome.seconds.append(took)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(senders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome
