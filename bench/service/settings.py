"""Settings of the Python service, from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Where the service's neighbours are, and how it searches."""

    mongo_uri: str
    mongo_db: str
    redis_url: str
    cloudinary_api: str
    weights: Path
    uploads: Path
    threads: int
    catalogue_in_memory: bool
    limit: int = 20

    @classmethod
    def read(cls) -> "Settings":
        """Reads them; what is missing is said by name."""
        return cls(
            mongo_uri=os.environ["MONGO_URI"],
            mongo_db=os.environ["MONGO_DB"],
            redis_url=os.environ["REDIS_URL"],
            cloudinary_api=os.environ["CLOUDINARY_API"],
            weights=Path(os.environ["WEIGHTS"]),
            uploads=Path(os.environ["UPLOADS"]),
            threads=int(os.environ.get("TORCH_THREADS", os.cpu_count() or 1)),
            catalogue_in_memory=os.environ.get("CATALOGUE") == "memory",
        )
