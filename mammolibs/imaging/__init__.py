"""A file -> Mammogram: DICOM header, pixels and display chain; PNG, PGM, JPEG; writing."""

from mammolibs.imaging.files import is_image_name, iter_image_files
from mammolibs.imaging.read import read_facts, read_mammogram, read_stored
from mammolibs.imaging.stored import StoredImage

__all__ = ["StoredImage", "is_image_name", "iter_image_files", "read_facts", "read_mammogram", "read_stored"]
