"""Makes a model folder with random weights, by models/make_random.py on the Python at hand and packages of its own."""

import os
import subprocess
import sys

from failure import SetupFailure

OLDEST, NEWEST = (3, 10), (3, 14)  # what the requirements have wheels for
MAKING_SECONDS = 20 * 60
REQUIREMENTS = "make_random.requirements.txt"
SOURCES = (REQUIREMENTS, "make_random.py", "clip_graph.py", "model_folder.py", "tokenizer/merges.txt")


def sources(models):
    """The texts that the made folder follows from."""
    return [(models / name).read_text(encoding="utf-8") for name in SOURCES]


def make(models, architecture, packages, folder):
    """Fills `folder`; `packages` is where numpy and onnx are."""
    command = [sys.executable, str(models / "make_random.py"), "--arch", architecture, "--output", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
    try:
        maker = subprocess.run(
            command, env=environment, stdout=subprocess.DEVNULL, timeout=MAKING_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise SetupFailure(
            f"random {architecture} was not made within {MAKING_SECONDS // 60} minutes", "run again on an idle machine"
        ) from None
    if maker.returncode != 0:
        raise SetupFailure(f"random {architecture} could not be made (Python's own words are above)", "see there")


def check_python():
    version = sys.version_info[:2]
    if not OLDEST <= version <= NEWEST or sys.implementation.name != "cpython":
        oldest, newest = (".".join(map(str, one)) for one in (OLDEST, NEWEST))
        raise SetupFailure(
            f"numpy and onnx are pinned for CPython {oldest} to {newest}, and this is {sys.implementation.name}"
            f" {version[0]}.{version[1]}",
            "name another Python in PYTHON",
        )
