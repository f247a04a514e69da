"""Forms, polling, the open loop, wrk's answers, names of things, and ending only what was started."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from driver import client, cloudinary_stub, filled_folder, machine, open_loop, own_time, quiet
from driver.processes import DriverFailure, Process, free_port, until
from driver.scenarios import http_rates, text_search
from driver.scenarios.text_search import Measured, Searches
from service.words import name_of, picture_of, query_of
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

    def test_a_product_is_one_line_for_the_program_that_fills(self) -> None:
        line = filled_folder.line_of(7)
        told = json.loads(line)
        self.assertEqual((line.count("\n"), told["name"], told["price"]), (1, name_of(7), 12.0))
        sha256 = hashlib.sha256(told["picture"].encode()).hexdigest()
        self.assertEqual((sha256, told["image_url"]), picture_of(7))

    def test_a_space_is_the_last_word_that_is_told(self) -> None:
        self.assertEqual(filled_folder.parse_space("narrow is whole; its space is narrow@0a1b\n"), "narrow@0a1b")
        for told in ("", "no model is there", "narrow@"):
            self.assertRaises(DriverFailure, filled_folder.parse_space, told)

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


class OwnTime(unittest.TestCase):
    BEFORE = 'taja_batch_wait_seconds_sum{tower="text"} 1\ntaja_batch_wait_seconds_count{tower="text"} 10\n'
    AFTER = (
        "# TYPE taja_batch_wait_seconds histogram\n"
        'taja_batch_wait_seconds_sum{tower="text",urgency="bulk"} 0.5\n'
        'taja_batch_wait_seconds_sum{tower="text",urgency="interactive"} 0.7\n\n'
        'taja_batch_wait_seconds_count{tower="text",urgency="interactive"} 20\n'
        "taja_inference_seconds_sum 0.03\ntaja_inference_seconds_count 3\n"
    )

    def test_samples_that_differ_by_labels_are_added_up(self) -> None:
        self.assertAlmostEqual(own_time.samples(self.AFTER)["taja_batch_wait_seconds_sum"], 1.2)

    def test_the_model_takes_a_wait_and_a_batch_on_average(self) -> None:
        before, after = own_time.samples(self.BEFORE), own_time.samples(self.AFTER)
        self.assertAlmostEqual(own_time.model_ms(before, after), 20 + 10)
        self.assertEqual(own_time.model_ms(after, after), 0)

    def test_a_job_takes_from_accepted_to_finished(self) -> None:
        class Jobs:
            def request(self, _method: str, path: str) -> tuple[int, bytes]:
                told = {"created_at": "2026-01-01T00:00:00Z", "finished_at": f"2026-01-01T00:00:00.{path[-1]}0012Z"}
                return 200, json.dumps(told).encode()

        for taken, expected in zip(own_time.whole_ms(Jobs(), ["1", "2"]), (100.12, 200.12), strict=True):
            self.assertAlmostEqual(taken, expected)


class SearchByWords(unittest.TestCase):
    TAJA = Measured([Searches([20.0], [2.0])], [open_loop.Outcome([0.03])], [Searches([], [3.0, 5.0])])
    PYTHON = Measured([Searches([200.0])])

    def test_taja_s_own_time_has_rows_of_its_own(self) -> None:
        rows = text_search._rows("words", {"taja": self.TAJA, "python-memory": self.PYTHON})
        own = {row.measure: row.figures["taja"].median for row in rows if row.load == text_search.OWN}
        self.assertEqual(list(own.values()), [2.0, 4.0, 4.98])
        whole = [row for row in rows if row.measure.startswith("one at a time, p50; Python keeps")]
        self.assertEqual([(row.figures["taja"].median, row.figures["python"].median) for row in whole], [(20.0, 200.0)])

    def test_who_cannot_keep_up_or_was_not_filled_says_so(self) -> None:
        rows = text_search._rows("words", {"python-memory": self.PYTHON})
        self.assertEqual({row.notes.get("taja") for row in rows}, {text_search.NOT_FILLED})
        loaded = [row for row in rows if row.measure.startswith("50 searches/s, p50; Python keeps")]
        self.assertEqual([row.notes["python"] for row in loaded], ["out of reach: 5 searches/s one after the other"])


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
