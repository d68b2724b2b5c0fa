"""NBSS, the records of the British screening service that come with OMI-DB: what an episode says of one breast.

An episode has events (SCREENING, OTHERSCREENING, ASSESSMENT, CLINICAL, BIOPSYFINE, ...), an
event has sides L and R, and most sides have lesions by number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammolibs.catalog.words import worst_pathology
from mammolibs.records import UNKNOWN

# What a pathologist said, the last word first. Uncertain and suspicious (B3, B4, C3, C4) and unsatisfactory specimens prove nothing.
PROOFS = ("SURGERY", "BIOPSYWIDE", "BIOPSYFINE")
_PROVEN = {"B5": "malignant", "C5": "malignant", "H5": "malignant", "B2": "benign", "C2": "benign", "H1": "benign", "H2": "benign"}
# What a reader said.
_READ = {"R1": "normal", "RN": "normal", "R2": "benign", "RB": "benign", "A1": "normal", "A2": "benign"}
# Of a whole side; the codes and their words.
_SIDE_PROVEN = {"OM": "malignant", "MALIGNANT": "malignant", "OB": "benign", "BENIGN": "benign"}
_SIDE_READ = {"ON": "normal", "NORMAL": "normal", "OB": "benign", "BENIGN": "benign"}
SIDES = {"L": "left_opinion", "R": "right_opinion"}
_INTERVAL_CANCER = ("CI", "INTERVAL CASE")


def mapping(value: Any) -> Mapping[str, Any]:
    """Where the files have null or a list for "nothing", nothing."""
    return value if isinstance(value, dict) else {}


def interval_sides(episode: Mapping[str, Any]) -> str:
    """The breasts with an interval cancer: those that the event names in an episode of any type; both where an episode of that type has no event."""
    sides = "".join(side for side in SIDES if mapping(episode.get("INTERVALCANCER")).get(side))
    return sides or ("LR" if str(episode.get("EpisodeType")).upper() in _INTERVAL_CANCER else "")


def proven_label(episode: Mapping[str, Any], side: str, lesion: str | None = None) -> str:
    """What histology or cytology says of a breast (L or R), or of one NBSS lesion in it: malignant, benign or unknown.

    Malignant where any specimen was; else the last word: of surgery, of the core biopsy, of the needle.
    """
    said = []
    for event in PROOFS:
        content = mapping(episode.get(event))
        lesions = mapping(content.get(side))
        chosen = lesions.values() if lesion is None else [lesions.get(lesion)]
        opinions = [str(mapping(one).get("Opinion") or "").upper()[:2] for one in chosen]
        labels = [_PROVEN.get(opinion, UNKNOWN) for opinion in opinions if opinion]
        if lesion is None:
            labels += [_SIDE_PROVEN[word] for word in [str(content.get(SIDES[side])).upper()] if word in _SIDE_PROVEN and not labels]
        if labels:
            said.append(worst_pathology(labels))
    return "malignant" if "malignant" in said else next(iter(said), UNKNOWN)


def read_label(episode: Mapping[str, Any], side: str) -> str:
    """What readers say of a breast that nobody took a specimen of: normal, benign, or unknown for any suspicion.

    Assessment has the last word; without it the worst of all screenings counts. A breast that was
    examined for a complaint is not normal, whatever its images were read as.
    """
    others = mapping(episode.get("OTHERSCREENING"))
    screened = [label for event in (episode.get("SCREENING"), *others.values()) for label in _readings(mapping(event), side)]
    label = worst_pathology(_readings(mapping(episode.get("ASSESSMENT")), side) or screened)
    return UNKNOWN if label == "normal" and _complained_of(mapping(episode.get("CLINICAL")), side) else label


def _readings(event: Mapping[str, Any], side: str) -> list[str]:
    """What one event says of a breast; unknown where the breast is there without an opinion, nothing where it is not there."""
    said = ((event.get(SIDES[side]), _SIDE_READ), (mapping(event.get(side)).get("Opinion"), _READ))
    labels = [known.get(str(word).upper(), UNKNOWN) for word, known in said if word]
    return labels or ([UNKNOWN] if event.get(side) else [])


def _complained_of(clinical: Mapping[str, Any], side: str) -> bool:
    opinion = clinical.get(SIDES[side])
    return bool(clinical.get(side)) or bool(opinion and _SIDE_READ.get(str(opinion).upper()) != "normal")
