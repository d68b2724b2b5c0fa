"""What else than an image a pixel data element can carry: comments of encoders, bytes after the last frame."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pydicom.encaps import generate_fragmented_frames
from pydicom.uid import RLELossless

from mammolibs.imaging.codestream import END, J2K_START, JPEG_START, Segment, segments
from mammolibs.imaging.guard import reading
from mammolibs.records import ImageFacts

_ITEM = b"\xfe\xff\x00\xe0"
_SPACE = b" "
# T.81 B.2.4: comments and application data.
JPEG_NOTES = {0xFE, *range(0xE0, 0xF0)}
# What says how to decode: JFIF without its thumbnail, JPEG-LS's colour transform (HP), Adobe's; how it begins and how long it is.
JPEG_KEPT = {0xE0: (b"JFIF\0", 14), 0xE8: (b"mrfx", 5), 0xEE: (b"Adobe", 12)}
# T.800 Table A.2; the comment's first two bytes say whether it is text.
J2K_COMMENT, J2K_COMMENT_KIND_BYTES = 0x64, 2


def without_notes(value: bytes, facts: ImageFacts) -> bytes:
    """Encapsulated pixel data (PS3.5 A.4) of the same length, with what is no image in JPEG, JPEG-LS and JPEG 2000 frames written over:
    comments and application data, before every scan and in every tile-part, by spaces, and what follows a frame's end by zeros.

    Run lengths (RLE) have no place for comments and stay as they are. Raises BadFile for frames that cannot be followed to their end, such as
    those in a file format of their own (JP2).
    """
    if facts.transfer_syntax == RLELossless:
        return value
    data = bytearray(value)
    fragments = _fragments(value)
    # What cannot be followed cannot be vouched for.
    with reading(facts.source_file, "has compressed frames that cannot be searched for comments", "store it uncompressed first"):
        for parts in generate_fragmented_frames(value, number_of_frames=facts.frames):
            frame, place = _blanked(b"".join(parts)), 0
            for part in parts:
                start = next(fragments)
                data[start : start + len(part)] = frame[place : place + len(part)]
                place += len(part)
    return bytes(data)


def within_frames(value: bytes, facts: ImageFacts) -> bytes:
    """Native pixel data without what follows the last frame, of even length."""
    bits = facts.rows * facts.columns * facts.samples_per_pixel * facts.frames * facts.bits_allocated
    length = (bits + 7) // 8
    return value[: length + length % 2]


def _fragments(value: bytes) -> Iterator[int]:
    """Where each fragment begins; the first item, the table of offsets, is none."""
    place = 0
    while value[place : place + 4] == _ITEM and place + 8 <= len(value):
        (length,) = struct.unpack_from("<I", value, place + 4)
        if place:
            yield place + 8
        place += 8 + length


def _blanked(frame: bytes) -> bytes:
    if not frame.startswith((JPEG_START, J2K_START)):
        raise ValueError("a frame is neither JPEG nor JPEG 2000")
    notes = JPEG_NOTES if frame.startswith(JPEG_START) else {J2K_COMMENT}
    data, last = bytearray(frame), None
    for last in segments(frame):
        if last.marker in notes:
            start, stop = last.start + _bytes_kept(frame, last), min(last.end, len(data))
            data[start:stop] = _SPACE * max(0, stop - start)
    if last is None or last.marker != END:
        raise ValueError("a frame has no end; it was cut short")
    data[last.end :] = bytes(len(data) - last.end)
    return bytes(data)


def _bytes_kept(frame: bytes, note: Segment) -> int:
    if note.marker == J2K_COMMENT:
        return J2K_COMMENT_KIND_BYTES
    begins, length = JPEG_KEPT.get(note.marker, (b"", 0))
    return length if frame.startswith(begins, note.start) else 0
