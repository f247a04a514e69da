"""Search by words among many products, with a model that costs next to nothing: what is left is the service's own time."""

import contextlib
import itertools
import time
from dataclasses import dataclass, field

from driver import filled, filled_folder, open_loop, own_time
from driver.bench import Bench
from driver.client import Client
from driver.report import Row
from driver.services import Service
from driver.statistics import Figure, median, percentile
from service.words import query_of
from setup.weights import NARROW

RATE = 50
SENDERS = 48
CONTENDERS = ("taja", "taja-shared", "python", "python-memory")
TAJA = ("taja", "taja-shared")
PYTHON = {"python": "Python reads every vector for it", "python-memory": "Python keeps the vectors in memory"}
MODEL = "a model that costs next to nothing, 768 dimensions"
OPEN_LOOP = "open loop, from the moment each was due"
OWN = "by Taja's own clock, without the model"
NOT_FILLED = f"not measured: `{filled_folder.BUILD}`"
# Searches run beside each other, so one may take longer than the time between two; where it takes so much longer, the
# rate is out of reach, and trying would only pile up minutes of work.
HOPELESS = 4


@dataclass
class Searches:
    """What one contender's searches took, milliseconds."""

    whole: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)  # by Taja's clock, without the model; nothing of others


@dataclass
class Measured:
    """One contender, a value for each round."""

    alone: list[Searches] = field(default_factory=list)
    outcomes: list[open_loop.Outcome] = field(default_factory=list)
    loaded: list[Searches] = field(default_factory=list)

    def alone_ms(self) -> float:
        return median([median(one.whole) for one in self.alone])


def run(bench: Bench) -> list[Row]:
    products = bench.products or bench.pick(100_000, 2_000)
    names = tuple(name for name in CONTENDERS if name.removesuffix("-memory") in bench.contenders)
    if not filled_folder.available(bench, products):
        names = tuple(name for name in names if name != "taja")
    with contextlib.ExitStack() as stack:
        services = _started(bench, names, products, stack)
        measured = {name: Measured() for name in names}
        _alone(bench, services, measured)
        _loaded(bench, services, measured)
    return _rows(f"search by words, {products:,} products", measured)


def _started(bench: Bench, names: tuple[str, ...], products: int, stack: contextlib.ExitStack) -> dict[str, Service]:
    """The services, each with its products, and asked once."""
    services = {}
    backends = None
    if any(name != "taja" for name in names):
        backends = stack.enter_context(bench.backends(filled.provide(bench, products)))
    for name in names:
        database = filled.TAJA_DATABASE if name == "taja-shared" else filled.PYTHON_DATABASE
        service = bench.service(name, NARROW, backends, database)
        if name == "taja":
            filled_folder.put(bench, products, service)
        services[name] = stack.enter_context(service)
        _one(service.client(), 0)
    return services


def _alone(bench: Bench, services: dict[str, Service], measured: dict[str, Measured]) -> None:
    """Searches when there is no other."""
    numbers = itertools.count(1)
    for _, name in bench.in_turn(tuple(services)):
        count = bench.pick(3, 2) if name == "python" else bench.pick(100, 20)
        client = services[name].client()
        with _watched(name, client) as (searches, jobs):
            for number in itertools.islice(numbers, count):
                started = time.monotonic()
                jobs.append(_one(client, number))
                searches.whole.append(1e3 * (time.monotonic() - started))
        measured[name].alone.append(searches)
        bench.say(f"search by words, {name}: {median(searches.whole):.1f} ms{_own_line(searches)}")


def _loaded(bench: Bench, services: dict[str, Service], measured: dict[str, Measured]) -> None:
    """Searches at the rate, for each that can keep up with it."""
    able = tuple(name for name in services if measured[name].alone_ms() / 1e3 * RATE < HOPELESS)
    if not able:
        return
    for number, name in bench.in_turn(able):
        with _watched(name, services[name].client()) as (searches, jobs):
            outcome = _at_rate(bench, services[name], 100_000 * (number + 1), jobs)
        measured[name].outcomes.append(outcome)
        measured[name].loaded.append(searches)
        bench.say(f"search by words, {RATE}/s, {name}: {_line(outcome)}{_own_line(searches)}")


