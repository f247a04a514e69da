"""Settings are read strictly, and every error names the key."""

import tempfile
import unittest
from dataclasses import dataclass
from pathlib import Path

from taja import settings
from taja.settings import InvalidSetting, choice, flag, number, text, texts, whole
from taja.testing import check_manifest


@dataclass(frozen=True)
class Settings(settings.Settings):
    k: float = number(60, least=1, most=100)
    count: int = whole(3, least=0, most=9)
    fold: bool = flag(True)
    template: str = text("{text}")
    plan: str = choice("uniform", "scene-change")
    fields: tuple[str, ...] = texts(("sku",), most=2)


MANIFEST = """
[settings]
type = "object"
additionalProperties = false
properties.k = { type = "number", default = 60, minimum = 1, maximum = 100, description = "k" }
properties.count = { type = "integer", default = 3, minimum = 0, maximum = 9, description = "count" }
properties.fold = { type = "boolean", default = true, description = "fold" }
properties.template = { type = "string", default = "{text}", description = "template" }
properties.plan = { type = "string", enum = ["uniform", "scene-change"], default = "uniform", description = "plan" }
properties.fields = { type = "array", items = { type = "string" }, maxItems = 2, default = ["sku"], description = "fields" }
"""


class Reading(unittest.TestCase):
    def refused(self, given: str) -> str:
        with self.assertRaises(InvalidSetting) as caught:
            Settings.parse(given)
        return str(caught.exception)

    def test_what_is_not_given_has_its_default(self) -> None:
        for given in ("", "  ", "{}"):
            self.assertEqual(Settings.parse(given), Settings())

    def test_what_is_given_is_taken(self) -> None:
        given = '{"k": 1, "count": 9.0, "fold": false, "template": "x", "plan": "scene-change", "fields": []}'
        read = Settings.parse(given)
        self.assertEqual(read, Settings(1.0, 9, False, "x", "scene-change", ()))
        self.assertEqual((type(read.k), type(read.count)), (float, int))

    def test_a_misspelt_setting_is_named_with_those_there_are(self) -> None:
        known = "k, count, fold, template, plan, fields"
        self.assertEqual(self.refused('{"kk": 3}'), f"setting kk is not known; there are {known}")

    def test_values_of_another_type_or_outside_the_range_are_refused_by_name(self) -> None:
        refused = {
            '{"k": "1"}': "setting k is not a number",
            '{"k": true}': "setting k is not a number",
            '{"k": 0}': "setting k is smaller than the manifest allows",
            '{"k": 1e300}': "setting k is larger than the manifest allows",
            '{"count": 1.5}': "setting count is not a whole number",
            '{"fold": 1}': "setting fold is not true or false",
            '{"template": null}': "setting template is not text",
            '{"plan": "random"}': "setting plan is none of uniform, scene-change",
            '{"fields": "sku"}': "setting fields is not a list",
            '{"fields": ["a", "b", "c"]}': "setting fields holds more than 2 entries",
            '{"fields": [1]}': "setting fields holds something that is not text",
        }
        for given, error in refused.items():
            self.assertEqual(self.refused(given), error)

    def test_what_is_no_object_is_refused(self) -> None:
        for given in ("[1]", "{", '{"k": NaN}', '{"k": 1e999}'):
            self.assertIn("setting", self.refused(given))
        self.assertEqual(self.refused('{"k": 2, "k": 2}'), "setting k stands twice")

    def test_a_plugin_may_have_no_settings(self) -> None:
        with self.assertRaisesRegex(InvalidSetting, "setting k is not known; there are none"):
            settings.Settings.parse('{"k": 1}')


class Manifest(unittest.TestCase):
    def check(self, manifest: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "plugin.toml"
            path.write_text(manifest, encoding="utf-8")
            check_manifest(Settings, path)

    def test_manifest_and_code_agree(self) -> None:
        self.check(MANIFEST)

    def test_a_difference_is_told(self) -> None:
        changes = (
            ("default = 60", "default = 50"),
            ("minimum = 0", "minimum = 1"),
            ("maxItems = 2", "maxItems = 3"),
            ("properties.fold", "properties.folded"),
            ("false\nproperties", "true\nproperties"),
            ('description = "k"', 'description = ""'),
        )
        for says, other in changes:
            with self.assertRaises(AssertionError, msg=says):
                self.check(MANIFEST.replace(says, other, 1))
