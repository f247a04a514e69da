"""Whether the machine has anything else to do: what is measured beside other work says little."""

import time
from pathlib import Path

BUSY = 0.12  # of all cores: what a few idle services use is less
LOOK_SECONDS = 1.0


def cpu_times() -> tuple[int, int]:
    """Ticks of all cores since the machine's start: busy ones, and all."""
    line = Path("/proc/stat").read_text(encoding="utf-8").splitlines()[0]
    return parse(line)


def parse(line: str) -> tuple[int, int]:
    """The same from the line `cpu` of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal."""
    ticks = [int(column) for column in line.split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def busy_share(before: tuple[int, int], after: tuple[int, int]) -> float:
    """The share of all cores that was at work in between."""
    total = after[1] - before[1]
    return (after[0] - before[0]) / total if total > 0 else 0.0


def wait(patience: float) -> float:
    """Waits so long at most for the machine to have nothing to do; answers how busy it was in the end."""
    deadline = time.monotonic() + patience
    while True:
        before = cpu_times()
        time.sleep(LOOK_SECONDS)
        share = busy_share(before, cpu_times())
        if share <= BUSY or time.monotonic() >= deadline:
            return share

