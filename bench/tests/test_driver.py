"""Forms, polling, the open loop, wrk's answers, names of things, and ending only what was started."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from driver import client, cloudinary_stub, machine, open_loop, quiet
from driver.processes import DriverFailure, Process, free_port, until
from driver.scenarios import http_rates
from service.words import name_of, query_of
from setup import cuda_stubs, lock


class Requests(unittest.TestCase):
    def test_a_form_ends_and_holds_its_parts(self) -> None:
        body, kind = client.multipart({"name": "shoe"}, [("images", b"\xff\xd8")])
        boundary = kind.partition("boundary=")[2].encode()
        self.assertTrue(body.endswith(b"--" + boundary + b"--\r\n"))
        self.assertIn(b'name="name"\r\n\r\nshoe\r\n', body)
        self.assertIn(b"image/jpeg\r\n\r\n\xff\xd8\r\n", body)

    def test_polls_come_early_and_then_seldom(self) -> None:
        pauses = [client.poll_pause(waited) for waited in (0, 0.05, 10)]
        self.assertEqual(pauses, [client.FIRST_POLL_SECONDS, 0.005, client.LONGEST_POLL_SECONDS])

    def test_an_open_loop_sends_on_when_nobody_answers(self) -> None:
        release = threading.Event()

        def send(number: int) -> None:
            if number == 0:
                release.wait(5)
            elif number == 9:
                release.set()
            if number == 5:
                raise OSError("refused")

        outcome = open_loop.run(100, 0.1, 4, lambda: send)
        self.assertEqual((len(outcome.seconds), outcome.errors), (9, ["OSError: refused"]))
        self.assertGreater(max(outcome.seconds), 0.08)

    def test_the_stand_in_for_cloudinary_answers_both_ways_of_sending(self) -> None:
        server = cloudinary_stub.ThreadingHTTPServer(("127.0.0.1", 0), cloudinary_stub.Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        sender = client.Client(f"http://127.0.0.1:{server.server_port}")
        self.addCleanup(sender.close)
        body, kind = client.multipart({"public_id": "a", "folder": "f"}, [("file", b"x")])
        status, answer = sender.request("POST", "/v1_1/bench/image/upload", body, kind)
        self.assertEqual((status, b'"public_id": "f/a"' in answer), (200, True))
        sender.connection.request("POST", "/v1_1/bench/image/upload", iter([body]), {"Content-Type": kind}, encode_chunked=True)
        self.assertIn(b'"public_id": "f/a"', sender.connection.getresponse().read())


class Tools(unittest.TestCase):
    def test_what_wrk_prints_is_read(self) -> None:
        found = http_rates.parse("Running\nRESULT 1000 2000000 3 1500 9000\n")
        self.assertEqual(found, (500.0, 1.5, 9.0, 3))
        self.assertRaises(DriverFailure, http_rates.parse, "unable to connect")

    def test_names_and_searches_repeat_late(self) -> None:
        self.assertGreater(len({name_of(number) for number in range(5000)}), 4990)
        self.assertEqual(len({query_of(number) for number in range(5000)}), 5000)

    def test_what_readelf_prints_is_read(self) -> None:
        needed = cuda_stubs.parse_needed(" 0x1 (NEEDED)  Shared library: [libcufft.so.12]\n 0xf (RPATH) rpath: [x]")
        self.assertEqual(needed, ["libcufft.so.12"])
        versions = "  0x10: Version: 1  File: libx.so.1  Cnt: 1\n  0x20:   Name: X_1  Flags: none  Version: 5\n"
        self.assertEqual(cuda_stubs.parse_versions(versions), {"X_1": "libx.so.1"})
        symbols = "   1: 0000 0 FUNC GLOBAL DEFAULT UND f@X_1 (5)\n   2: 0000 0 FUNC GLOBAL DEFAULT 12 g\n"
        self.assertEqual(cuda_stubs.parse_undefined(symbols), [("f", "X_1")])

    def test_a_stub_has_its_functions_in_their_versions(self) -> None:
        self.assertEqual(cuda_stubs.source({"f"}), "int f(void) { return 100; }\n")
        self.assertEqual(cuda_stubs.version_script({"V": {"g", "f"}}), "V { global: f; g; };\n")

    def test_a_lock_names_every_wheel_by_version_and_sum(self) -> None:
        text = lock.lock_text({"b": ("2", "bb"), "a": ("1", "aa")}, "3.11", "x86_64")
        self.assertTrue(text.endswith("a==1 \\\n    --hash=sha256:aa\nb==2 \\\n    --hash=sha256:bb\n"))

    def test_waiting_for_the_disk_is_not_work(self) -> None:
        before = quiet.parse("cpu 100 0 50 800 50 0 0 0 0 0")
        after = quiet.parse("cpu 150 0 50 830 70 0 0 0 9 9")
        self.assertEqual(quiet.busy_share(before, after), 0.5)
        self.assertEqual(quiet.busy_share(before, before), 0)

    def test_the_machine_is_told(self) -> None:
        facts = machine.describe()
        self.assertTrue(facts["processor"] and int(facts["cores"]) > 0)


class Started(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def start(self, code: str) -> Process:
        process = Process("it", [sys.executable, "-c", code], os.environ, self.folder / "log", self.folder)
        self.addCleanup(process.stop)
        return process

    def test_stopping_ends_what_a_process_left_behind_and_nothing_else(self) -> None:
        stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        self.addCleanup(stranger.wait)
        self.addCleanup(stranger.kill)
        code = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        process = self.start(code + " open('child', 'w').write(str(p.pid)); time.sleep(60)")
        until(lambda: (self.folder / "child").exists() and (self.folder / "child").read_text(), 10, "the child")
        child = int((self.folder / "child").read_text())
        process.stop()
        until(lambda: not _runs(child), 10, "the end of the child")
        self.assertIsNone(stranger.poll())

    def test_one_that_is_deaf_is_ended(self) -> None:
        from driver import processes

        self.addCleanup(setattr, processes, "STOP_SECONDS", processes.STOP_SECONDS)
        processes.STOP_SECONDS = 0.2
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('deaf', 'w'); time.sleep(60)"
        process = self.start(code)
        until(lambda: (self.folder / "deaf").exists(), 10, "the process")
        process.stop()
        self.assertEqual(process.child.returncode, -signal.SIGKILL)

    def test_waiting_for_one_that_ended_says_why(self) -> None:
        process = self.start("raise SystemExit('no port')")
        with self.assertRaisesRegex(DriverFailure, "no port"):
            until(lambda: False, 10, "it", [process])

    def test_processor_time_counts_children_that_ended(self) -> None:
        spin = "import time\nwhile time.process_time() < 0.3: pass"
        code = f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {spin!r}]); open('done', 'w'); time.sleep(60)"
        process = self.start(code)
        until(lambda: (self.folder / "done").exists(), 30, "the child's end")
        self.assertGreater(process.computed(), 0.25)

    def test_a_free_port_can_be_listened_on(self) -> None:
        self.assertGreater(free_port(), 0)
        started = time.monotonic()
        self.assertRaises(DriverFailure, until, lambda: False, 0.05, "nothing")
        self.assertLess(time.monotonic() - started, 5)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
