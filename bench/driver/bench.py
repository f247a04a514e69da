"""What scenarios are given: how much to measure, whom, and a way to start them."""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from driver import quiet, services
from driver.backends import Backends
from driver.place import Place


@dataclass
class Bench:
    """One run. `quick` asks for small numbers."""

    place: Place
    quick: bool
    rounds: int
    contenders: tuple[str, ...]
    wrk: list[str] | None = None
    products: int = 0
    patience: float = 30
    busy: list[float] = field(default_factory=list)  # how busy the machine was before each measurement
    _folders: int = 0

    def say(self, text: str) -> None:
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    def pick(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def folder(self, purpose: str) -> Path:
        """A new folder of this run."""
        self._folders += 1
        return self.place.scratch / f"{self._folders:03}-{purpose}"

    def backends(self, filled: Path | None = None) -> Backends:
        return Backends(self.place, self.folder("servers"), filled)

    def service(self, name: str, model: str, backends: Backends | None = None, database: str = "bench") -> services.Service:
        service = services.KINDS[name](self.place, self.folder(name), model, backends, database)
        service.prepare()
        return service

    def in_turn(self, names: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        """Rounds, each with every contender once; who is first changes. Each waits for a quiet machine."""
        for number in range(self.rounds):
            shift = number % len(names)
            for name in names[shift:] + names[:shift]:
                self.settle()
                yield number, name

    def settle(self) -> None:
        """Waits until the machine has nothing else to do, as long as patience lasts."""
        self.busy.append(quiet.wait(self.patience))

    @contextlib.contextmanager
    def running(self, model: str, backends: Backends) -> Iterator[dict[str, services.Service]]:
        """All contenders at once: whoever is not asked has nothing to do."""
        with contextlib.ExitStack() as stack:
            yield {
                name: stack.enter_context(self.service(name, model, backends, f"{name}-{model}"))
                for name in self.contenders
            }
