"""A DICOMDIR: the list that a CD, or any other medium, keeps of its files (PS3.3 Annex F, PS3.10 section 8)."""

from __future__ import annotations

import os

from mammolibs.errors import BadFile
from mammolibs.imaging.guard import quiet, reading
from mammolibs.imaging.header import items_of, open_header, text_of, value_of

_INACTIVE = 0


def listed_images(path: str | os.PathLike) -> list[str]:
    """The files that a DICOMDIR calls images, below its own folder, with "/", in its order; those it has taken out of use are left out.

    Raises BadFile where the file is damaged or no DICOMDIR.
    """
    with open_header(path) as header, quiet():
        with reading(path, "has a list of files that cannot be read", "give the folder that it lies in"):
            if "DirectoryRecordSequence" not in header.dataset:
                raise BadFile(path, "is no DICOMDIR", "give the folder that holds the images")
            records = items_of(header.dataset, "DirectoryRecordSequence")
            images = [record for record in records if text_of(record, "DirectoryRecordType") == "IMAGE"]
            used = [record for record in images if value_of(record, "RecordInUseFlag") != _INACTIVE]
            places = [value_of(record, "ReferencedFileID", ()) for record in used]
    return ["/".join([place] if isinstance(place, str) else place) for place in places if place]
