"""The cases beside this file, without a component: in a moment, and with every exception as it is."""

import unittest
from pathlib import Path

from plugin import Ranking, Settings
from taja.testing import check_cases, check_manifest

PACKAGE = Path(__file__).parents[1]


class Plugin(unittest.TestCase):
    def test_cases(self) -> None:
        check_cases(Ranking().rank, PACKAGE / "tests")

    def test_the_manifest_and_the_code_agree(self) -> None:
        check_manifest(Settings, PACKAGE / "plugin.toml")
