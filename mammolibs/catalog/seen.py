"""Whom a network has seen, in a form that names nobody and that a card can carry: short hashes of patient ids.

Eight bytes of each id's sha256, sorted, as base64: 11 characters a patient, 107 kB for 10,000. Of 10,000 patients
against 10,000 others one pair agrees by chance once in 2e11 times. The hashes have no key, so that anybody who has a
test set can ask; who can guess an id can ask too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from mammolibs.catalog.words import spellings
from mammolibs.errors import BadData

_BYTES = 8


def pack_patients(patients: Iterable[str]) -> str:
    """The patients' hashes as text, whatever their order and however often each is named."""
    return _to_text({_hash(patient) for patient in patients})


def join_packed(*packed: str) -> str:
    """All hashes of several such texts. Raises BadData for text that is none."""
    return _to_text(set().union(*map(_hashes, packed)))


def without_packed(packed: str, others: str) -> str:
    """The hashes of the first that the second has not. Raises BadData for text that is none."""
    return _to_text(_hashes(packed) - _hashes(others))


def count_packed(packed: str) -> int:
    """How many patients. Raises BadData for text that is none."""
    return len(_hashes(packed))


def patients_among(packed: str, patients: Iterable[str]) -> list[str]:
    """Those of the patients whose hashes are there, by any name of theirs, sorted. Raises BadData for text that is none."""
    hashes = _hashes(packed)
    return sorted(patient for patient in set(patients) if not hashes.isdisjoint(map(_hash, spellings(patient))))


def _hash(patient: str) -> bytes:
    return hashlib.sha256(patient.encode()).digest()[:_BYTES]


def _to_text(hashes: Iterable[bytes]) -> str:
    return base64.b64encode(b"".join(sorted(hashes))).decode()


def _hashes(packed: str) -> set[bytes]:
    try:
        data = base64.b64decode(packed, validate=True)
    except ValueError as error:
        raise BadData(f"the list of patients that a card carries is damaged ({error}); restore the card, or train again") from error
    if len(data) % _BYTES:
        raise BadData("the list of patients that a card carries is cut short; restore the card, or train again")
    return {data[place : place + _BYTES] for place in range(0, len(data), _BYTES)}
