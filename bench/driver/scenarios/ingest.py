"""A queue of pictures taken in: HTTP, queue, worker, model, image host, database. Every round begins with nothing stored."""

import time

from driver import pictures
from driver.bench import Bench
from driver.report import Row
from driver.scenarios.image_search import row_of
from driver.statistics import Figure

PER_PRODUCT = 4
MODELS = {"b32": "ViT-B/32", "l14": "ViT-L/14"}


def run(bench: Bench) -> list[Row]:
    return [row for model in (("b32",) if bench.quick else MODELS) for row in _measure(bench, model)]


def _measure(bench: Bench, model: str) -> list[Row]:
    count = bench.pick(200, 40)
    sent = pictures.provide(bench.place, count)
    rounds: dict[str, list[float]] = {name: [] for name in bench.contenders}
    computed: dict[str, list[float]] = {name: [] for name in bench.contenders}
    with bench.backends() as backends:
        for number, name in bench.in_turn(bench.contenders):
            with bench.service(name, model, backends, f"ingest-{name}-{number}") as service:
                client = service.client()
                # Whoever loads at the first job has loaded by then.
                client.wait("search", client.search_text("warm up"))
                before = service.computed()
                rounds[name].append(count / _take_in(client, sent))
                computed[name].append((service.computed() - before) * 1e3 / count)
            bench.say(f"ingest, {model}, {name}: {rounds[name][-1]:.2f} pictures/s")
    figures = {name: Figure(tuple(values)) for name, values in rounds.items()}
    load = f"{count} pictures of {len(sent[0]) / 1000:.0f} kB, {PER_PRODUCT} a product, all queued at once"
    scenario = f"taking in, {MODELS[model]}"
    rows = [Row(scenario, "pictures per second", "/s", False, figures, load)]
    return [*rows, row_of(scenario, "processor time a picture", computed, load)]


def _take_in(client, sent: list[bytes]) -> float:
    started = time.monotonic()
    jobs = [
        client.add_product(f"product {place}", sent[place : place + PER_PRODUCT])
        for place in range(0, len(sent), PER_PRODUCT)
    ]
    added = sum(client.wait("add_product", job, seconds=900)["added"] for job in jobs)
    took = time.monotonic() - started
    assert added == len(sent), f"{added} of {len(sent)} pictures were added"
    return took
