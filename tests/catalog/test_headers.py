"""Headers of many files: the pool gives what one process gives, and a bad file costs itself only."""

import os

import pytest

from mammolibs.catalog import headers
from mammolibs.errors import BadFile
from tests.catalog.trees import write_dicom

read_group = headers.read_group


def deadly(paths):
    """A reader of groups that a file named 1.dcm kills."""
    if any(path.name == "1.dcm" for path in paths):
        os._exit(1)
    return read_group(paths)


def test_a_pool_reads_what_one_process_reads_and_a_killer_costs_its_group_a_second_reading(tmp_path, monkeypatch):
    paths = [write_dicom(tmp_path / f"{n}.dcm", PatientID=f"P{n}") for n in range(6)]
    paths[3].write_text("a text file")
    alone = headers.Headers(paths)
    for name, value in {"POOL_FROM_FILES": 2, "FILES_AT_A_TIME": 2, "MOST_WORKERS": 1, "read_group": deadly}.items():
        monkeypatch.setattr(headers, name, value)
    pooled = headers.Headers(paths)
    for path in paths[:3] + paths[4:]:
        assert pooled[path] == alone[path] and pooled[path].source_file == str(path)
    for read in (alone, pooled):
        with pytest.raises(BadFile, match="3.dcm"):
            read[paths[3]]
