"""Where everything is: programs, models, the folder for what lasts, the folder of one run."""

import os
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1]
ROOT = BENCH.parent


@dataclass(frozen=True)
class Place:
    """Paths that the driver hands around."""

    cache: Path  # virtual environments, converted weights, filled databases: kept between runs
    scratch: Path  # data and logs of this run
    taja: Path
    fill: Path  # the example of the embedded store that fills a data folder
    tools: Path
    plugins: Path
    models: dict[str, Path]

    @property
    def python(self) -> Path:
        return self.cache / "python/bin/python"

    @property
    def openvino(self) -> Path:
        return self.cache / "openvino/bin/python"

    def program(self, name: str) -> str:
        return str(self.tools / "bin" / name)

    def weights(self, model: str) -> Path:
        return self.cache / "weights" / model

    def environment(self, **more: str) -> dict[str, str]:
        """What a started program sees: nothing of what the shell says about a real shop."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        path = f"{self.tools / 'bin'}:{os.environ.get('PATH', '/usr/bin:/bin')}"
        return {"PATH": path, "PYTHONPATH": str(BENCH), "PYTHONDONTWRITEBYTECODE": "1", **kept, **more}
