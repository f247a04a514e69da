"""Runs a policy inside a component, where an exception that nobody catches ends the call without a word."""

import builtins
import functools
import io
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NoReturn, TypeVar

from componentize_py_types import Err

from . import log
from .settings import InvalidSetting

Self = TypeVar("Self")
Given = TypeVar("Given")
Answered = TypeVar("Answered")

SDK = os.path.dirname(__file__)
PYTHON = "/python/"
"""Where the standard library lies when a component is built."""
FRAMES = 10
"""The innermost calls of a trace that are told."""
CLOCKS = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")
REFUSALS = {
    "Denied": "denied",
    "Quota": "out of quota",
    "TooLarge": "too large",
    "Unavailable": "unavailable",
    "Invalid": "invalid",
}


def policy(answer: Callable[[Self, Given], Answered]) -> Callable[[Self, Given], Answered]:
    """Makes the method that answers for a plugin say what went wrong.

    A setting that cannot be and a refusal of the host become the policy's error. So does any other exception, with the
    line it comes from, and its trace goes to the log. `print` writes to the log. In native tests exceptions pass as
    they are.
    """
    if sys.platform != "wasi":
        return answer

    @functools.wraps(answer)
    def guarded(self: Self, given: Given) -> Answered:
        streams = _shut_in()
        try:
            answered = answer(self, given)
            if answered is None:
                raise TypeError(f"{answer.__name__} answered with nothing: it lacks a return")
            return answered
        except InvalidSetting as error:
            raise Err(str(error)) from None
        except Err as error:
            if isinstance(error.value, str):
                raise
            raise Err(_refused(error)) from None
        except Exception as error:
            raise Err(_failed(error)) from None
        finally:
            for stream in streams:
                stream.flush()

    return guarded


def _failed(error: Exception) -> str:
    what = f"{type(error).__name__}: {error}"
    frames = _frames(error)
    log.error(what)
    for file, line, function in frames[-FRAMES:]:
        log.error(f"  at {os.path.basename(file)} line {line} in {function}")
    own = [frame for frame in frames if not frame[0].startswith((SDK, PYTHON))]
    if not own:
        return what
    file, line, _ = own[-1]
    return f"{what} ({os.path.basename(file)} line {line})"


def _refused(error: Err[Any]) -> str:
    """For instance "embed.texts was refused (unavailable): the model is not loaded"."""
    file, _, function = _frames(error)[-1]
    module = os.path.basename(file).removesuffix(".py")
    kind = REFUSALS[type(error.value).__name__.removeprefix("Error_")]
    return f"{module}.{function} was refused ({kind}): {error.value.value}"


def _frames(error: BaseException) -> list[tuple[str, int, str]]:
    """File, line and function of each call between the guard and where the exception was raised, outermost first."""
    frames = []
    trace = error.__traceback__
    while trace := trace and trace.tb_next:
        code = trace.tb_frame.f_code
        frames.append((code.co_filename, trace.tb_lineno, code.co_name))
    return frames


def _shut_in() -> list["_Lines"]:
    """Puts words in the place of what would end the call at once: there is no system outside to ask."""
    streams = [_Lines(log.info), _Lines(log.warn)]
    sys.stdout, sys.stderr = streams
    sys.meta_path[:] = [_Absent if finder is PathFinder else finder for finder in sys.meta_path]
    for clock in CLOCKS:
        setattr(time, clock, _without("clock: a time comes with the settings or the products"))
    builtins.open = _without("files: read them at the top of plugin.py, which is run when it is built")
    os.urandom = _without("source of chance: `random` gives the same numbers in each call")
    return streams


def _without(what: str) -> Callable[..., NoReturn]:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"a plugin has no {what}")

    return refuse


class _Absent:
    """Stands where modules are looked for in files."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        raise ImportError(f"{name} is not in the component: import it at the top of plugin.py")


class _Lines(io.TextIOBase):
    """A stream into the log, line by line."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._write(line)
        return len(text)

    def flush(self) -> None:
        if self._begun:
            self._write(self._begun)
            self._begun = ""
