"""Headers of many files: the pool gives what one process gives, and a bad file costs itself only."""

import pytest

from mammolibs.catalog import headers
from mammolibs.errors import BadFile
from tests.catalog.trees import write_dicom


def test_a_pool_reads_what_one_process_reads(tmp_path, monkeypatch):
    paths = [write_dicom(tmp_path / f"{n}.dcm", PatientID=f"P{n}") for n in range(6)]
    paths[3].write_text("a text file")
    alone = headers.Headers(paths)
    monkeypatch.setattr(headers, "POOL_FROM_FILES", 2)
    pooled = headers.Headers(paths)
    for path in paths[:3] + paths[4:]:
        assert pooled[path] == alone[path] and pooled[path].source_file == str(path)
    for read in (alone, pooled):
        with pytest.raises(BadFile, match="3.dcm"):
            read[paths[3]]
