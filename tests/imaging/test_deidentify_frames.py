"""What compressed frames carry beside an image is written over wherever it may stand, and the pixels stay."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.encaps import generate_fragments

from mammolibs.errors import BadFile
from mammolibs.imaging import deidentify_file, read_stored
from mammolibs.imaging.codestream import segments
from tests.imaging.make import COMPRESSED, dicom_bytes, texture
from tests.imaging.test_deidentify import KEY, PLANTED

NOTE = b"ZQFFFFFFFE 1"
COMMENT = b"\xff\xfe" + (len(NOTE) + 2).to_bytes(2, "big") + NOTE


@pytest.fixture
def write(tmp_path):
    def to(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return to


def clean_of_notes(write, data: bytes) -> bytes:
    """The file de-identified: nothing planted is in it any more, and its pixels are the same."""
    path = write("a.dcm", data)
    made = deidentify_file(path, KEY).data
    assert PLANTED.search(data) and not PLANTED.search(made)
    assert np.array_equal(read_stored(path).frames, read_stored(write("b.dcm", made)).frames)
    return made


def with_note(frame: bytes, marker: int, note: bytes) -> bytes:
    return frame[:2] + b"\xff" + bytes([marker]) + (len(note) + 2).to_bytes(2, "big") + note + frame[2:]


@pytest.mark.parametrize("marker", [0xFE, 0xE0, 0xE1, 0xE8, 0xED, 0xEE])
@pytest.mark.parametrize("syntax", ["JPEG baseline", "JPEG lossless SV1", "JPEG-LS"])
def test_comments_of_a_jpeg_are_written_over(write, syntax, marker):
    bits = COMPRESSED[syntax].bits[0]
    plain = COMPRESSED[syntax].encode
    clean_of_notes(write, dicom_bytes(texture(bits), syntax, bits=bits, encode=lambda a, b: with_note(plain(a, b), marker, NOTE)))


@pytest.mark.parametrize(("marker", "head"), [(0xE0, b"JFIF\0\1\2\0\0\1\0\1\3\1"), (0xE8, b"mrfx\0"), (0xEE, b"Adobe\0\x64\0\0\0\0\0")])
def test_of_a_segment_that_says_how_to_decode_only_that_stays(write, marker, head):
    plain = COMPRESSED["JPEG baseline"].encode
    made = clean_of_notes(write, dicom_bytes(texture(8), "JPEG baseline", encode=lambda a, b: with_note(plain(a, b), marker, head + NOTE)))
    assert head in made


def test_comments_of_a_jpeg_2000_are_written_over(write):
    def encode(pixels, bits):
        frame = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=bits)
        place = frame.index(b"\xff\x64")
        note = b"ZQFFFFFF64"
        return frame[:place] + b"\xff\x64" + (len(note) + 4).to_bytes(2, "big") + b"\0\1" + note + frame[place:]

    clean_of_notes(write, dicom_bytes(texture(12), "JPEG 2000", bits=12, encode=encode))


def before_the_last_scan(frame: bytes) -> bytes:
    scans = [segment.start - 4 for segment in segments(frame) if segment.marker == 0xDA]
    assert len(scans) > 1
    return frame[: scans[-1]] + COMMENT + frame[scans[-1] :]


def test_comments_between_the_scans_of_a_progressive_jpeg_are_written_over(write):
    def encode(pixels, bits):
        return before_the_last_scan(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes())

    clean_of_notes(write, dicom_bytes(texture(8), "JPEG baseline", bits=8, encode=encode))


@pytest.mark.parametrize("syntax", ["JPEG lossless SV1", "JPEG-LS", "JPEG 2000"])
def test_what_follows_a_frame_is_written_over(write, syntax):
    bits = COMPRESSED[syntax].bits[0]
    plain = COMPRESSED[syntax].encode
    noted = dicom_bytes(np.stack([texture(bits)] * 2), syntax, bits=bits, encode=lambda a, b: plain(a, b) + NOTE)
    assert len(clean_of_notes(write, noted)) > len(NOTE)


def test_comments_of_frames_in_several_fragments_are_written_over(write):
    frames = [with_note(COMPRESSED["JPEG lossless SV1"].encode(texture(12, seed=seed), 12), 0xFE, NOTE) for seed in range(2)]
    halves = [half + bytes(len(half) % 2) for frame in frames for half in (frame[:10], frame[10:])]
    assert not PLANTED.search(b" ".join(halves))
    items = b"".join(b"\xfe\xff\x00\xe0" + len(half).to_bytes(4, "little") + half for half in halves)
    second = len(halves[0]) + len(halves[1]) + 16
    data = pydicom.dcmread(io.BytesIO(dicom_bytes(np.stack([texture(12)] * 2), "JPEG lossless SV1", bits=12)))
    for table in (b"", bytes(4) + second.to_bytes(4, "little")):
        data.PixelData = b"\xfe\xff\x00\xe0" + len(table).to_bytes(4, "little") + table + items
        data["PixelData"].is_undefined_length = True
        buffer = io.BytesIO()
        data.save_as(buffer)
        made = deidentify_file(write("a.dcm", buffer.getvalue()), KEY).data
        fragments = [*generate_fragments(pydicom.dcmread(io.BytesIO(made)).PixelData)][1:]
        assert b"".join(fragments).count(b" " * len(NOTE)) == 2 and list(map(len, fragments)) == list(map(len, halves))
        assert np.array_equal(read_stored(write("b.dcm", made)).frames, [texture(12, seed=seed) for seed in range(2)])


def test_comments_of_a_tile_part_are_written_over(write):
    def encode(pixels, bits):
        frame = COMPRESSED["JPEG 2000"].encode(pixels, bits)
        tile = frame.index(b"\xff\x90\x00\x0a")
        note = b"\xff\x64" + (len(NOTE) + 4).to_bytes(2, "big") + b"\0\1" + NOTE
        size = int.from_bytes(frame[tile + 6 : tile + 10], "big")
        frame = frame[: tile + 6] + (size + len(note)).to_bytes(4, "big") + frame[tile + 10 :]
        return frame[: tile + 12] + note + frame[tile + 12 :]

    clean_of_notes(write, dicom_bytes(texture(12), "JPEG 2000", bits=12, encode=encode))


@pytest.mark.parametrize("name", ["in a file format", "cut short", "no marker"])
def test_frames_that_cannot_be_searched_are_refused(write, name):
    def encode(pixels, bits):
        frame = COMPRESSED["JPEG 2000"].encode(pixels, bits)
        packed = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="jp2", reversible=True, bitspersample=bits)
        return {"in a file format": packed, "cut short": frame[:-20], "no marker": frame[:4] + b"\0\4" + frame[6:]}[name]

    path = write("a.dcm", dicom_bytes(texture(12), "JPEG 2000", bits=12, encode=encode))
    with pytest.raises(BadFile, match="a.dcm: has compressed frames that cannot be searched for comments"):
        deidentify_file(path, KEY)
