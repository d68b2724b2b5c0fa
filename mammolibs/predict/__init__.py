"""Image -> findings, in the pixel coordinates of the original."""

from mammolibs.predict.finder import Analysis, Finder, Prepared, prepare_both
from mammolibs.predict.regions import Region, RegionRule, find_regions

__all__ = ["Analysis", "Finder", "Prepared", "Region", "RegionRule", "find_regions", "prepare_both"]
