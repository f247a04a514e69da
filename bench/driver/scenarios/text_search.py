"""Search by words among many products, with a model that costs next to nothing: what is left is the service's own time."""

import contextlib
import itertools
import time

from driver import filled, open_loop
from driver.bench import Bench
from driver.report import Row
from driver.services import Service
from driver.statistics import Figure, median, percentile
from service.words import query_of
from setup.weights import NARROW

RATE = 50
SENDERS = 48
CONTENDERS = ("taja-shared", "python", "python-memory")
PYTHON = {"python": "Python reads every vector for it", "python-memory": "Python keeps the vectors in memory"}
MODEL = "a model that costs next to nothing, 768 dimensions"
EMBEDDED = "not measured: no way to bring vectors in"
OPEN_LOOP = "open loop, from the moment each was due"
# Searches run beside each other, so one may take longer than the time between two; where it takes so much longer, the
# rate is out of reach, and trying would only pile up minutes of work.
HOPELESS = 4


def run(bench: Bench) -> list[Row]:
    products = bench.products or bench.pick(100_000, 2_000)
    names = tuple(name for name in CONTENDERS if name.removesuffix("-memory") in bench.contenders)
    with bench.backends(filled.provide(bench, products)) as backends, contextlib.ExitStack() as stack:
        services: dict[str, Service] = {}
        for name in names:
            database = filled.TAJA_DATABASE if name == "taja-shared" else filled.PYTHON_DATABASE
            services[name] = stack.enter_context(bench.service(name, NARROW, backends, database))
            _one(services[name], 0)
        alone = _alone(bench, names, services)
        able = tuple(name for name in names if median(alone[name]) / 1e3 * RATE < HOPELESS)
        outcomes = _loaded(bench, able, services)
    return _rows(f"search by words, {products:,} products", alone, outcomes)


def _alone(bench: Bench, names: tuple[str, ...], services: dict[str, Service]) -> dict[str, list[float]]:
    """Milliseconds of a search when there is no other, the median of each round."""
    numbers = itertools.count(1)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for _, name in bench.in_turn(names):
        count = bench.pick(3, 2) if name == "python" else bench.pick(100, 20)
        client = services[name].client()
        taken[name].append(median([_one(services[name], next(numbers), client) for _ in range(count)]))
        bench.say(f"search by words, {name}: {taken[name][-1]:.1f} ms")
    return taken


def _loaded(bench: Bench, able: tuple[str, ...], services: dict[str, Service]) -> dict[str, list[open_loop.Outcome]]:
    """What became of searches at the rate, for each that can keep up with it."""
    outcomes: dict[str, list[open_loop.Outcome]] = {name: [] for name in able}
    if able:
        for number, name in bench.in_turn(able):
            outcomes[name].append(_at_rate(bench, services[name], 100_000 * (number + 1)))
            bench.say(f"search by words, {RATE}/s, {name}: {_line(outcomes[name][-1])}")
    return outcomes


def _rows(scenario: str, alone: dict[str, list[float]], outcomes: dict[str, list[open_loop.Outcome]]) -> list[Row]:
    rows = []
    for python, kind in PYTHON.items():
        columns = {"taja-shared": "taja-shared", python: "python"}
        row = Row(scenario, f"one at a time, p50; {kind}", "ms", True, load=MODEL)
        row.figures = {columns[name]: Figure(tuple(alone[name])) for name in columns if name in alone}
        rows.append(row)
        row.notes["taja"] = EMBEDDED
        for share in (0.5, 0.99):
            row = Row(scenario, f"{RATE} searches/s, p{100 * share:.0f}; {kind}", "ms", True, load=OPEN_LOOP)
            row.notes["taja"] = EMBEDDED
            for name, column in columns.items():
                _fill_in(row, column, share, alone.get(name), outcomes.get(name))
            rows.append(row)
    return rows


def _fill_in(row: Row, column: str, share: float, alone: list[float] | None, outcomes: list[open_loop.Outcome] | None) -> None:
    if outcomes and all(one.seconds for one in outcomes):
        row.figures[column] = Figure(tuple(1e3 * percentile(one.seconds, share) for one in outcomes))
        if failed := sum(len(one.errors) for one in outcomes):
            row.notes[column] = f"{failed} failed"
    elif outcomes:
        row.notes[column] = "nothing was answered"
    elif alone:
        row.notes[column] = f"out of reach: {1e3 / median(alone):.2g} searches/s one after the other"


def _one(service: Service, number: int, client=None) -> float:
    """Milliseconds of one search."""
    client = client or service.client()
    started = time.monotonic()
    found = client.wait("search", client.search_text(query_of(number)))
    assert found["matches"], "a search by words finds something"
    return (time.monotonic() - started) * 1e3


def _at_rate(bench: Bench, service: Service, first: int) -> open_loop.Outcome:
    def make():
        client = service.client()

        def send(number: int) -> None:
            client.wait("search", client.search_text(f"{query_of(first + number)} {number}"))

        return send

    return open_loop.run(RATE, bench.pick(20, 5), SENDERS, make)


def _line(outcome: open_loop.Outcome) -> str:
    if not outcome.seconds:
        return f"nothing answered, {len(outcome.errors)} failed: {outcome.errors[:1]}"
    p50, p99 = (1e3 * percentile(outcome.seconds, share) for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(outcome.errors)} failed, sent at most {1e3 * outcome.late:.1f} ms late"
