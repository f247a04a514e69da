"""A decision names every picture once."""

import unittest

from taja.ingest import Details, DropReason, Pictures, Submission, Upload
from wit_world.exports.ingesting import Outcome_Create, Outcome_Merge, Outcome_Reject
from wit_world.imports.catalogue import StoredImage
from wit_world.imports.media import Image


def submission(*places: int) -> Submission:
    details = Details("Lamp", 1.0, "EUR", "", "", "", None, None, "", [], [], "{}")
    return Submission(details, [Upload(place, Image()) for place in places], "{}")


class Deciding(unittest.TestCase):
    def test_what_is_not_dropped_is_kept_in_the_order_of_the_request(self) -> None:
        given = submission(0, 2, 3)
        pictures = Pictures(given)
        pictures.drop(2, DropReason.REPEATED)
        decision = pictures.create(given.details, "lamp")
        assert isinstance(decision.outcome, Outcome_Create)
        self.assertEqual(decision.outcome.value.keep, [0, 3])
        self.assertEqual([dropped.index for dropped in decision.dropped], [2])

    def test_the_stored_picture_is_named_and_the_last_reason_counts(self) -> None:
        pictures = Pictures(submission(0, 1))
        pictures.drop(1, DropReason.UNSUITABLE)
        pictures.drop(1, DropReason.EXACT_DUPLICATE, StoredImage("p1", "ab"))
        decision = pictures.merge("p1")
        assert isinstance(decision.outcome, Outcome_Merge)
        self.assertEqual(decision.outcome.value.keep, [0])
        (dropped,) = decision.dropped
        self.assertEqual((dropped.reason, dropped.product_id), (DropReason.EXACT_DUPLICATE, "p1"))

    def test_a_rejection_tells_its_reason(self) -> None:
        decision = Pictures(submission()).reject("no name")
        assert isinstance(decision.outcome, Outcome_Reject)
        self.assertEqual(decision.outcome.value, "no name")

    def test_a_picture_that_was_not_submitted_cannot_be_dropped(self) -> None:
        with self.assertRaisesRegex(ValueError, "no picture at place 1"):
            Pictures(submission(0)).drop(1, DropReason.UNSUITABLE)
