"""Writes mammograms as DICOM files that a validator accepts.

The header says what it is given and nothing else, so that a caller can also leave out
or contradict on purpose what makers leave out or contradict. All identifiers and dates
come from the caller: the same arguments give the same bytes.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate

from mammolibs.errors import BadConfig
from mammolibs.imaging.mg_header import FOR_PRESENTATION, FOR_PROCESSING, MammographyHeader, fill_header
from mammolibs.storage import write_atomic

__all__ = ["IMPLEMENTATION_UID", "TRANSFER_SYNTAXES", "MammographyHeader", "mammogram_bytes", "write_mammogram"]

IMPLEMENTATION_UID = "2.25.243157012489621375098213480712643298731"
TRANSFER_SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "big": "1.2.840.10008.1.2.2",
    "deflated": "1.2.840.10008.1.2.1.99",
    "jpeg-lossless": "1.2.840.10008.1.2.4.57",
    "jpeg-ls": "1.2.840.10008.1.2.4.80",
    "jpeg2000": "1.2.840.10008.1.2.4.90",
}


def write_mammogram(path: str | Path, pixels: np.ndarray, header: MammographyHeader, *, syntax: str = "explicit") -> None:
    """Write one mammogram as DICOM, whole or not at all.

    pixels: H W, uint8, uint16 or int16 stored values, within header.bits_stored.
    syntax: one of TRANSFER_SYNTAXES; the compressed ones are all lossless.

    Raises BadConfig for a syntax it cannot write, BadFile where the file cannot be written.
    """
    write_atomic(path, mammogram_bytes(pixels, header, syntax=syntax))


def mammogram_bytes(pixels: np.ndarray, header: MammographyHeader, *, syntax: str = "explicit") -> bytes:
    """One DICOM file as bytes; arguments as for write_mammogram."""
    if syntax not in TRANSFER_SYNTAXES:
        raise BadConfig(f"transfer syntax {syntax!r} is not one of {', '.join(TRANSFER_SYNTAXES)}")
    data = FileDataset(None, {}, file_meta=_file_meta(header, TRANSFER_SYNTAXES[syntax]), preamble=b"\0" * 128)
    fill_header(data, header)
    _pixels(data, pixels, header, syntax)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, data, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()


def _file_meta(header: MammographyHeader, syntax_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = FOR_PRESENTATION if header.intent == "FOR PRESENTATION" else FOR_PROCESSING
    meta.MediaStorageSOPInstanceUID = header.instance_uid
    meta.TransferSyntaxUID = syntax_uid
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = "MAMMOLIBS"
    return meta


def _pixels(data: Dataset, pixels: np.ndarray, header: MammographyHeader, syntax: str) -> None:
    allocated = 8 if pixels.dtype.itemsize == 1 else 16
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = header.photometric
    data.Rows, data.Columns = pixels.shape
    data.BitsAllocated = allocated
    data.BitsStored = header.bits_stored
    data.HighBit = header.bits_stored - 1
    data.PixelRepresentation = int(header.signed)
    if header.padding is not None:
        data.add_new("PixelPaddingValue", "SS" if header.signed else "US", header.padding)
    encoded = _encode(pixels, header, syntax)
    if encoded is not None:
        data.add_new("PixelData", "OB", encapsulate([encoded]))
        data["PixelData"].is_undefined_length = True
        return
    order = ">" if syntax == "big" else "<"
    raw = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    data.add_new("PixelData", "OB" if allocated == 8 and syntax != "implicit" else "OW", raw + b"\0" * (len(raw) % 2))


def _encode(pixels: np.ndarray, header: MammographyHeader, syntax: str) -> bytes | None:
    """One frame in a compressed syntax, None for the others."""
    import imagecodecs

    if syntax == "jpeg-lossless":
        return imagecodecs.ljpeg_encode(np.ascontiguousarray(pixels.view(np.uint16)), bitspersample=max(header.bits_stored, 8))
    if syntax == "jpeg-ls":
        return imagecodecs.jpegls_encode(pixels.view(np.uint16))
    if syntax == "jpeg2000":
        bits = header.bits_stored
        return imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="j2k", reversible=True, bitspersample=bits, numthreads=1)
    return None
