"""One search by a picture at a time: from sending the JPEG to the finished job."""

import time

from driver import pictures
from driver.bench import Bench
from driver.report import Row
from driver.statistics import Figure, median

PRODUCTS = 4
MODELS = {"b32": "ViT-B/32", "l14": "ViT-L/14"}
WARM_UPS = 2


def run(bench: Bench) -> list[Row]:
    return [row for model in MODELS for row in _measure(bench, model)]


def _measure(bench: Bench, model: str) -> list[Row]:
    searches = bench.pick(15, 4) if model == "b32" else bench.pick(7, 3)
    # A picture that was embedded before is remembered: every search is by a new one.
    sent = pictures.provide(bench.place, PRODUCTS + WARM_UPS + searches * bench.rounds)
    products, warm, fresh = sent[:PRODUCTS], sent[PRODUCTS : PRODUCTS + WARM_UPS], sent[PRODUCTS + WARM_UPS :]
    rounds: dict[str, list[float]] = {name: [] for name in bench.contenders}
    computed: dict[str, list[float]] = {name: [] for name in bench.contenders}
    with bench.backends() as backends, bench.running(model, backends) as running:
        clients = {name: service.client() for name, service in running.items()}
        for client in clients.values():
            for number, image in enumerate(products):
                client.wait("add_product", client.add_product(f"product {number}", [image]))
            for image in warm:
                client.wait("search", client.search_image(image))
        for number, name in bench.in_turn(bench.contenders):
            took, before = [], running[name].computed()
            for image in fresh[number * searches : (number + 1) * searches]:
                started = time.monotonic()
                found = clients[name].wait("search", clients[name].search_image(image))
                took.append((time.monotonic() - started) * 1e3)
                assert found["matches"], "a search by a picture finds the nearest"
            rounds[name].append(median(took))
            computed[name].append((running[name].computed() - before) * 1e3 / searches)
            bench.say(f"search by picture, {model}, {name}: {rounds[name][-1]:.1f} ms, {computed[name][-1]:.0f} ms of computing")
    return [
        row_of(f"search by picture, {MODELS[model]}", measure, values, f"one at a time, {searches} a round")
        for measure, values in (("JPEG to finished job, p50", rounds), ("processor time a search", computed))
    ]


def row_of(scenario: str, measure: str, values: dict[str, list[float]], load: str) -> Row:
    """A row of milliseconds."""
    return Row(scenario, measure, "ms", True, {name: Figure(tuple(one)) for name, one in values.items()}, load)
