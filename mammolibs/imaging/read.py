"""The three ways into an image file: its facts, its stored values, the image as it is displayed."""

from __future__ import annotations

import dataclasses
import math
import mmap
import os

import numpy as np

from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging.codestream import MAX_HEADER_BYTES
from mammolibs.imaging.display import show
from mammolibs.imaging.facts import facts_of
from mammolibs.imaging.files import HEAD_BYTES, kind_of
from mammolibs.imaging.guard import quiet, reading
from mammolibs.imaging.header import DicomHeader, open_header
from mammolibs.imaging.pixeldata import find_pixels, read_frame, read_frames
from mammolibs.imaging.plain import plain_facts, plain_pixels
from mammolibs.imaging.prefix import PREFIX_BYTES, Prefix, TooShort, read_prefix
from mammolibs.imaging.stored import StoredImage
from mammolibs.imaging.voi import display_of
from mammolibs.records import ImageFacts, Mammogram

# ITU-R BT.601, the weights of JPEG's own luminance.
LUMINANCE = (0.299, 0.587, 0.114)


def read_facts(path: str | os.PathLike) -> ImageFacts:
    """The facts of an image file (DICOM, PNG, PGM, JPEG, TIFF); the header alone is read.

    Raises BadFile where the file is missing, no image, or damaged in its header.
    """
    if found := _prefix_of(path):
        return facts_of(str(path), found.elements, found.syntax)
    kind = _kind(path)
    if kind != "dicom":
        return plain_facts(path, kind, _mapped(path) if kind == "tiff" else _bytes(path, MAX_HEADER_BYTES))
    with open_header(path) as header, quiet():
        return facts_of(header.path, header.dataset, header.syntax)


def read_stored(path: str | os.PathLike) -> StoredImage:
    """The stored values of all frames, N H W or N H W 3 (RGB), and the facts.

    Raises BadFile where the file is missing, no image, damaged, or contradicts itself.
    """
    kind = _kind(path)
    if kind != "dicom":
        data = _bytes(path)
        pixels, _ = plain_pixels(path, kind, data)
        return StoredImage(facts=plain_facts(path, kind, data), frames=pixels[None])
    with open_header(path) as header:
        with quiet():
            facts = facts_of(header.path, header.dataset, header.syntax)
        return StoredImage(facts=facts, frames=read_frames(find_pixels(header), facts))


def read_mammogram(path: str | os.PathLike, *, frame: int = 0, spacing_mm: float | None = None) -> Mammogram:
    """One frame as it is displayed: float32 H W in [0, 1], dark is air.

    DICOM goes through its display chain; PNG, PGM, JPEG and TIFF are taken as displayed, value
    by largest value. Whatever decodes is read, also what is no mammogram. `spacing_mm`
    replaces what the file says. Raises BadFile as `read_stored` does, and for a frame that
    is not there; BadConfig for a spacing that is no length.
    """
    if spacing_mm is not None and not (math.isfinite(spacing_mm) and spacing_mm > 0):
        raise BadConfig(f"spacing_mm is {spacing_mm}, expected millimetres per pixel above 0, such as 0.07")
    kind = _kind(path)
    mammogram = _read_dicom(path, frame) if kind == "dicom" else _read_plain(path, kind, frame)
    if spacing_mm is None:
        return mammogram
    return dataclasses.replace(mammogram, facts=dataclasses.replace(mammogram.facts, spacing_mm=float(spacing_mm)))


def _read_dicom(path: str | os.PathLike, frame: int) -> Mammogram:
    with open_header(path) as header:
        with quiet():
            facts = facts_of(header.path, header.dataset, header.syntax)
        stored = read_frame(find_pixels(header), facts, frame)
        with reading(path, "cannot be displayed", "read its stored values instead (extract_dicom.py --raw)"):
            return _displayed(header, facts, stored, frame)


def _displayed(header: DicomHeader, facts: ImageFacts, stored: np.ndarray, frame: int) -> Mammogram:
    if stored.ndim == 3:
        pixels, text = _gray(stored, (1 << facts.bits_stored) - 1 if facts.photometric != "PALETTE COLOR" else np.iinfo(stored.dtype).max)
        return Mammogram(pixels=pixels, facts=facts, frame=frame, display_chain=(text,))
    with quiet():
        display = display_of(header, facts, frame)
    shown = show(stored, display)
    return Mammogram(pixels=shown.pixels, facts=facts, frame=frame, padding=shown.padding, display_chain=shown.chain)


def _read_plain(path: str | os.PathLike, kind: str, frame: int) -> Mammogram:
    if frame != 0:
        raise BadFile(path, f"has one frame, frame {frame} is asked for", "ask for frame 0")
    data = _bytes(path)
    facts = plain_facts(path, kind, data)
    pixels, white = plain_pixels(path, kind, data)
    text = f"{kind.upper()} as displayed, value / {white}"
    if pixels.ndim == 3:
        gray, how = _gray(pixels, white)
        return Mammogram(pixels=gray, facts=facts, display_chain=(text, how))
    return Mammogram(pixels=pixels.astype(np.float32) / np.float32(white), facts=facts, display_chain=(text,))


def _gray(rgb: np.ndarray, white: int) -> tuple[np.ndarray, str]:
    if np.array_equal(rgb[..., 0], rgb[..., 1]) and np.array_equal(rgb[..., 0], rgb[..., 2]):
        return np.clip(rgb[..., 0].astype(np.float32) / np.float32(white), 0.0, 1.0), "three equal channels taken as one"
    pixels = rgb.astype(np.float32) @ (np.asarray(LUMINANCE, np.float32) / np.float32(white))
    return np.clip(pixels, 0.0, 1.0), "luminance of a colour image"


def _prefix_of(path: str | os.PathLike) -> Prefix | None:
    """What `read_prefix` finds in the first bytes of a DICOM file; None where it finds nothing, whatever the reason."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = b""
            for size in PREFIX_BYTES:
                head += file.read(size - len(head))
                if kind_of(head) != "dicom":
                    return None
                try:
                    return read_prefix(head)
                except TooShort:
                    if len(head) < size:
                        return None
    # Who reads it in the other way says what is wrong.
    except (OSError, ValueError):
        pass
    return None


def _kind(path: str | os.PathLike) -> str:
    with reading(path), open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise BadFile(path, "is empty", "copy it again from where it came from")
    kind = kind_of(head)
    if not kind:
        raise BadFile(path, "is no DICOM, PNG, PGM, JPEG or TIFF file", "give an image file; its name alone does not make it one")
    return kind


def _mapped(path: str | os.PathLike) -> mmap.mmap:
    """The whole file without reading more of it than is looked at."""
    with reading(path), open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _bytes(path: str | os.PathLike, most: int = -1) -> bytes:
    with reading(path), open(path, "rb") as file:
        return file.read(most)
