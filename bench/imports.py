#!/usr/bin/env python3
"""Imports many products with small synthetic pictures into a service with everything embedded, kills it in the middle, and
checks that every row is taken in once. Prints products per second and the peak of memory of either process."""

import argparse
import base64
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib

SIDE = 64
PATCH = 16


def picture(number):
    """A PNG of coloured patches, other ones for each number."""
    rng = random.Random(number)
    cells = SIDE // PATCH
    colours = [[rng.randbytes(3) for _ in range(cells)] for _ in range(cells)]
    rows = b"".join(
        b"\0" + b"".join(colour * PATCH for colour in colours[y // PATCH]) for y in range(SIDE)
    )

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def rows(count):
    for number in range(1, count + 1):
        image = "data:image/png;base64," + base64.b64encode(picture(number)).decode()
        row = {"name": f"Mosaic {number}", "price": number % 90 + 1, "description": f"patches, number {number}"}
        yield json.dumps(row | {"sku": f"M-{number}", "images": [image]})


class Service:
    def __init__(self, taja, data):
        command = [taja, "serve", "--listen", "127.0.0.1:0", "--data", data, "--lease-seconds", "2"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            sys.exit("the service did not start")
        self.base = line.removeprefix("listening on ").strip()

    def get(self, path, **request):
        with urllib.request.urlopen(urllib.request.Request(self.base + path, **request), timeout=120) as answer:
            return answer.read()

    def job(self, path):
        return json.loads(self.get(path))

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--taja", required=True, help="the program")
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        file = "\n".join(rows(options.rows)).encode()
        service = Service(options.taja, data)
        began = time.monotonic()
        headers = {"content-type": "application/x-ndjson"}
        accepted = json.loads(service.get("/products:import", data=file, headers=headers, method="POST"))
        path = f"/jobs/{accepted['job_id']}"
        while (job := service.job(path + "?wait=1"))["progress"] < 50:
            if job["status"] in ("completed", "failed"):
                sys.exit(f"it ended before the kill: {job}")
        peak, worked = service.peak_mib(), time.monotonic() - began
        service.process.kill()
        service.process.wait()
        print(f"killed at {job['stage']}")
        service = Service(options.taja, data)
        began = time.monotonic()
        while (job := service.job(path + "?wait=30"))["status"] not in ("completed", "failed"):
            pass
        worked += time.monotonic() - began
        results = [json.loads(line) for line in service.get(path + "/results").splitlines()]
        stored = service.job("/health")["store"]["products"]
        made = [result["product_id"] for result in results if result["status"] == "success"]
        print(f"{len(results)} rows in {worked:.1f} s: {len(results) / worked:.1f} products per second")
        print(f"peak memory {peak:.0f} MiB before the kill, {service.peak_mib():.0f} MiB after it")
        print(f"outcomes {job.get('result', {}).get('outcomes')}, {stored} products stored")
        service.process.terminate()
        service.process.wait()
        once = [result["line"] for result in results] == list(range(1, options.rows + 1))
        if job["status"] != "completed" or not once or len(set(made)) != len(made) or stored != len(made):
            sys.exit("rows are lost or doubled")
        print("every row is taken in once")


if __name__ == "__main__":
    main()
