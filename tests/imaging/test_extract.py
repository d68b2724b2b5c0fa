"""extract_dicom.py: PNG and JSON as specified, folders kept apart, bad files listed, one line and exit code 2."""

import csv
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest

from mammolibs.errors import BadData, BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.imaging.extract import extract, extract_file, plan
from tests.imaging.make import dicom_bytes, texture

ROOT = Path(__file__).parents[2]
KEYS = [
    "source_file",
    "transfer_syntax",
    "rows",
    "columns",
    "bits_stored",
    "photometric",
    "laterality",
    "view",
    "spacing_mm",
    "manufacturer",
    "presentation_intent",
    "frame",
    "display_chain",
]


def run(*arguments):
    command = [sys.executable, str(ROOT / "dataset_enhancement" / "extract_dicom.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)


def png(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def here(monkeypatch):
    """Extraction in this process: spawning is the pool's own test."""
    import mammolibs.imaging.extract as room
    from mammolibs.imaging.pool import map_files

    monkeypatch.setattr(room, "map_files", lambda function, items, **how: map_files(function, items, **{**how, "workers": 0}))


def test_a_file_as_displayed(tmp_path, here):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(texture(12), bits=12, ImageLaterality="L", ViewPosition="CC", ImagerPixelSpacing=[0.07, 0.07], Manufacturer="ACME",
                                 WindowCenter=2000, WindowWidth=3000, PhotometricInterpretation="MONOCHROME1"))  # fmt: skip
    report = extract(path, tmp_path / "out")
    pixels, facts = png(tmp_path / "out" / "a.png"), json.loads((tmp_path / "out" / "a.json").read_text())
    assert report.written == 1 and sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.png"]
    assert pixels.dtype == np.uint16 and np.array_equal(pixels, np.rint(read_mammogram(path).pixels * 65535))
    assert list(facts) == KEYS
    assert facts == {
        "source_file": str(path), "transfer_syntax": "1.2.840.10008.1.2.1", "rows": 40, "columns": 32, "bits_stored": 12,
        "photometric": "MONOCHROME1", "laterality": "L", "view": "CC", "spacing_mm": 0.07, "manufacturer": "ACME",
        "presentation_intent": "FOR PRESENTATION", "frame": 0, "display_chain": ["window LINEAR center 2000 width 3000", "inverted"],
    }  # fmt: skip


@pytest.mark.parametrize("bits,signed", [(12, False), (12, True), (16, True), (8, False)])
def test_raw_values(tmp_path, here, bits, signed):
    frames = np.stack([texture(bits, signed=signed, seed=seed) for seed in range(2)])
    path = tmp_path / "IM1"
    path.write_bytes(dicom_bytes(frames, bits=bits))
    assert extract(path, tmp_path / "out", raw=True).written == 2
    for frame in range(2):
        facts = json.loads((tmp_path / "out" / f"IM1_f00{frame}.json").read_text())
        assert list(facts) == [*KEYS, "value_offset"] and facts["frame"] == frame and facts["display_chain"] == []
        assert facts["value_offset"] == (32768 if signed else 0)
        pixels = png(tmp_path / "out" / f"IM1_f00{frame}.png")
        assert pixels.dtype == np.uint16 and np.array_equal(pixels.astype(int) - facts["value_offset"], frames[frame])


def test_raw_colour_is_rgb(tmp_path, here):
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    path = get_testdata_file("SC_rgb_small_odd.dcm", download=False)
    extract(path, tmp_path, raw=True)
    assert np.array_equal(png(tmp_path / "SC_rgb_small_odd_f000.png")[..., ::-1], dcmread(path).pixel_array)


def test_a_folder_with_everything_in_it(tmp_path, here):
    source = tmp_path / "in"
    good = dicom_bytes(texture(12), bits=12)
    for name, data in {"a/x.dcm": good, "b/x.dcm": good, "b/x.png": cv2.imencode(".png", texture(8))[1].tobytes(), "1.2.3": good, "1.2.4": good,
                       "text.dcm": b"hello", "cut.dcm": good[:-50], "note.txt": b"x"}.items():  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    out = source / "out"
    for _ in range(2):  # a second run does not take the first one's results for input
        report = extract(source, out)
        assert (report.written, report.files, len(report.skipped)) == (5, 5, 2)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "1.2.3.png",
        "1.2.4.png",
        "a/x.png",
        "b/x.dcm.png",
        "b/x.png.png",
    ]
    rows = list(csv.DictReader((out / "skipped.csv").open()))
    assert [Path(r["item"]).name for r in rows] == ["cut.dcm", "text.dcm"]
    assert "cut short" in rows[0]["reason"] and "no DICOM" in rows[1]["reason"]


def test_no_two_files_are_written_to_one_name():
    folder, out = Path("in"), Path("out")
    files = ["a.dcm", "a.png", "a.dcm.png", "vol.dcm", "vol_f000.dcm", "x_f000.png", "x_f001.png"]
    names = [job.target.name for job in plan([folder / name for name in files], folder, out)]
    assert names == ["a.dcm", "a.png", "a.dcm.png", "vol.dcm", "vol_f000.dcm", "x_f000", "x_f001"]


def test_of_a_file_that_was_stopped_half_way_no_frame_stays(tmp_path, monkeypatch):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("a.dcm", "b.dcm"):
        (source / name).write_bytes(dicom_bytes(texture(12), bits=12))
    out.mkdir()

    def stopped(function, jobs, **_):
        for job in jobs:
            done = function(job)
            if job.source.name == "b.dcm":
                for frame in range(2):
                    for ending in ("png", "json"):
                        (out / f"b_f{frame:03d}.{ending}").write_bytes(b"of this file")
                done = BadFile(job.source, "took longer than 60 s", "look at it")
            yield job, done

    monkeypatch.setattr("mammolibs.imaging.extract.map_files", stopped)
    report = extract(source, out)
    assert [Path(item).name for item, _ in report.skipped] == ["b.dcm"]
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a.png", "skipped.csv"]


def test_names_that_would_meet_keep_their_endings():
    folder, out = Path("in"), Path("out")
    jobs = plan([folder / "a.dcm", folder / "A.png", folder / "b.dcm", folder / "sub" / "a.dcm"], folder, out)
    assert [str(j.target) for j in jobs] == ["out/a.dcm", "out/A.png", "out/b", "out/sub/a"]


def test_folders_that_give_nothing(tmp_path, here):
    with pytest.raises(BadData, match="no image files"):
        extract(tmp_path, tmp_path / "out")
    (tmp_path / "a.dcm").write_bytes(b"no")
    with pytest.raises(BadData, match="none of 1 files"):
        extract(tmp_path, tmp_path / "out")
    with pytest.raises(BadFile, match="is not there"):
        extract(tmp_path / "gone", tmp_path / "out")


def test_a_file_with_one_damaged_frame_leaves_nothing(tmp_path):
    from mammolibs.imaging.extract import Extraction

    frames = np.stack([texture(16, seed=seed) for seed in range(3)])
    data = bytearray(dicom_bytes(frames, "JPEG-LS"))
    place = data.rfind(b"\xfe\xff\x00\xe0") + 8
    data[place : place + 2] = b"\0\0"
    path = tmp_path / "a.dcm"
    path.write_bytes(data)
    with pytest.raises(BadFile, match="JPEG-LS"):
        extract_file(Extraction(path, tmp_path / "out" / "a"), raw=False)
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, here):
    good, blocked = tmp_path / "in" / "good.dcm", tmp_path / "file"
    good.parent.mkdir()
    good.write_bytes(dicom_bytes(texture(12), bits=12))
    blocked.write_text("in the way")
    for source, out in product((good, good.parent), (blocked, blocked / "out")):
        with pytest.raises(BadFile, match="cannot be written") as error:
            extract(source, out)
        assert str(blocked) in str(error.value)


def test_the_script_prints_one_line_and_exits_with_2(tmp_path):
    bad = tmp_path / "text.dcm"
    bad.write_text("not DICOM")
    done = run(bad, "--out", tmp_path / "out")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and str(bad) in done.stderr and "Traceback" not in done.stderr


def test_the_script_on_a_folder(tmp_path):
    for name in ("a.dcm", "b.dcm"):
        (tmp_path / name).write_bytes(dicom_bytes(texture(12), "HTJ2K RPCL", bits=16))
    (tmp_path / "c.dcm").write_bytes(b"no")
    done = run(tmp_path, "--out", tmp_path / "out", "--raw")
    assert done.returncode == 0 and done.stdout == "2 images from 2 files; 1 skipped, listed in skipped.csv\n"
