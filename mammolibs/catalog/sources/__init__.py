"""The data sets that can be read: one file each, name -> source in `SOURCES`."""

from mammolibs.catalog.source import Source
from mammolibs.catalog.sources import (
    bcdr,
    bcs_dbt,
    bmcd,
    cbis_ddsm,
    cdd_cesm,
    cmmd,
    csv_table,
    dicom_folder,
    duke_mri,
    embed,
    inbreast,
    kau_bcmd,
    mias,
    mini_ddsm,
    omi_db,
    phantom,
    rsna,
    vindr,
)

_MODULES = (
    phantom,
    dicom_folder,
    mias,
    cbis_ddsm,
    cdd_cesm,
    inbreast,
    vindr,
    rsna,
    bcs_dbt,
    duke_mri,
    cmmd,
    bmcd,
    mini_ddsm,
    bcdr,
    kau_bcmd,
    embed,
    omi_db,
    csv_table,
)
SOURCES: dict[str, Source] = {module.SOURCE.name: module.SOURCE for module in _MODULES}

__all__ = ["SOURCES"]
