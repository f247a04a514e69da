"""From the start of the processes to the first answered search, and what the idle processes then hold in memory."""

import time

from driver import pictures
from driver.bench import Bench
from driver.processes import DriverFailure
from driver.report import Row
from driver.statistics import Figure

MODEL = "l14"
IDLE_SECONDS = 3
ANSWER_SECONDS = 120


def run(bench: Bench) -> list[Row]:
    image = pictures.provide(bench.place, 1)[0]
    starts: dict[str, list[float]] = {name: [] for name in bench.contenders}
    resident: dict[str, list[float]] = {name: [] for name in bench.contenders}
    proportional: dict[str, list[float]] = {name: [] for name in bench.contenders}
    with bench.backends() as backends:
        for _, name in bench.in_turn(bench.contenders):
            service = bench.service(name, MODEL, backends, f"starts-{name}")
            try:
                starts[name].append(_first_answer(service))
                client = service.client()
                client.wait("search", client.search_image(image))
                time.sleep(IDLE_SECONDS)
                memory = service.memory()
            finally:
                service.stop()
            resident[name].append(memory["rss"])
            proportional[name].append(memory["pss"])
            bench.say(f"start, {name}: {starts[name][-1]:.2f} s, then {memory['rss']:.0f} MiB")
        servers = ", ".join(f"{name} {value:.0f}" for name, value in backends.memory().items())
    rows = [("start, ViT-L/14", "to the first answered search", "s", starts, "files in the page cache, servers running")]
    rows.append(("memory, ViT-L/14", "resident, after one search of each kind", "MiB", resident, f"servers besides: {servers} MiB"))
    rows.append(("memory, ViT-L/14", "proportional (shared pages once)", "MiB", proportional, ""))
    return [
        Row(scenario, measure, unit, True, {name: Figure(tuple(values)) for name, values in found.items()}, load)
        for scenario, measure, unit, found, load in rows
    ]


def _first_answer(service) -> float:
    """Seconds from the start to the first finished search by words."""
    started = time.monotonic()
    service.launch()
    while True:
        client = service.client()
        try:
            client.wait("search", client.search_text("a red shoe"), ANSWER_SECONDS)
            return time.monotonic() - started
        except (OSError, DriverFailure):
            # Nobody listens yet, or it listens and has no model yet.
            for process in service.processes:
                process.check()
            if time.monotonic() - started > ANSWER_SECONDS:
                raise
            time.sleep(0.01)
        finally:
            client.close()
