"""What is computed from rounds, and how it is written down."""

import unittest
import xml.etree.ElementTree as ElementTree

from driver import report, svg
from driver.plots import slug
from driver.report import Row
from driver.statistics import Figure, median, percentile, ratio


class Statistics(unittest.TestCase):
    def test_a_percentile_lies_between_its_neighbours(self) -> None:
        self.assertEqual(percentile([4, 1, 3, 2], 0.5), 2.5)
        self.assertEqual(percentile([1, 2, 3], 0), 1)
        self.assertEqual(percentile([1, 2, 3], 1), 3)
        self.assertAlmostEqual(percentile(range(101), 0.99), 99)

    def test_one_value_is_every_percentile(self) -> None:
        self.assertEqual({percentile([7.0], share) for share in (0, 0.5, 0.99, 1)}, {7.0})

    def test_no_values_and_no_share_are_refused(self) -> None:
        self.assertRaises(ValueError, percentile, [], 0.5)
        self.assertRaises(ValueError, percentile, [1], 1.5)

    def test_a_ratio_is_of_medians(self) -> None:
        self.assertEqual(ratio(Figure((1, 2, 9)), Figure((4, 4, 100))), 0.5)
        self.assertIsNone(ratio(None, Figure((1,))))
        self.assertIsNone(ratio(Figure((1,)), Figure((0,))))

    def test_the_median_is_not_moved_by_one_slow_round(self) -> None:
        self.assertEqual(median([10, 11, 5000]), 11)


class Tables(unittest.TestCase):
    def row(self) -> Row:
        figures = {"taja": Figure((1.0, 2.0, 3.0)), "python": Figure((4.0,))}
        return Row("search", "p50", "ms", True, figures, notes={"taja-shared": "falls behind"})

    def test_a_table_tells_medians_spreads_ratios_and_what_was_not_measured(self) -> None:
        line = report.table([self.row()]).splitlines()[2]
        self.assertEqual(line, "| search | p50 | 2.00 ms (1.00 to 3.00) | falls behind | 4.00 ms | 0.50 | - | lower |")

    def test_a_bar_in_a_cell_does_not_end_it(self) -> None:
        self.assertIn("a\\|b", report.render(("x",), [("a|b",)]))

    def test_only_what_stands_between_the_markers_is_replaced(self) -> None:
        text = "before\n<!-- begin: x -->\nold\n<!-- end: x -->\nafter\n"
        once = report.between_markers(text, "x", "new")
        self.assertEqual(once, "before\n<!-- begin: x -->\nnew\n<!-- end: x -->\nafter\n")
        self.assertEqual(report.between_markers(once, "x", "new"), once)

    def test_missing_double_and_turned_markers_are_refused(self) -> None:
        begin, end = "<!-- begin: x -->", "<!-- end: x -->"
        for text in ("", begin, begin + begin + end, end + begin):
            with self.assertRaises(ValueError):
                report.between_markers(text, "x", "new")

    def test_numbers_have_the_digits_that_matter(self) -> None:
        shown = [report.number(value) for value in (12345.6, 12.34, 1.234, 0.01234)]
        self.assertEqual(shown, ["12,346", "12.3", "1.23", "0.0123"])


class Plots(unittest.TestCase):
    def test_a_plot_is_well_formed_whatever_its_labels_say(self) -> None:
        bars = [svg.Bar("taja", "a < b & c", 2.0, "2 <s>", 1.0, 3.0), svg.Bar("?", "", 0.0, "", 0.0, 0.0)]
        root = ElementTree.fromstring(svg.bars("x & y", "<z>", bars))
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        rectangles = root.findall("{http://www.w3.org/2000/svg}rect")
        self.assertEqual(len(rectangles), 3)
        self.assertLessEqual(max(float(one.get("width", 0)) for one in rectangles[1:]), svg.WIDTH)

    def test_no_bars_and_bars_of_nothing_are_drawn(self) -> None:
        for bars in ([], [svg.Bar("taja", "x", 0.0, "0", 0.0, 0.0)]):
            ElementTree.fromstring(svg.bars("t", "s", bars))

    def test_a_file_name_is_plain(self) -> None:
        self.assertEqual(slug("HTTP, GET /search/job/{id}: p99"), "http-get-search-job-id-p99")
