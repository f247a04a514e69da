"""Parts and legs."""

import unittest

from taja.search import Part, depth, image, leg_name, text, video
from wit_world.exports.searching import Content_Text


class Legs(unittest.TestCase):
    def test_a_leg_offers_a_quarter_more_than_the_limit_between_100_and_1000(self) -> None:
        self.assertEqual([depth(limit) for limit in (0, 10, 80, 200, 501)], [100, 100, 100, 250, 626])

    def test_legs_of_further_parts_are_numbered(self) -> None:
        self.assertEqual([leg_name("sound", part) for part in range(3)], ["sound", "sound-2", "sound-3"])

    def test_a_part_gives_what_it_holds_and_nothing_else(self) -> None:
        part = Part("text", Content_Text("red"), 1.0)
        self.assertEqual((text(part), image(part), video(part)), ("red", None, None))
