"""Processes that the driver starts, and ends: those and no others."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

STOP_SECONDS = 20
POLL_SECONDS = 0.02


class DriverFailure(Exception):
    """Something that has to work for a measurement does not."""


def free_port() -> int:
    """A loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """One started program with all it starts itself: a process group of its own."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path, folder: Path) -> None:
        self.name = name
        self.log = log
        with open(log, "ab") as errors:
            self.child = subprocess.Popen(
                command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL,
                stdout=errors, stderr=errors, start_new_session=True,
            )  # fmt: skip

    def check(self) -> None:
        """Fails when it has ended."""
        if self.child.poll() is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-1500:]
            raise DriverFailure(f"{self.name} ended with status {self.child.returncode}:\n{tail}")

    def stop(self) -> None:
        """Asks it to end, and ends its group when it does not."""
        if self.child.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self.child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
        # The leader is gone or deaf; what it left behind belongs to its group.
        self._signal(signal.SIGKILL)
        self.child.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.child.pid, number)
        except ProcessLookupError:
            pass

    def computed(self) -> float:
        """Seconds of processor time that it and what it started have used."""
        return sum(_processor_seconds(pid) for pid in (self.child.pid, *_descendants(self.child.pid)))

    def memory(self) -> dict[str, float]:
        """Resident and proportional memory of the whole group, MiB."""
        pids = [self.child.pid, *_descendants(self.child.pid)]
        return {"rss": sum(_rollup(pid, "Rss") for pid in pids), "pss": sum(_rollup(pid, "Pss") for pid in pids)}


class Group:
    """Processes that start and stop together: all of them run inside a `with`, none after it."""

    processes: list[Process]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts them, and waits until they answer."""
        raise NotImplementedError

    def stop(self) -> None:
        while self.processes:
            self.processes.pop().stop()


def until(ready: Callable[[], object], seconds: float, what: str, processes: Sequence[Process] = ()) -> None:
    """Waits until `ready()` is true; fails when it takes too long or one of the processes ends."""
    deadline = time.monotonic() + seconds
    while not ready():
        for process in processes:
            process.check()
        if time.monotonic() > deadline:
            raise DriverFailure(f"{what} did not get ready within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


def _descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *_descendants(child))]


def _processor_seconds(pid: int) -> float:
    """User and system time of a process, and of its children that ended."""
    try:
        columns = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, columns[11:15])) / os.sysconf("SC_CLK_TCK")


def _rollup(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024