@contextlib.contextmanager
def _watched(name: str, client: Client):
    """Searches whose jobs are noted; afterwards Taja is asked what it took for them."""
    searches: Searches = Searches()
    jobs: list[str] = []
    before = own_time.metrics(client) if name in TAJA else {}
    yield searches, jobs
    if name in TAJA:
        model = own_time.model_ms(before, own_time.metrics(client))
        searches.own = [whole - model for whole in own_time.whole_ms(client, jobs)]


def _rows(scenario: str, measured: dict[str, Measured]) -> list[Row]:
    rows = []
    for python, kind in PYTHON.items():
        columns = {"taja": "taja", "taja-shared": "taja-shared", python: "python"}
        row = Row(scenario, f"one at a time, p50; {kind}", "ms", True, load=MODEL)
        for name, column in columns.items():
            if name in measured:
                row.figures[column] = Figure(tuple(median(one.whole) for one in measured[name].alone))
        rows.append(row)
        for share in (0.5, 0.99):
            row = Row(scenario, f"{RATE} searches/s, p{100 * share:.0f}; {kind}", "ms", True, load=OPEN_LOOP)
            for name, column in columns.items():
                if name in measured:
                    _fill_in(row, column, share, measured[name])
            rows.append(row)
    rows.extend(_own_rows(scenario, measured))
    if "taja" not in measured:
        for row in rows:
            row.notes["taja"] = NOT_FILLED
    return rows


def _own_rows(scenario: str, measured: dict[str, Measured]) -> list[Row]:
    """The time that is Taja's own."""
    ours = {name: measured[name] for name in TAJA if name in measured}
    row = Row(scenario, "one at a time, own time, p50", "ms", True, load=OWN)
    row.figures = {name: Figure(tuple(median(one.own) for one in found.alone)) for name, found in ours.items()}
    rows = [row]
    for share in (0.5, 0.99):
        row = Row(scenario, f"{RATE} searches/s, own time, p{100 * share:.0f}", "ms", True, load=OWN)
        for name, found in ours.items():
            if found.loaded and all(one.own for one in found.loaded):
                row.figures[name] = Figure(tuple(percentile(one.own, share) for one in found.loaded))
        rows.append(row)
    return [row for row in rows if row.figures]


def _fill_in(row: Row, column: str, share: float, measured: Measured) -> None:
    outcomes = measured.outcomes
    if outcomes and all(one.seconds for one in outcomes):
        row.figures[column] = Figure(tuple(1e3 * percentile(one.seconds, share) for one in outcomes))
        if failed := sum(len(one.errors) for one in outcomes):
            row.notes[column] = f"{failed} failed"
    elif outcomes:
        row.notes[column] = "nothing was answered"
    else:
        row.notes[column] = f"out of reach: {1e3 / measured.alone_ms():.2g} searches/s one after the other"


def _one(client: Client, number: int) -> str:
    """One search; its job."""
    job = client.search_text(query_of(number))
    assert client.wait("search", job)["matches"], "a search by words finds something"
    return job


def _at_rate(bench: Bench, service: Service, first: int, jobs: list[str]) -> open_loop.Outcome:
    def make():
        client = service.client()

        def send(number: int) -> None:
            job = client.search_text(f"{query_of(first + number)} {number}")
            client.wait("search", job)
            jobs.append(job)

        return send

    return open_loop.run(RATE, bench.pick(20, 5), SENDERS, make)


def _line(outcome: open_loop.Outcome) -> str:
    if not outcome.seconds:
        return f"nothing answered, {len(outcome.errors)} failed: {outcome.errors[:1]}"
    p50, p99 = (1e3 * percentile(outcome.seconds, share) for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, {len(outcome.errors)} failed, sent at most {1e3 * outcome.late:.1f} ms late"


def _own_line(searches: Searches) -> str:
    if not searches.own:
        return ""
    p50, p99 = (percentile(searches.own, share) for share in (0.5, 0.99))
    return f"; of its own p50 {p50:.1f} ms, p99 {p99:.1f} ms"
