"""What both services stand on: MongoDB, Redis, and a stand-in for Cloudinary."""

import socket
import subprocess
import sys
from pathlib import Path

from driver.place import BENCH, Place
from driver.processes import DriverFailure, Group, Process, free_port, until

READY_SECONDS = 60


def answers(port: int) -> bool:
    """Whether somebody listens on a loopback port."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


class Backends(Group):
    """The three servers, each with a folder of its own; MongoDB may work on a filled one."""

    def __init__(self, place: Place, folder: Path, filled: Path | None = None) -> None:
        self.place, self.folder = place, folder
        self.processes: list[Process] = []
        folder.mkdir(parents=True)
        if filled:
            (folder / "mongo").symlink_to(filled)
        else:
            (folder / "mongo").mkdir()

    def start(self) -> None:
        # The members of a replica set know each other by port, so a filled folder brings its own.
        kept = self.folder / "mongo/port"
        mongo = int(kept.read_text(encoding="utf-8")) if kept.exists() else free_port()
        if kept.exists() and answers(mongo):
            raise DriverFailure(f"port {mongo}, which the filled database belongs to, is taken")
        redis, cloud = free_port(), free_port()
        self._run(
            "mongod", self.place.program("mongod"), "--port", str(mongo), "--bind_ip", "127.0.0.1",
            "--dbpath", str(self.folder / "mongo"), "--replSet", "rs0", "--oplogSize", "512", "--wiredTigerCacheSizeGB", "2",
            "--setParameter", "diagnosticDataCollectionEnabled=false", "--nounixsocket", "--quiet",
        )  # fmt: skip
        self._run(
            "redis-server", self.place.program("redis-server"), "--port", str(redis), "--bind", "127.0.0.1", "--dir",
            str(self.folder), "--save", "", "--appendonly", "yes", "--appendfsync", "everysec",
        )  # fmt: skip
        self._run("cloudinary", sys.executable, str(BENCH / "driver/cloudinary_stub.py"), str(cloud))
        until(lambda: answers(redis) and answers(cloud) and answers(mongo), READY_SECONDS, "the servers", self.processes)
        command = [str(self.place.python), "-m", "service.replica_set", str(mongo)]
        if subprocess.run(command, env=self.place.environment(), check=False).returncode != 0:
            raise DriverFailure("mongod does not become primary")
        self.mongo_port = mongo
        self.mongo_uri = f"mongodb://127.0.0.1:{mongo}/?replicaSet=rs0"
        self.redis_port = redis
        self.cloudinary = f"http://127.0.0.1:{cloud}"

    def empty_redis(self, number: int) -> str:
        """The address of one of Redis's databases, with nothing in it."""
        with socket.create_connection(("127.0.0.1", self.redis_port), timeout=READY_SECONDS) as client:
            client.sendall(f"SELECT {number}\r\nFLUSHDB\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2:
                answer += client.recv(64)
        if answer != b"+OK\r\n+OK\r\n":
            raise DriverFailure(f"redis-server answers {answer!r}")
        return f"redis://127.0.0.1:{self.redis_port}/{number}"

    def _run(self, name: str, *command: str) -> None:
        log = self.folder / f"{name}.log"
        self.processes.append(Process(name, list(command), self.place.environment(), log, self.folder))

    def memory(self) -> dict[str, float]:
        """Resident memory of each server, MiB."""
        return {process.name: process.memory()["rss"] for process in self.processes}
