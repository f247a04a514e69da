"""The folder `.tools`: one set-up at a time, files placed whole or not at all, and a stamp for each finished item."""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time

from failure import SetupFailure

LOCK_WAIT_SECONDS = 30 * 60  # a cold set-up over a slow line
READ_BYTES = 1 << 20


class Store:
    def __init__(self, root):
        self.root = root
        self.scratch = root / "tmp"
        self.cache = root / "cache"
        self.stamps = root / "stamps"

    @contextlib.contextmanager
    def locked(self, wait_seconds=LOCK_WAIT_SECONDS):
        """Holds the folder for this process. What an interrupted set-up left half done is cleared away first."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / "lock", "w", encoding="utf-8") as lock:
            _acquire(lock, wait_seconds)
            self._clear_scratch()
            try:
                yield
            finally:
                self._clear_scratch()

    def new_folder(self, purpose):
        """An empty folder on the same file system as everything else, so that a rename can finish the work."""
        folder = self.scratch / purpose
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def place(self, made, name):
        """Moves a finished file or folder to its name under the store."""
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not target.is_symlink():
            os.replace(target, self.new_folder("replaced") / target.name)
        os.replace(made, target)
        return target

    def point(self, name, target):
        """Makes `name` a link to its neighbour `target`, unless it is one."""
        place = self.root / name
        if place.is_symlink() and os.readlink(place) == target:
            return
        link = self.new_folder("link") / "link"
        link.symlink_to(target)
        self.place(link, name)

    def is_done(self, item, key):
        """Whether the item was finished from the same pins and its files are still as they were then.

        Size and time answer at once; a file that was only copied or touched is read again, once.
        """
        try:
            stamp = json.loads(self._stamp(item).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if stamp["key"] != key:
            return False
        found = {}
        for name, stamped in stamp["files"].items():
            found[name] = self._describe_again(name, stamped)
            if not found[name]:
                return False
        if found != stamp["files"]:
            self._write_stamp(item, key, found)
        return True

    def mark_done(self, item, key, paths):
        self._write_stamp(item, key, {str(path.relative_to(self.root)): _describe(path) for path in paths})

    def _write_stamp(self, item, key, files):
        made = self.new_folder("stamp") / item
        made.write_text(json.dumps({"key": key, "files": files}, indent=1), encoding="utf-8")
        self.place(made, f"stamps/{item}")

    def forget(self, item):
        self._stamp(item).unlink(missing_ok=True)

    def _stamp(self, item):
        return self.stamps / item

    def _describe_again(self, name, stamped):
        """What a stamp says of a file whose content is still the stamped one, or None."""
        path = self.root / name
        try:
            status = path.stat()
        except OSError:
            return None
        if status.st_size != stamped["size"]:
            return None
        if status.st_mtime_ns == stamped["mtime_ns"]:
            return stamped
        described = _describe(path)
        return described if described["sha256"] == stamped["sha256"] else None

    def _clear_scratch(self):
        shutil.rmtree(self.scratch, ignore_errors=True)


def _acquire(lock, wait_seconds):
    deadline = time.monotonic() + wait_seconds
    said = False
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise SetupFailure("another set-up holds .tools", "wait for its end, then run again") from None
        if not said:
            print("set-up: waiting for another set-up of this folder", flush=True)
            said = True
        time.sleep(0.1)


def _describe(path):
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file_sha256(path)}


def file_sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(READ_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()
