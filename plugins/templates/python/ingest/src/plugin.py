"""Takes a product without the pictures that are known, repeated or tiny."""

from dataclasses import dataclass

from taja import policy, settings
from taja.ingest import Decision, Details, DropReason, Pictures, Submission
from taja.settings import whole
from wit_world import exports
from wit_world.imports import catalogue


@dataclass(frozen=True)
class Settings(settings.Settings):
    """The settings, with the defaults of `plugin.toml`."""

    min_side: int = whole(16, least=1, most=4096)


class Ingesting(exports.Ingesting):
    @policy
    def decide(self, submission: Submission) -> Decision:
        settings = Settings.parse(submission.settings)
        details = submission.details
        details.name = " ".join(details.name.split())
        pictures = Pictures(submission)
        if not details.name:
            return pictures.reject("a product needs a name")
        sort_out(submission, pictures, settings.min_side)
        return pictures.create(details, index_text(details))


def sort_out(submission: Submission, pictures: Pictures, min_side: int) -> None:
    """Drops the pictures that are not kept."""
    seen: set[str] = set()
    for upload in submission.uploads:
        sha256 = upload.image.sha256()
        if min(upload.image.width(), upload.image.height()) < min_side:
            pictures.drop(upload.index, DropReason.UNSUITABLE)
        elif sha256 in seen:
            pictures.drop(upload.index, DropReason.REPEATED)
        elif stored := catalogue.image_by_hash(sha256):
            pictures.drop(upload.index, DropReason.EXACT_DUPLICATE, stored)
        seen.add(sha256)


def index_text(details: Details) -> str:
    """The words by which the product is found."""
    texts = [details.name, details.category, details.color, *details.key_features, details.description]
    return "\n".join(text for text in texts if text)
