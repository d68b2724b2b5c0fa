"""Mutated image files, a pure function of a number; read by a worker that tells what came of it."""

from __future__ import annotations

import functools
import struct
import tempfile
import traceback
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammolibs.errors import MammolibsError
from mammolibs.imaging import read_facts, read_mammogram, read_stored
from tests.imaging.make import COMPRESSED, NATIVE, dicom_bytes, texture

# Elements whose values decide sizes and meanings: group, element.
TELLING = [
    (0x28, n)
    for n in (0x02, 0x04, 0x06, 0x08, 0x10, 0x11, 0x100, 0x101, 0x102, 0x103, 0x120, 0x1050, 0x1051, 0x1052, 0x1053, 0x3002, 0x3006)
]
SYNTAXES = [s.encode() for s in (*NATIVE.values(), *(c.uid for c in COMPRESSED.values()), "1.2.840.10008.1.2.4.100")]
BUNDLED = (
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_small_odd_jpeg.dcm",
    "rtdose_1frame.dcm",
    "JPEGLSNearLossless_16.dcm",
    "badVR.dcm",
)


@functools.cache
def originals() -> tuple[bytes, ...]:
    """Whole DICOM files in every syntax, with tables, functional groups, frames, signs and colour; a PNG, a JPEG and a PGM last."""
    table, group, voi = Dataset(), Dataset(), Dataset()
    table.add_new("LUTDescriptor", "US", [256, 0, 12])
    table.add_new("LUTData", "US", list(range(256)))
    voi.WindowCenter, voi.WindowWidth = 500, 900
    group.FrameVOILUTSequence = Sequence([voi])
    files = [dicom_bytes(texture(12), name, bits=12, WindowCenter=2000, WindowWidth=3000) for name in NATIVE]
    files += [dicom_bytes(texture(s.bits[-1]), name, bits=s.bits[-1]) for name, s in COMPRESSED.items()]
    files += [
        dicom_bytes(texture(16, signed=True), PixelPaddingValue=-5, VOILUTSequence=Sequence([table]), RescaleSlope=2, RescaleIntercept=1),
        dicom_bytes(np.stack([texture(16)] * 3), "JPEG 2000", SharedFunctionalGroupsSequence=Sequence([group])),
        dicom_bytes(np.stack([texture(12)] * 3), "implicit", bits=12, PresentationIntentType="FOR PROCESSING"),
        dicom_bytes(texture(8), "implicit", PhotometricInterpretation="MONOCHROME1", PatientOrientation=["A", "R"]),
    ]
    files += [Path(get_testdata_file(name, download=False)).read_bytes() for name in BUNDLED]
    gray = texture(8)
    plain = [imagecodecs.png_encode(texture(16)), imagecodecs.jpeg8_encode(gray, level=90), b"P5 32 40 255\n" + gray.tobytes()]
    return (*files, *plain)


def mutant(number: int) -> bytes:
    """File `number` of an endless list; the same number is the same file."""
    rng = np.random.default_rng(number)
    files = originals()
    data = bytearray(files[number % len(files)])
    for _ in range(int(rng.integers(1, 4))):
        MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
    return bytes(data)


def _pixel_start(data: bytearray) -> int:
    return max(data.find(b"\xe0\x7f\x10\x00"), data.find(b"\x7f\xe0\x00\x10"), 132)


def _flip_anywhere(data, rng):
    for place in rng.integers(132, max(133, len(data)), int(rng.integers(1, 12))):
        if place < len(data):
            data[place] ^= int(rng.integers(1, 256))


def _flip_header(data, rng):
    for place in rng.integers(132, max(133, _pixel_start(data)), int(rng.integers(1, 4))):
        if place < len(data):
            data[place] = int(rng.integers(256))


def _flip_frame_header(data, rng):
    start = _pixel_start(data)
    for place in start + rng.integers(0, 160, int(rng.integers(1, 6))):
        if place < len(data):
            data[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))


def _truncate(data, rng):
    del data[int(rng.integers(1, len(data) + 1)) :]


def _remove(data, rng):
    place = int(rng.integers(0, len(data) + 1))
    del data[place : place + int(rng.integers(1, 40))]


def _insert(data, rng):
    place = int(rng.integers(0, len(data) + 1))
    data[place:place] = rng.bytes(int(rng.integers(1, 40)))


def _blank(data, rng):
    place, size = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 200))
    data[place : place + size] = bytes([int(rng.choice([0, 255]))]) * len(data[place : place + size])


def _lie_about_a_value(data, rng):
    place = _find(data, rng)
    if place >= 0 and place + 10 <= len(data):
        value = int(rng.choice([0, 1, 3, 8, 12, 16, 17, 32, 255, 4096, 32768, 65535, int(rng.integers(65536))]))
        struct.pack_into("<H", data, place + 8, value)


def _lie_about_a_length(data, rng):
    place = _find(data, rng)
    if place >= 0 and place + 12 <= len(data):
        length = int(rng.choice([0, 1, 2, 7, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF, int(rng.integers(1 << 32))]))
        if rng.random() < 0.5:
            struct.pack_into("<H", data, place + 6, length & 0xFFFF)
        else:
            struct.pack_into("<I", data, place + int(rng.choice([4, 8])), length)


def _other_syntax(data, rng):
    for name in sorted(SYNTAXES, key=len, reverse=True):
        place = data.find(name, 132, 600)
        if place >= 0:
            other = SYNTAXES[int(rng.integers(len(SYNTAXES)))][: len(name)].ljust(len(name), b"\0")
            data[place : place + len(name)] = other
            return


def _find(data: bytearray, rng) -> int:
    telling = [*TELLING, (0x7FE0, 0x10), (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)]
    group, element = telling[int(rng.integers(len(telling)))]
    return data.find(struct.pack("<HH", group, element), 132)


MUTATIONS = (
    _flip_anywhere, _flip_header, _flip_frame_header, _flip_frame_header, _truncate, _remove, _insert, _blank,
    _lie_about_a_value, _lie_about_a_value, _lie_about_a_length, _other_syntax,
)  # fmt: skip


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory()


def read_mutant(number: int) -> str:
    """ "read", "refused", or the traceback of an error that is none of ours."""
    path = Path(_folder().name) / "mutant.dcm"
    path.write_bytes(mutant(number))
    try:
        for read in (read_facts, read_stored):
            read(path)
        shown = read_mammogram(path)
    except MammolibsError as error:
        return "refused" if "\n" not in str(error) and str(path) in str(error) else f"a message of two lines: {error}"
    except BaseException:
        return traceback.format_exc()
    facts, pixels = shown.facts, shown.pixels
    if pixels.shape != (facts.rows, facts.columns) or pixels.dtype != np.float32:
        return f"{pixels.dtype} {pixels.shape}"
    return "read" if np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 1 else "pixels outside [0, 1]"
