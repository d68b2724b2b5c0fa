"""A DICOM header -> the Display of one frame."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from mammolibs.errors import BadFile
from mammolibs.imaging.display import Display, Lut, Rescale, Window
from mammolibs.imaging.header import DicomHeader, frame_group, items_of, numbers_of, text_of, value_of
from mammolibs.records import ImageFacts

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def display_of(header: DicomHeader, facts: ImageFacts, frame: int) -> Display:
    """How the header wants a frame shown: a VOI LUT comes before a window, the first of several counts.

    Functional groups, which multi-frame objects use, come before the top level.
    Raises BadFile for a table that cannot be read.
    """
    dataset = header.dataset
    transformation = frame_group(dataset, "PixelValueTransformationSequence", frame) or dataset
    voi_source = frame_group(dataset, "FrameVOILUTSequence", frame) or dataset
    voi, notes = _voi(header, voi_source)
    shape = text_of(dataset, "PresentationLUTShape").upper()
    return Display(
        modality=_modality(header, transformation, facts.signed),
        voi=voi,
        # In a mammogram MONOCHROME1 comes with INVERSE (PS3.3 C.8.11.3.1): the two together are one inversion.
        inverted=facts.photometric == "MONOCHROME1" or shape == "INVERSE",
        attenuation=facts.presentation_intent == "FOR PROCESSING",
        logarithmic=text_of(dataset, "PixelIntensityRelationship").upper() == "LOG",
        exposure_rises=numbers_of(dataset, "PixelIntensityRelationshipSign")[:1] != (-1.0,),
        padding=_padding(dataset, facts),
        notes=notes,
    )


def _modality(header: DicomHeader, dataset: Dataset, signed: bool) -> Lut | Rescale | None:
    items = items_of(dataset, "ModalityLUTSequence") or items_of(header.dataset, "ModalityLUTSequence")
    if items:
        return _lut(header, items[0], signed)
    slope, intercept = numbers_of(dataset, "RescaleSlope")[:1], numbers_of(dataset, "RescaleIntercept")[:1]
    return Rescale(slope=(*slope, 1.0)[0], intercept=(*intercept, 0.0)[0]) if slope or intercept else None


def _voi(header: DicomHeader, dataset: Dataset) -> tuple[Lut | Window | None, tuple[str, ...]]:
    tables = items_of(dataset, "VOILUTSequence")
    if tables:
        return _lut(header, tables[0], signed=True), _of_several("VOI LUT", len(tables))
    centers, widths = numbers_of(dataset, "WindowCenter"), numbers_of(dataset, "WindowWidth")
    if not centers or not widths:
        return None, ()
    function = text_of(dataset, "VOILUTFunction").upper() or "LINEAR"
    if function not in FUNCTIONS:
        return None, (f"window ignored (unknown function {function})",)
    if widths[0] < 1 if function == "LINEAR" else widths[0] <= 0:
        return None, (f"window ignored (width {widths[0]:g})",)
    return Window(center=centers[0], width=widths[0], function=function), _of_several("window", min(len(centers), len(widths)))


def _of_several(what: str, count: int) -> tuple[str, ...]:
    return (f"first of {count} {what}s",) if count > 1 else ()


def _lut(header: DicomHeader, item: Dataset, signed: bool) -> Lut:
    """A LUT item (PS3.3 C.11.1.1.1): number of entries with 0 for 65536, first input, bits.

    The descriptor's words are US or SS by the pixels' sign, and some writers take the
    wrong one, so each is brought to its meaning here.
    """
    descriptor = [int(n) for n in numbers_of(item, "LUTDescriptor")]
    if len(descriptor) != 3:
        raise BadFile(header.path, "has a lookup table without a LUT Descriptor", "export it again from where it came from")
    count = descriptor[0] & 0xFFFF or 1 << 16
    first, bits = descriptor[1], descriptor[2]
    if not 1 <= bits <= 16:
        raise BadFile(header.path, f"has a lookup table of {bits} bits", "export it again from where it came from")
    # 0xF800 is -2048 where negative inputs exist and the table would otherwise lie beyond them all.
    if signed and first >= 1 << 15 and first + count > 1 << 16:
        first -= 1 << 16
    entries = _entries(header, value_of(item, "LUTData"), count)
    if len(entries) < count:
        raise BadFile(
            header.path, f"has a lookup table of {len(entries)} entries, {count} declared", "export it again from where it came from"
        )
    return Lut(first=first, bits=bits, entries=entries[:count])


def _entries(header: DicomHeader, data, count: int) -> np.ndarray:
    if isinstance(data, (bytes, bytearray)):
        # Entries of 8 bits may be packed two to a word.
        packed = len(data) < 2 * count
        return np.frombuffer(data, np.uint8) if packed else np.frombuffer(data[: 2 * count], "<u2" if header.little_endian else ">u2")
    values = [data] if isinstance(data, int) else list(data or ())
    return np.asarray([int(v) & 0xFFFF for v in values], np.uint16)


def _padding(dataset: Dataset, facts: ImageFacts) -> tuple[int, int] | None:
    """Pixel Padding Value and Range Limit (PS3.3 C.7.5.1.1.2), read with the pixels' own sign."""
    ends = [n[0] for n in (numbers_of(dataset, "PixelPaddingValue"), numbers_of(dataset, "PixelPaddingRangeLimit")) if n]
    if not numbers_of(dataset, "PixelPaddingValue"):
        return None
    span = 1 << facts.bits_allocated
    ends = [int(e) % span for e in ends]
    if facts.signed:
        ends = [e - span if e >= span // 2 else e for e in ends]
    return min(ends), max(ends)
