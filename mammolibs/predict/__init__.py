"""Image -> findings, in the pixel coordinates of the original."""

from mammolibs.predict.finder import Analysis, Finder
from mammolibs.predict.findings import make_findings, refused_findings
from mammolibs.predict.overlay import draw, write_overlay
from mammolibs.predict.regions import Region, RegionRule, find_regions
from mammolibs.predict.statistics import Statistics, estimate_statistics, running_norms

__all__ = [
    "Analysis",
    "Finder",
    "Region",
    "RegionRule",
    "Statistics",
    "draw",
    "estimate_statistics",
    "find_regions",
    "make_findings",
    "refused_findings",
    "running_norms",
    "write_overlay",
]
