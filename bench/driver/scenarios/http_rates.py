"""Requests per second and latency by wrk, at the same number of connections."""

import re
import subprocess
from pathlib import Path

from driver.bench import Bench
from driver.plots import slug
from driver.processes import DriverFailure
from driver.report import Row
from driver.services import Service
from driver.statistics import Figure
from setup.weights import NARROW

CONNECTIONS = 8
THREADS = 1  # the services need the other core
SCRIPT = """\
wrk.method = "{method}"
{headers}
local number = {first}
request = function()
  number = number + 1
  return wrk.format(nil, "{path}", nil, {body})
end
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %.0f %.0f\\n", summary.requests, summary.duration,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""
UNITS = {"second": 1_000_000}


def parse(printed: str) -> tuple[float, float, float, int]:
    """Requests per second, p50 and p99 in milliseconds, failures, from what the script prints."""
    found = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", printed, re.MULTILINE)
    if not found:
        raise DriverFailure(f"wrk printed no result: {printed[-300:]}")
    requests, duration, failed, p50, p99 = map(int, found.groups())
    return requests / (duration / UNITS["second"]), p50 / 1e3, p99 / 1e3, failed


def run(bench: Bench) -> list[Row]:
    if not bench.wrk:
        bench.say("HTTP: no wrk here, not measured")
        return []
    targets = {"GET /health": ("GET", "/health", "nil"), "GET /search/job/{id}": ("GET", "", "nil")}
    targets["POST /search"] = ("POST", "/search", '"query=red+shoe+" .. number')
    rows = []
    with bench.backends() as backends:
        for title, target in targets.items():
            rows.extend(_measure(bench, backends, title, target))
    return rows


def _measure(bench: Bench, backends, title: str, target: tuple[str, str, str]) -> list[Row]:
    load = f"{CONNECTIONS} connections, {bench.pick(5, 2)} s"
    rate = Row(f"HTTP, {title}", "requests per second", "/s", False, load=load)
    tail = Row(f"HTTP, {title}", "latency, p99", "ms", True, load=load)
    found: dict[str, list[tuple[float, float, float, int]]] = {name: [] for name in bench.contenders}
    for number, name in bench.in_turn(bench.contenders):
        # Begun anew each time: searches that were accepted go on in the background.
        with bench.service(name, NARROW, backends, f"http-{name}-{slug(title)}-{number}") as service:
            found[name].append(_wrk(bench, service, target, number))
        bench.say(f"{title}, {name}: {found[name][-1][0]:.0f}/s, p99 {found[name][-1][2]:.1f} ms, {found[name][-1][3]} failed")
    for name, values in found.items():
        rate.figures[name] = Figure(tuple(one[0] for one in values))
        tail.figures[name] = Figure(tuple(one[2] for one in values))
        if failed := sum(one[3] for one in values):
            rate.notes[name] = f"{failed} not answered with 2xx"
    return [rate, tail]


def _wrk(bench: Bench, service: Service, target: tuple[str, str, str], number: int) -> tuple[float, float, float, int]:
    method, path, body = target
    client = service.client()
    job = client.search_text("a red shoe")
    client.wait("search", job)
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {}
    if service.key:
        headers["Authorization"] = f"Bearer {service.key}"
    lines = "\n".join(f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items())
    script: Path = service.folder / "requests.lua"
    path = path or f"/search/job/{job}"
    script.write_text(SCRIPT.format(method=method, headers=lines, first=number * 10**7, path=path, body=body), encoding="utf-8")
    seconds = bench.pick(5, 2)
    command = [*(bench.wrk or []), "-t", str(THREADS), "-c", str(CONNECTIONS), "-d", f"{seconds}s", "-s", str(script), service.base]
    return parse(subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout)
