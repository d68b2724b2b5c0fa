"""Where catalog, imaging, prepare and shards meet: rows of the catalog become shards of images and of patches, and derived copies."""

from mammolibs.ingest.cues import Cues, cues_of, prepare_row_with_cues, read_cues
from mammolibs.ingest.derive import DeriveReport, Recipe, derive_images, parse_rotations
from mammolibs.ingest.gate import admit, examine
from mammolibs.ingest.images import ingest_images
from mammolibs.ingest.mirrored import settle_shown
from mammolibs.ingest.patches import PATCH_KINDS, PatchRequest, ingest_patches, normal_requests, patch_requests, truth_requests
from mammolibs.ingest.reading import prepare_row, read_lesions, read_mask, read_row
from mammolibs.ingest.report import IngestReport

__all__ = [
    "Cues",
    "DeriveReport",
    "IngestReport",
    "PATCH_KINDS",
    "PatchRequest",
    "Recipe",
    "admit",
    "cues_of",
    "derive_images",
    "examine",
    "ingest_images",
    "ingest_patches",
    "normal_requests",
    "parse_rotations",
    "patch_requests",
    "prepare_row",
    "prepare_row_with_cues",
    "read_cues",
    "read_lesions",
    "read_mask",
    "read_row",
    "settle_shown",
    "truth_requests",
]
