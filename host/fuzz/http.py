"""Asks a real service what its OpenAPI description says may be asked, and much that it does not, with schemathesis.

    python3 host/fuzz/http.py TAJA [--seconds N] [--seed N] [schemathesis options...]

No answer may be a fault of the server, and every answer has to be described: its status, its content type, its headers
and the shape of its body. A failure is printed with the request that shows it
again. The service runs on a folder of its own that is gone afterwards.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SETTINGS = Path(__file__).with_name("schemathesis.toml")
BODIES = Path(__file__).with_name("hooks") / "bodies.py"
KEY = "the operator of a service that is fuzzed"
# What schemathesis may need beyond its time for reading the description and for its report, seconds.
GRACE_SECONDS = 120
STOP_SECONDS = 60


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("taja", type=Path, help="the program")
    parser.add_argument("--seconds", type=int, default=300, help="how long to ask; 300 unless told")
    parser.add_argument("--seed", type=int, help="where chance begins; another one each time unless told")
    named, more = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        with open(Path(folder) / "log", "w+", encoding="utf-8") as log:
            server, base = start(named.taja, Path(folder), log)
            try:
                failed = ask(base, named.seconds, named.seed, more)
            finally:
                stopped = stop(server)
            log.seek(0)
            complaints = [line for line in log if "panicked" in line or "ERROR" in line]
    if complaints:
        print("the service complained:", *complaints, sep="\n", file=sys.stderr)
    if stopped != 0:
        print(f"the service ended with {stopped}", file=sys.stderr)
    return 1 if failed or complaints or stopped != 0 else 0


def start(program, folder, log):
    """A service on a free port, and its address."""
    command = [program, "serve", "--listen", "127.0.0.1:0", "--data", folder / "data", "--compute", "cpu"]
    command += ["--log", "warn", "--model", alone(folder)]
    environment = {**os.environ, "TAJA_API_KEY": KEY, "NO_COLOR": "1"}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    first = server.stdout.readline().strip()
    if not first.startswith("listening on "):
        log.seek(0)
        sys.exit(f"the service did not start:\n{log.read()}")
    return server, first.removeprefix("listening on ")


def alone(folder):
    """The model in a folder of its own: what lies beside it can be activated, and may be large."""
    model = Path(os.environ.get("TAJA_MODEL") or PROJECT / ".tools/models/default")
    (folder / "models").mkdir()
    (folder / "models/default").symlink_to(model.resolve(), target_is_directory=True)
    return folder / "models/default"


def stop(server):
    server.send_signal(signal.SIGTERM)
    try:
        return server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def ask(base, seconds, seed, more):
    """Whether schemathesis found fault."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", SETTINGS, "run"]
    command += [f"{base}/openapi.json", "--url", base, "--header", f"Authorization: Bearer {KEY}"]
    command += ["--max-time", str(seconds), "--request-timeout", "60", "--continue-on-failure"]
    # One at a time: CPython 3.11 loses count when several threads parse.
    command += ["--suppress-health-check", "all", "--workers", "1", "--no-color", "--warnings", "off"]
    command += ["--seed", str(seed)] if seed is not None else []
    path = os.pathsep.join(filter(None, [str(BODIES.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "NO_PROXY": "*", "no_proxy": "*"}
    environment |= {"PYTHONPATH": path, "SCHEMATHESIS_HOOKS": BODIES.stem}
    with tempfile.TemporaryDirectory() as folder:
        # It leaves files where it runs.
        longest = seconds + GRACE_SECONDS
        ran = subprocess.run([*command, *more], cwd=folder, env=environment, timeout=longest, check=False)
    return ran.returncode != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
