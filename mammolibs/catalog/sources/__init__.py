"""The data sets that can be read: one file each, name -> source in `SOURCES`."""

from mammolibs.catalog.source import Source
from mammolibs.catalog.sources import cbis_ddsm, cdd_cesm, dicom_folder, mias, phantom

SOURCES: dict[str, Source] = {module.SOURCE.name: module.SOURCE for module in (phantom, dicom_folder, mias, cbis_ddsm, cdd_cesm)}

__all__ = ["SOURCES"]
