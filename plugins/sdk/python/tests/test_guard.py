"""What goes wrong inside a component is told in words. The component is played here: its platform and its log."""

import unittest
from collections.abc import Callable
from unittest import mock

from componentize_py_types import Err
from taja import guard, log, policy
from taja.settings import InvalidSetting
from wit_world.imports import embed
from wit_world.imports.types import Error_Unavailable


class Guard(unittest.TestCase):
    def setUp(self) -> None:
        self.lines: list[str] = []
        write = mock.patch.object(log, "write", lambda level, line: self.lines.append(f"{level.name} {line}"))
        for patch in (mock.patch("sys.platform", "wasi"), write, mock.patch.object(guard, "_shut_in", list)):
            patch.start()
            self.addCleanup(patch.stop)

    def error(self, answer: Callable[[object, None], object]) -> str:
        with self.assertRaises(Err) as caught:
            policy(answer)(self, None)
        self.assertIsInstance(caught.exception.value, str)
        return str(caught.exception.value)

    def test_an_answer_passes(self) -> None:
        def answer(self: object, given: int) -> int:
            return given + 1

        self.assertEqual(policy(answer)(self, 1), 2)

    def test_a_setting_that_cannot_be_is_the_error_itself(self) -> None:
        def answer(self: object, given: None) -> None:
            raise InvalidSetting("k", "is odd")

        self.assertEqual(self.error(answer), "setting k is odd")

    def test_an_error_of_the_policy_passes_as_it_is(self) -> None:
        def answer(self: object, given: None) -> None:
            raise Err("no words")

        self.assertEqual(self.error(answer), "no words")

    def test_a_refusal_of_the_host_names_the_call(self) -> None:
        def texts(_: list[str]) -> None:
            raise Err(Error_Unavailable("the model is not loaded"))

        texts.__code__ = texts.__code__.replace(co_filename="/world/wit_world/imports/embed.py")
        with mock.patch.object(embed, "texts", texts):
            error = self.error(lambda self, given: embed.texts(["red"]))
        self.assertEqual(error, "embed.texts was refused (unavailable): the model is not loaded")

    def test_any_other_exception_names_its_line_and_is_traced_in_the_log(self) -> None:
        def answer(self: object, given: None) -> object:
            attributes: dict[str, float] = {}
            return attributes["margin"]

        self.assertRegex(self.error(answer), r"^KeyError: 'margin' \(test_guard.py line \d+\)$")
        self.assertEqual(self.lines[0], "ERROR KeyError: 'margin'")
        self.assertRegex(self.lines[1], r"^ERROR   at test_guard.py line \d+ in answer$")

    def test_a_forgotten_return_is_told(self) -> None:
        def rank(self: object, given: None) -> None:
            return None

        self.assertEqual(self.error(rank), "TypeError: rank answered with nothing: it lacks a return")


class Outside(unittest.TestCase):
    def test_in_native_tests_exceptions_pass_as_they_are(self) -> None:
        def answer(self: object, given: dict[str, float]) -> float:
            return given["margin"]

        with self.assertRaises(KeyError):
            policy(answer)(self, {})

    def test_lines_go_to_the_log_whole(self) -> None:
        lines: list[str] = []
        stream = guard._Lines(lines.append)
        print("one", "two", end="", file=stream)
        print("\nthree", file=stream)
        print("four", end="", file=stream)
        stream.flush()
        self.assertEqual(lines, ["one two", "three", "four"])
