"""The text files of a DDSM case: `.ics` (how each film was scanned) and `.OVERLAY` (what was marked on it) (Heath et al. 2001)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from mammolibs.catalog.label_tables import read_text
from mammolibs.catalog.outlines import contour
from mammolibs.catalog.words import PATHOLOGY_WORDS, translate
from mammolibs.errors import BadData, BadFile
from mammolibs.records import UNKNOWN, ImageFacts, Outline

ASPECT_TOLERANCE = 0.01
_REMEDY = "take this file from the data set again"
# Steps of the chain code, x right and y down: 0 is up, then clockwise.
_STEPS = np.array([(0, -1), (1, -1), (1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1)])
_PATHOLOGIES = PATHOLOGY_WORDS | {"unproven": UNKNOWN}
_TRUTHS = {"MALIGNANT": "biopsy", "BENIGN": "biopsy", "BENIGN_WITHOUT_CALLBACK": "read"}
# Shapes that are no mass, where a lesion has no other.
_OTHER_KINDS = {
    "ARCHITECTURAL_DISTORTION": "distortion",
    "ASYMMETRIC_BREAST_TISSUE": "asymmetry",
    "FOCAL_ASYMMETRIC_DENSITY": "asymmetry",
}
_SCAN = re.compile(r"(LEFT|RIGHT)_(CC|MLO)\s+LINES\s+(\d+)\s+PIXELS_PER_LINE\s+(\d+)\s+BITS_PER_PIXEL\s+\d+\s+RESOLUTION\s+(\d+\.?\d*)")


@dataclass(frozen=True)
class Scan:
    """How a film was scanned: size in pixels, spacing in mm, and with what."""

    rows: int
    columns: int
    spacing_mm: float
    digitizer: str

    def scale(self, facts: ImageFacts) -> float:
        """Pixels of this copy per pixel of the scan. Raises BadData for a copy of another shape."""
        across, down = facts.columns / self.columns, facts.rows / self.rows
        if abs(across / down - 1) > ASPECT_TOLERANCE:
            raise BadData(f"is {facts.columns} x {facts.rows} pixels, and its film was scanned with {self.columns} x {self.rows}")
        return across


@dataclass(frozen=True)
class Abnormality:
    """What was marked. word: the overlay's PATHOLOGY. boundary: int array N 2, x and y in pixels of the scan, closed."""

    kind: str
    word: str
    assessment: str
    boundary: np.ndarray

    @property
    def pathology(self) -> str:
        return translate(self.word, _PATHOLOGIES, "PATHOLOGY")

    @property
    def truth(self) -> str:
        return _TRUTHS.get(self.word, UNKNOWN)

    def outline(self, scale: float) -> Outline:
        """The boundary in a copy with `scale` pixels per pixel of the scan. Pixel centres are at integers in both."""
        return contour(*((self.boundary + 0.5) * scale - 0.5).T.tolist())


def kind_of_shape(words: str) -> str:
    """The lesion's kind by its SHAPE, in the words of DDSM and of CBIS-DDSM's mass tables; all other shapes are masses."""
    return _OTHER_KINDS.get(words, "mass")


def read_scans(path: Path) -> dict[str, Scan]:
    """Film, such as LEFT_CC, -> its scan, of an `.ics` file; films without a readable line are left out. Raises BadFile."""
    text = read_text(path)
    digitizer = re.search(r"^DIGITIZER +(.+?)\s*$", text, re.MULTILINE)
    return {
        f"{side}_{view}": Scan(int(rows), int(columns), float(microns) / 1000, digitizer[1] if digitizer else "")
        for side, view, rows, columns, microns in _SCAN.findall(text)
        if int(rows) and int(columns)
    }


def read_overlay(path: Path) -> list[Abnormality]:
    """The abnormalities of an `.OVERLAY` file in its order; of each the outer boundary. Raises BadFile."""
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    starts = [i for i, words in enumerate(lines) if words[0] == "ABNORMALITY"]
    found = [_abnormality(path, lines[a:b]) for a, b in pairwise([*starts, len(lines)])]
    said = next((words[1:] for words in lines if words[0] == "TOTAL_ABNORMALITIES"), [])
    if said != [str(len(found))]:
        raise BadFile(path, f"says that it has {' '.join(said) or 'no number of'} abnormalities and has {len(found)}", _REMEDY)
    return found


def _abnormality(path: Path, lines: list[list[str]]) -> Abnormality:
    facts = {words[0]: words[1] for words in reversed(lines) if len(words) == 2}
    boundary = next((i for i, words in enumerate(lines) if words == ["BOUNDARY"]), None)
    chain = lines[boundary + 1] if boundary is not None and boundary + 1 < len(lines) else []
    types = [words[1:] for words in lines if words[0] == "LESION_TYPE" and len(words) > 1]
    missing = [name for name, there in (("PATHOLOGY", "PATHOLOGY" in facts), ("LESION_TYPE", types), ("BOUNDARY", chain)) if not there]
    if missing:
        raise BadFile(path, f"has an abnormality without {missing[0]}", _REMEDY)
    return Abnormality(_kind(types), facts["PATHOLOGY"], facts.get("ASSESSMENT", ""), _decode(path, chain))


def _kind(types: list[list[str]]) -> str:
    """MASS SHAPE ROUND ..., CALCIFICATION TYPE ...; an abnormality may be both, and then counts as a mass."""
    masses = [words for words in types if words[0] == "MASS"]
    if masses:
        shape = masses[0][masses[0].index("SHAPE") + 1 :][:1] if "SHAPE" in masses[0] else []
        return kind_of_shape(" ".join(shape))
    return "calcification" if any(words[0] == "CALCIFICATION" for words in types) else "other"


def _decode(path: Path, chain: list[str]) -> np.ndarray:
    """x y of the first point, then the chain code, then #."""
    try:
        x, y, *codes = (int(word) for word in chain[: chain.index("#")])
        steps = _STEPS[codes] if min(codes) >= 0 else None
    except (ValueError, IndexError):
        steps = None
    if steps is None:
        raise BadFile(path, "has a boundary that cannot be read", _REMEDY)
    return np.vstack([[[x, y]], [x, y] + np.cumsum(steps, axis=0)])
