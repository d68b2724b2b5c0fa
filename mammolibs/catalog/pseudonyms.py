"""Ids of people's own data: replaced by pseudonyms once their source was read, before anything else sees them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mammolibs.catalog.files import read_key_mark
from mammolibs.catalog.source import Source
from mammolibs.catalog.words import OWN, joined, make_id, make_person
from mammolibs.errors import BadConfig, BadFile
from mammolibs.records import SPLITS, ImageRow
from mammolibs.storage import below, leaves_machine

if TYPE_CHECKING:
    from mammolibs.imaging import Pseudonyms

KEY_NAME = "pseudonyms.key"
OLDEST_YEARS = 90


def pseudonymous(row: ImageRow, pseudonyms: Pseudonyms) -> ImageRow:
    """The row with pseudonyms for the ids of image, parent, patient, exam and lesions, and an age of 90 at most.

    A patient gets the name that `deidentify_file` writes into his or her images under the same key, and the same one in
    every source of people's own data: who is in two of them must not cross a split. The places of the files stay: they
    lead whoever may read them back to the image.
    """
    source = row.source

    def image(name: str) -> str:
        return make_id(source, pseudonyms.text("image", name)) if name else ""

    patient = pseudonymous_person("patient", source, row.patient_id, pseudonyms)
    # An exam that is called as its patient says that no exams are known.
    exam = patient if row.exam_id == row.patient_id else pseudonymous_person("exam", source, row.exam_id, pseudonyms)
    lesions = (replace(lesion, lesion_id=make_id(source, pseudonyms.text("lesion", lesion.lesion_id))) for lesion in row.lesions)
    return replace(
        row,
        image_id=image(row.image_id),
        parent_id=image(row.parent_id),
        patient_id=patient,
        exam_id=exam,
        lesions=tuple(lesions),
        age_years=None if row.age_years is None else min(row.age_years, OLDEST_YEARS),
    )


def pseudonymous_person(kind: str, source: str, name: str, pseudonyms: Pseudonyms) -> str:
    """The id of a patient or an exam as the catalog writes it, from that of the source."""
    return make_person(OWN, pseudonyms.text(kind, pseudonyms.person(name.removeprefix(f"{source}/"))))


def pseudonymous_split(split: Mapping[str, str], sources: Mapping[str, Source], pseudonyms: Pseudonyms) -> dict[str, str]:
    """patient_id -> split, with pseudonyms for the patients of sources whose ids are private: they stay where they are."""

    def name(patient: str) -> str:
        source = patient.partition("/")[0]
        is_private = source in sources and sources[source].private_ids
        return pseudonymous_person("patient", source, patient, pseudonyms) if is_private else patient

    return _nearest_to_training((name(patient), part) for patient, part in split.items())


def joined_split(split: Mapping[str, str]) -> dict[str, str]:
    """patient_id -> split of one that has pseudonyms, by the one name that sources of people's own data share."""
    return _nearest_to_training((joined(patient), part) for patient, part in split.items())


def _nearest_to_training(places: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Who lay in two parts may have been trained on, and must not be judged on any more."""
    found: dict[str, str] = {}
    for patient, part in places:
        found[patient] = min(found.get(patient, part), part, key=SPLITS.index)
    return found


def open_pseudonyms(folder: str | Path, key: str | Path | None = None) -> Pseudonyms:
    """The pseudonyms of the catalog in `folder`: of the file `key`, else of pseudonyms.key beside the catalog, made where there is none.

    Raises BadFile as `open_key`, and where the key that the catalog's split was made with is not there; BadConfig without `key` for
    a folder in a bucket, or one that is the copy of a cloud folder: a key that was made there would be gone with this machine's
    cache. BadConfig for another key too: every patient would get a second name, and perhaps a second split.
    """
    from mammolibs.imaging import open_key

    path = Path(key or Path(folder, KEY_NAME))
    if not key and leaves_machine(folder) and not path.exists():
        raise BadConfig(f"{folder}: no bucket gets the key of your patients' pseudonyms; give --key FILE on this machine")
    mark = read_key_mark(below(folder, "split.json"))
    if mark and not path.exists():
        raise BadFile(path, f"is not there, and the split in {folder} was made with it", "restore it, or name it with --key FILE")
    if not key:
        try:
            Path(folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadFile(folder, f"cannot be written ({error.strerror})", "choose a folder that you may write to") from error
    pseudonyms = open_key(path)
    if mark not in ("", pseudonyms.mark):
        raise BadConfig(f"--key {path}: the split in {folder} was made with another key; give that, or another folder")
    return pseudonyms
