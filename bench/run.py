"""Runs Taja beside its peers on this machine and writes down how they compare.

    python3 bench/run.py                          everything: about an hour on two cores
    python3 bench/run.py --quick                  small numbers, some minutes; README.md stays as it is
    python3 bench/run.py --only search,http       some scenarios
    python3 bench/run.py --quick --write          small numbers, written down as such

Needs the release build, `.tools` with redis-server, mongod and the random models (`just peers` sees to that), CPython
3.11 with pip, a C compiler, and Debian's apt for wrk. The rest is fetched by pinned version into `.tools/bench`.
"""

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from driver import inference, machine, quiet, report, vectors
from driver.bench import Bench
from driver.place import BENCH, ROOT, Place
from driver.plots import write_plots
from driver.processes import DriverFailure
from driver.report import Row
from driver.scenarios import http_rates, image_search, ingest, starts, text_search
from driver.services import CONTENDERS
from setup import environment, weights, wrk

SCENARIOS: dict[str, Callable[[Bench], list[Row]]] = {
    "search": image_search.run,
    "ingest": ingest.run,
    "text": text_search.run,
    "start": starts.run,
    "http": http_rates.run,
}
NEEDS = {
    "search": ("b32", "l14"), "ingest": ("b32", "l14"), "text": ("narrow",), "start": ("l14",), "http": ("narrow",),
    "inference": ("b32", "l14"), "vectors": (),
}  # fmt: skip
PACKAGES = ["torch", "onnxruntime", "numpy", "pillow", "fastapi", "uvicorn", "celery", "redis", "pymongo", "cloudinary"]
RESULTS = BENCH / "results"
README = BENCH / "README.md"


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NEEDS), help="of " + ", ".join(NEEDS) + ", separated by commas")
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument("--write", action="store_true", help="write README.md and plots of a quick run, too")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, each with every contender once [3]")
    parser.add_argument("--contenders", default=",".join(CONTENDERS), help="of " + ", ".join(CONTENDERS))
    parser.add_argument("--products", type=int, default=0, help="products of the search by words [100000; quick 2000]")
    parser.add_argument("--patience", type=float, default=30, help="seconds to wait for a quiet machine, each time [30]")
    parser.add_argument("--tools", type=Path, default=ROOT / ".tools")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--taja", type=Path, default=target / "release/taja")
    parser.add_argument("--fill", type=Path, default=target / "release/examples/fill", help="fills Taja's folder for `text`")
    parser.add_argument("--plugins", type=Path, default=target / "plugins")
    parser.add_argument("--models", type=Path, help="folder of random-vit-b-32 and random-vit-l-14 [TOOLS/models]")
    parser.add_argument("--cache", type=Path, help="what lasts between runs [TOOLS/bench]")
    options = parser.parse_args(arguments)
    options.only = tuple(options.only.split(","))
    options.contenders = tuple(options.contenders.split(","))
    for name in options.only:
        if name not in NEEDS:
            parser.error(f"no scenario {name}: there are {', '.join(NEEDS)}")
    for name in options.contenders:
        if name not in CONTENDERS:
            parser.error(f"no contender {name}: there are {', '.join(CONTENDERS)}")
    return options


def provide(options: argparse.Namespace, scratch: Path) -> Bench:
    """Everything that the chosen scenarios need, in place."""
    cache = (options.cache or options.tools / "bench").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    models = options.models or options.tools / "models"
    folders = {"b32": models / "random-vit-b-32", "l14": models / "random-vit-l-14", "narrow": cache / "models/narrow"}
    taja, fill, tools, plugins = (path.resolve() for path in (options.taja, options.fill, options.tools, options.plugins))
    place = Place(cache, scratch, taja, fill, tools, plugins, folders)
    if not place.taja.exists():
        raise DriverFailure(f"{place.taja} is not there: run `./just build`")
    environment.provide("python", cache / "python")
    if "inference" in options.only:
        environment.provide("openvino", cache / "openvino")
    for model in sorted({model for name in options.only for model in NEEDS[name]}):
        cosines = weights.provide(place, model)
        print(f"{model}: PyTorch and ONNX Runtime agree, cosine {min(cosines.values()):.6f}", flush=True)
    command = wrk.provide(cache / "wrk") if "http" in options.only else None
    return Bench(place, options.quick, options.rounds, options.contenders, command, options.products, options.patience)


def measure(bench: Bench, name: str, write: bool) -> None:
    """Runs one scenario; prints its table, keeps it as JSON, and writes it down."""
    print(f"== {name}", flush=True)
    bench.busy.clear()
    rows: list[Any]
    if name == "inference":
        rows = inference.run(bench)
        text = inference.table(rows)
    else:
        rows = SCENARIOS[name](bench)
        text = report.table(rows)
    caption = captioned(bench, machine.describe())
    print(f"\n{text}\n{caption}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    kept = {"scenario": name, "caption": caption, "machine": machine.describe(), "rows": [asdict(row) for row in rows]}
    (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
    if write and rows:
        report.write_between_markers(README, name, f"{text}\n{caption}")
        write_plots(BENCH / "plots", name, rows)


def captioned(bench: Bench, facts: dict[str, str]) -> str:
    """What stands under each table."""
    noisy = sum(share > quiet.BUSY for share in bench.busy)
    others = f"{noisy} of {len(bench.busy)} measurements began beside other work" if noisy else "nothing else ran"
    kind = "quick, " if bench.quick else ""
    when = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    return (
        f"{kind}{bench.rounds} rounds in turn, median (lowest to highest); {when};"
        f" {facts['processor']}, {facts['cores']} cores, {facts['memory']}; {others}."
    )


def about(bench: Bench, facts: dict[str, str]) -> str:
    """The machine and the versions, as a table."""
    taja = subprocess.run([str(bench.place.taja), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    versions = environment.versions(bench.place.python, PACKAGES)
    rows = list(facts.items()) + [("Taja", taja), ("Python", sys.version.split()[0])] + list(versions.items())
    return report.render(("what", "value"), rows)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that what was started is stopped
    scratch = Path(tempfile.mkdtemp(prefix="taja-bench-"))
    failed = []
    try:
        bench = provide(options, scratch)
        facts = machine.describe()
        write = options.write or not options.quick
        if write:
            report.write_between_markers(README, "machine", about(bench, facts))
        for name in options.only:
            try:
                if name == "vectors":
                    vectors.run(bench)
                else:
                    measure(bench, name, write)
            except (DriverFailure, AssertionError, OSError) as error:
                print(f"{name}: not measured: {error}", file=sys.stderr, flush=True)
                failed.append(name)
    except (DriverFailure, environment.SetupFailure) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything that was started is stopped", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
