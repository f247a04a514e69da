"""What a tenant may set, read strictly: a misspelt key is an error and not a default.

    @dataclass(frozen=True)
    class Settings(taja.settings.Settings):
        k: float = number(60, least=1, most=10_000)
        fold: bool = flag(True)

    settings = Settings.parse(candidates.settings)

The manifest says the same once more, for whoever sets them; `taja.testing.check_manifest` holds the two together.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn, Self, TypeVar

Value = TypeVar("Value")

SCHEMA = "taja.schema"


class InvalidSetting(ValueError):
    """A setting the policy does not take. `name` is the key; empty when the settings as a whole are at fault."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"setting {name} {problem}" if name else f"settings {problem}")
        self.name = name
        self.problem = problem


@dataclass(frozen=True)
class Settings:
    """The base of a plugin's settings. Every field is made by one of the functions below."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads JSON text; the empty text stands for no settings."""
        given = _object(text) if text.strip() else {}
        known = schemas(cls)
        for name, value in given.items():
            if name not in known:
                raise InvalidSetting(name, f"is not known; there are {', '.join(known) or 'none'}")
            given[name] = _checked(name, value, known[name])
        return cls(**given)


def schemas(settings: type[Settings]) -> dict[str, Mapping[str, Any]]:
    """JSON Schema of each setting, by its name."""
    return {setting.name: setting.metadata[SCHEMA] for setting in fields(settings)}


def number(default: float, *, least: float, most: float) -> float:
    """A number from `least` to `most`."""
    return _setting(float(default), {"type": "number", "minimum": least, "maximum": most})


def whole(default: int, *, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    return _setting(default, {"type": "integer", "minimum": least, "maximum": most})


def flag(default: bool) -> bool:
    """True or false."""
    return _setting(default, {"type": "boolean"})


def text(default: str) -> str:
    """Text."""
    return _setting(default, {"type": "string"})


def texts(default: tuple[str, ...], *, most: int) -> tuple[str, ...]:
    """Texts, at most `most`."""
    return _setting(default, {"type": "array", "maxItems": most})


def choice(default: str, *others: str) -> str:
    """One of a few words."""
    return _setting(default, {"type": "string", "enum": [default, *others]})


def _setting(default: Value, schema: dict[str, Any]) -> Value:
    return field(default=default, metadata={SCHEMA: schema})


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise InvalidSetting("", f"are not JSON: {error}") from None
    if not isinstance(given, dict):
        raise InvalidSetting("", "are not a JSON object")
    return given


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            raise InvalidSetting(name, "stands twice")
        given[name] = value
    return given


def _no_number(word: str) -> NoReturn:
    raise InvalidSetting("", f"are not JSON: {word} is no number")


def _checked(name: str, value: Any, schema: Mapping[str, Any]) -> Any:
    match schema["type"]:
        case "number" | "integer" as kind:
            return _checked_number(name, value, kind, schema)
        case "boolean":
            _require(isinstance(value, bool), name, "is not true or false")
        case "string":
            _require(isinstance(value, str), name, "is not text")
            words = schema.get("enum", [value])
            _require(value in words, name, f"is none of {', '.join(words)}")
        case "array":
            _require(isinstance(value, list), name, "is not a list")
            _require(len(value) <= schema["maxItems"], name, f"holds more than {schema['maxItems']} entries")
            _require(all(isinstance(entry, str) for entry in value), name, "holds something that is not text")
            return tuple(value)
    return value


def _checked_number(name: str, value: Any, kind: str, schema: Mapping[str, Any]) -> float | int:
    # To Python, true and false are numbers.
    _require(isinstance(value, (int, float)) and not isinstance(value, bool), name, "is not a number")
    _require(value >= schema["minimum"], name, "is smaller than the manifest allows")
    _require(value <= schema["maximum"], name, "is larger than the manifest allows")
    if kind == "number":
        return float(value)
    _require(value == int(value), name, "is not a whole number")
    return int(value)


def _require(holds: bool, name: str, problem: str) -> None:
    if not holds:
        raise InvalidSetting(name, problem)
