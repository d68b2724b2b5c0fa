"""Where catalog, imaging, prepare and shards meet: rows of the catalog become shard sets of images and of patches."""

from mammolibs.ingest.images import ingest_images
from mammolibs.ingest.patches import PatchRequest, ingest_patches, normal_requests, truth_requests
from mammolibs.ingest.reading import prepare_row, read_lesions, read_mask, read_row
from mammolibs.ingest.report import IngestReport

__all__ = [
    "IngestReport", "PatchRequest", "ingest_images", "ingest_patches", "normal_requests", "prepare_row", "read_lesions", "read_mask", "read_row",
    "truth_requests",
]
