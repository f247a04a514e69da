"""The contract of ingestion plugins: an uploaded product in, a decision out."""

from wit_world.exports.ingesting import (
    Decision,
    Details,
    Dropped,
    DropReason,
    Merge,
    Outcome,
    Outcome_Create,
    Outcome_Duplicate,
    Outcome_Merge,
    Outcome_Reject,
    Product,
    Submission,
    Upload,
)
from wit_world.imports.catalogue import StoredImage

__all__ = [
    "Decision",
    "Details",
    "DropReason",
    "Dropped",
    "Outcome",
    "Pictures",
    "Submission",
    "Upload",
]


class Pictures:
    """The pictures of a submission: each is kept unless it is dropped, so that a decision names every one once."""

    def __init__(self, submission: Submission) -> None:
        self._uploads = [upload.index for upload in submission.uploads]
        self._dropped: dict[int, Dropped] = {}

    def drop(self, index: int, reason: DropReason, stored: StoredImage | None = None) -> None:
        """Does not keep the picture at this place of the request; `stored` is the one it equals or resembles."""
        if index not in self._uploads:
            raise ValueError(f"the request has no picture at place {index}")
        if stored is None:
            self._dropped[index] = Dropped(index, reason, "", "")
        else:
            self._dropped[index] = Dropped(index, reason, stored.product_id, stored.sha256)

    def kept(self) -> list[int]:
        """Places in the request of the pictures that are kept, in its order."""
        return [index for index in self._uploads if index not in self._dropped]

    def create(self, details: Details, index_text: str) -> Decision:
        """A new product. `index_text` is the text by which keyword search finds it."""
        return self._decision(Outcome_Create(Product(details, self.kept(), index_text)))

    def merge(self, product_id: str) -> Decision:
        """The pictures that are kept are added to a stored product, whose text stays as it is."""
        return self._decision(Outcome_Merge(Merge(product_id, self.kept())))

    def duplicate(self, product_id: str) -> Decision:
        """Everything is known already as this product; nothing is stored."""
        return self._decision(Outcome_Duplicate(product_id))

    def reject(self, reason: str) -> Decision:
        """The submission is refused; nothing is stored. The reason is for the client."""
        return self._decision(Outcome_Reject(reason))

    def _decision(self, outcome: Outcome) -> Decision:
        return Decision(outcome, list(self._dropped.values()))
