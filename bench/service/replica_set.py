"""Makes a mongod a replica set of one and waits until it takes writes: `python -m service.replica_set PORT`."""

import sys
import time

from pymongo import MongoClient
from pymongo.errors import PyMongoError

READY_SECONDS = 60


def main(port: int) -> int:
    admin = MongoClient("127.0.0.1", port, directConnection=True, serverSelectionTimeoutMS=1000).admin
    deadline = time.monotonic() + READY_SECONDS
    settings = {"electionTimeoutMillis": 1000, "heartbeatIntervalMillis": 500}
    members = [{"_id": 0, "host": f"127.0.0.1:{port}"}]
    while time.monotonic() < deadline:
        try:
            if admin.command("hello").get("isWritablePrimary"):
                return 0
            admin.command("replSetInitiate", {"_id": "rs0", "members": members, "settings": settings})
        except PyMongoError:
            pass  # it is still starting, or it is a member already and has not been elected yet
        time.sleep(0.05)
    return 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
