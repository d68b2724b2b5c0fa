"""Image -> findings, in the pixel coordinates of the original."""

from mammolibs.predict.finder import Analysis, Finder, Prepared, prepare_both
from mammolibs.predict.findings import make_findings
from mammolibs.predict.overlay import draw, preview, write_overlay
from mammolibs.predict.regions import Region, RegionRule, find_regions

__all__ = [
    "Analysis", "Finder", "Prepared", "Region", "RegionRule", "draw", "find_regions", "make_findings", "prepare_both", "preview",
    "write_overlay",
]
