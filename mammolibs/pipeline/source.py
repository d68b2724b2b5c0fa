"""One file that nobody has catalogued, as `predict` needs it. No torch: a worker that reads must start at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mammolibs.imaging import read_facts, read_mammogram
from mammolibs.imaging.preview import preview
from mammolibs.prepare import Contract, Prepared, prepare_both


# CR and DX: plates and detectors that say no more of themselves; OT: pictures that somebody put into DICOM.
MAMMOGRAPHY = ("MG", "CR", "DX", "OT")


@dataclass(frozen=True, eq=False, kw_only=True)
class Source:
    """One file, prepared: for the networks, and small for the eye (uint8 H W). warning: what its header says against it, else ""."""

    path: Path
    frame: str
    warning: str
    prepared: Prepared
    picture: np.ndarray


def read_source(path: Path, contract: Contract, spacing_mm: float | None) -> Source:
    """One file for the networks and for the eye; of several frames the middle one, as in training. Raises BadFile."""
    facts = read_facts(path)
    frames = facts.frames
    mammogram = read_mammogram(path, frame=frames // 2, spacing_mm=spacing_mm)
    frame = f"frame {frames // 2 + 1} of {frames}" if frames > 1 else ""
    foreign = facts.modality and facts.modality not in MAMMOGRAPHY
    warning = f"not a mammogram: its header says modality {facts.modality}; what is found means nothing" if foreign else ""
    return Source(path=path, frame=frame, warning=warning, prepared=prepare_both(mammogram, contract), picture=preview(mammogram.pixels))
