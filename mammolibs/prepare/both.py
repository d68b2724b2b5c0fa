"""An image for both stages at once: on the canvas, and at full resolution for patches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mammolibs.prepare.contract import Contract
from mammolibs.prepare.orient import Located, locate
from mammolibs.prepare.sample import FullResolution, full_resolution, prepare_image
from mammolibs.records import Mammogram, Sample


@dataclass(frozen=True, eq=False, kw_only=True)
class Prepared:
    """An image as the two stages need it: on the canvas for the first, at full resolution for the second.

    cues: what it shows besides tissue (`ingest.Cues`), where somebody asked for it.
    """

    sample: Sample
    full: FullResolution
    cues: Any = None


def prepare_both(mammogram: Mammogram, contract: Contract, *, located: Located | None = None, **known: Any) -> Prepared:
    """The image on the canvas and at full resolution; `known` is what `prepare_image` takes of labels.

    located: where its breast lies, where somebody has looked for it already.

    Raises BadFile where no breast is found.
    """
    located = located or locate(mammogram, contract)
    sample = prepare_image(mammogram, contract, located=located, **known)
    return Prepared(sample=sample, full=full_resolution(mammogram, contract, located=located))
