"""The contenders: Taja with everything embedded, Taja on the same servers, the Python service."""

import os
import shutil
import subprocess
from pathlib import Path

from driver.backends import Backends
from driver.client import Client
from driver.place import Place
from driver.processes import DriverFailure, Group, Process, free_port, until

READY_SECONDS = 180
KEY = "operator-key-of-a-benchmark-on-loopback"
CONTENDERS = ("taja", "taja-shared", "python")
# Of the processes' output nothing is read but where it went wrong.
QUIET = "error"


class Service(Group):
    """One running contender. `model` is the short name of a model of the place."""

    name = ""
    key: str | None = None

    def __init__(self, place: Place, folder: Path, model: str, backends: Backends | None, database: str) -> None:
        self.place, self.folder, self.model, self.database = place, folder, model, database
        self._backends = backends
        self.processes: list[Process] = []
        self.base = f"http://127.0.0.1:{free_port()}"
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def backends(self) -> Backends:
        """The servers it stands on."""
        if self._backends is None:
            raise DriverFailure(f"{self.name} needs servers")
        return self._backends

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.launch()
        until(self._healthy, READY_SECONDS, self.name, self.processes)

    def prepare(self) -> None:
        """What is done once on a machine, before any start is timed."""

    def launch(self) -> None:
        raise NotImplementedError

    def client(self) -> Client:
        return Client(self.base, self.key)

    def _healthy(self) -> bool:
        client = self.client()
        try:
            return client.request("GET", "/health")[0] == 200
        except OSError:
            return False
        finally:
            client.close()

    def _run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        self.processes.append(Process(name, command, environment, self.folder / f"{name}.log", self.folder))

    def memory(self) -> dict[str, float]:
        """Resident and proportional memory of all its processes, MiB."""
        found = [process.memory() for process in self.processes]
        return {kind: sum(one[kind] for one in found) for kind in ("rss", "pss")}

    def computed(self) -> float:
        """Seconds of processor time that its own processes have used; those of the servers do not count."""
        return sum(process.computed() for process in self.processes)


class Taja(Service):
    """One process, one data folder."""

    name = "taja"

    def launch(self) -> None:
        command = [str(self.place.taja), "serve", "--listen", self.base.removeprefix("http://")]
        self._run(self.name, command, self.environment())

    def prepare(self) -> None:
        """Takes over what was measured of the model: a first start measures it for minutes, and there is one per machine."""
        home = self.place.cache / "taja" / self.model
        # A run that was broken off may have left a part of it, and another program may measure otherwise.
        built = self.place.taja.stat().st_mtime
        if not any(kept.stat().st_mtime > built for kept in (home / "measured").glob("tuning-*.json")):
            command = [str(self.place.taja), "model", "bench"]
            environment = self.environment() | {"TAJA_DATA": str(home)}
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        shutil.copytree(home / "measured", self.folder / "data/measured", dirs_exist_ok=True)

    def environment(self) -> dict[str, str]:
        return self.place.environment(
            TAJA_DATA=str(self.folder / "data"),
            TAJA_MODEL=str(self.place.models[self.model]),
            TAJA_ONNXRUNTIME=str(self.place.tools / "onnxruntime/lib/libonnxruntime.so"),
            TAJA_FFMPEG=self.place.program("ffmpeg"),
            TAJA_PLUGINS=str(self.place.plugins),
            TAJA_LOG=QUIET,
        )


class TajaShared(Taja):
    """One process on the servers that the Python service has, too."""

    name = "taja-shared"
    key = KEY
    redis = 1

    def environment(self) -> dict[str, str]:
        # What an earlier one left in its queue is not this one's work.
        servers = self.backends
        return super().environment() | {
            "TAJA_API_KEY": KEY,
            "MONGO_URI": servers.mongo_uri,
            "MONGO_DB": self.database,
            "REDIS_URL": servers.empty_redis(self.redis),
            "CLOUDINARY_URL": "cloudinary://key:secret@bench",
            "TAJA_CLOUDINARY_API": servers.cloudinary,
            "TAJA_CLOUDINARY_DELIVERY": servers.cloudinary,
        }


class PythonService(Service):
    """uvicorn with a process per core, and one Celery worker whose PyTorch has a thread per core."""

    name = "python"
    catalogue = "scan"
    redis = 0

    def launch(self) -> None:
        self.redis_url = self.backends.empty_redis(self.redis)
        port = self.base.rsplit(":", 1)[1]
        programs = self.place.python.parent
        api = [str(programs / "uvicorn"), "service.main:app", "--host", "127.0.0.1", "--port", port]
        api += ["--workers", str(os.cpu_count() or 1), "--no-access-log", "--log-level", QUIET]
        self._run("uvicorn", api, self.environment())
        # One process: a second one would hold the model a second time and compete for the same cores.
        worker = [str(programs / "celery"), "--app", "service.worker", "worker", "--pool", "solo", "--loglevel", QUIET]
        worker += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        self._run("celery", worker, self.environment())

    def environment(self) -> dict[str, str]:
        uploads = self.folder / "uploads"
        uploads.mkdir(exist_ok=True)
        return self.place.environment(
            MONGO_URI=self.backends.mongo_uri,
            MONGO_DB=self.database,
            REDIS_URL=self.redis_url,
            CLOUDINARY_API=self.backends.cloudinary,
            WEIGHTS=str(self.place.weights(self.model)),
            UPLOADS=str(uploads),
            CATALOGUE=self.catalogue,
            # Other processes need the cores, too: threads of PyTorch that wait must not spin.
            OMP_WAIT_POLICY="PASSIVE",
        )


class PythonInMemory(PythonService):
    """The same, with the vectors kept in the worker's memory."""

    name = "python-memory"
    catalogue = "memory"
    redis = 2


KINDS = {kind.name: kind for kind in (Taja, TajaShared, PythonService, PythonInMemory)}
