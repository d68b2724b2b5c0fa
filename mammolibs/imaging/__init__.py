"""A file -> Mammogram: DICOM header, pixels and display chain; PNG, PGM, JPEG, TIFF; writing; de-identification."""

from mammolibs.imaging.deidentify import deidentify_file, identify
from mammolibs.imaging.deidentify_key import Pseudonyms, PublishedIds, open_key
from mammolibs.imaging.files import is_image_name, iter_image_files
from mammolibs.imaging.read import read_facts, read_mammogram, read_stored
from mammolibs.imaging.stored import StoredImage

__all__ = [
    "Pseudonyms",
    "PublishedIds",
    "StoredImage",
    "deidentify_file",
    "identify",
    "is_image_name",
    "iter_image_files",
    "open_key",
    "read_facts",
    "read_mammogram",
    "read_stored",
]
