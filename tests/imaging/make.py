"""Small DICOM files of every transfer syntax, made with imagecodecs and pydicom."""

from __future__ import annotations

import io
from dataclasses import dataclass

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

NATIVE = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}


@dataclass(frozen=True)
class Syntax:
    """A compressed syntax: UID, encoder of one frame, bits that it can hold, and whether it is exact."""

    uid: str
    encode: object
    bits: tuple[int, ...]
    exact: bool = True
    signed: bool = False


COMPRESSED = {
    "JPEG baseline": Syntax(uid.JPEGBaseline8Bit, lambda a, b: imagecodecs.jpeg8_encode(a, level=98), (8,), exact=False),
    "JPEG extended": Syntax(
        uid.JPEGExtended12Bit, lambda a, b: imagecodecs.jpeg8_encode(a, level=98, bitspersample=12), (12,), exact=False
    ),
    "JPEG lossless 5": Syntax(
        uid.JPEGLossless, lambda a, b: imagecodecs.jpeg8_encode(a, lossless=True, predictor=5, bitspersample=b), (8, 12, 14, 16)
    ),
    "JPEG lossless SV1": Syntax(uid.JPEGLosslessSV1, lambda a, b: imagecodecs.ljpeg_encode(a, bitspersample=b), (10, 12, 14, 16)),
    "JPEG-LS": Syntax(uid.JPEGLSLossless, lambda a, b: imagecodecs.jpegls_encode(a), (8, 16)),
    "JPEG-LS near": Syntax(uid.JPEGLSNearLossless, lambda a, b: imagecodecs.jpegls_encode(a, level=2), (16,), exact=False),
    "JPEG 2000": Syntax(
        uid.JPEG2000Lossless,
        lambda a, b: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True, bitspersample=b),
        (8, 12, 16),
    ),
    "JPEG 2000 lossy": Syntax(
        uid.JPEG2000, lambda a, b: imagecodecs.jpeg2k_encode(a, level=60, codecformat="j2k", bitspersample=b), (12,), exact=False
    ),
    "HTJ2K": Syntax(uid.HTJ2KLossless, lambda a, b: imagecodecs.htj2k_encode(a, reversible=True), (8, 16)),
    "HTJ2K RPCL": Syntax(uid.HTJ2KLosslessRPCL, lambda a, b: imagecodecs.htj2k_encode(a, reversible=True), (16,)),
    "HTJ2K lossy": Syntax(uid.HTJ2K, lambda a, b: imagecodecs.htj2k_encode(a, level=0.001, reversible=False), (16,), exact=False),
    "RLE": Syntax(uid.RLELossless, None, (8, 16)),
}


def texture(bits: int, shape=(40, 32), seed=0, signed=False) -> np.ndarray:
    """A smooth field with noise that reaches both ends of what `bits` can hold."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    field = np.sin(x / 7.0) + np.cos(y / 5.0) + 0.3 * rng.standard_normal(shape)
    field = (field - field.min()) / np.ptp(field)
    values = np.rint(field * ((1 << bits) - 1)).astype(np.int64) - ((1 << (bits - 1)) if signed else 0)
    return values.astype(f"{'int' if signed else 'uint'}{8 if bits <= 8 else 16}")


def dataset_for(pixels: np.ndarray, bits: int, **elements) -> Dataset:
    """A mammography data set round pixels H W or N H W, without pixel data; elements override or (None) remove."""
    shape = pixels.shape[-2:]
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
    ds.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.1"
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.PatientID = "P1"
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = shape
    ds.BitsAllocated = 8 * pixels.dtype.itemsize
    ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    if pixels.ndim == 3:
        ds.NumberOfFrames = pixels.shape[0]
    for keyword, value in elements.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def dicom_bytes(pixels: np.ndarray, syntax: str = "explicit", *, bits: int | None = None, encode=None, **elements) -> bytes:
    """A whole DICOM file. syntax: a name of NATIVE or COMPRESSED; encode replaces the encoder of a frame."""
    bits = bits or 8 * pixels.dtype.itemsize
    ds = dataset_for(pixels, bits, **elements)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    if syntax in NATIVE:
        ds.file_meta.TransferSyntaxUID = NATIVE[syntax]
        stored = pixels.astype(pixels.dtype.newbyteorder(">")) if syntax == "big endian" else pixels
        data = stored.tobytes()
        ds.PixelData = data + b"\0" * (len(data) % 2)
        ds["PixelData"].VR = "OB" if pixels.dtype.itemsize == 1 else "OW"
    elif syntax == "RLE":
        ds.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
        ds.PixelData = pixels.tobytes()
        ds["PixelData"].VR = "OW"
        # pydicom encodes by the header, so it sees the true one before any lie is told.
        true = dataset_for(pixels, bits)
        lies = {k: getattr(ds, k) for k in ("Rows", "Columns", "NumberOfFrames") if ds.get(k) != true.get(k)}
        ds.update({k: true.get(k) or 1 for k in lies})
        ds.compress(uid.RLELossless, encoding_plugin="pydicom")
        ds.update(lies)
    else:
        recipe = COMPRESSED[syntax]
        ds.file_meta.TransferSyntaxUID = recipe.uid
        unsigned = pixels.view(f"u{pixels.dtype.itemsize}")
        frames = unsigned if pixels.ndim == 3 else unsigned[None]
        ds.PixelData = encapsulate([(encode or recipe.encode)(np.ascontiguousarray(f), bits) for f in frames])
        ds["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    if syntax == "big endian":
        pydicom.dcmwrite(buffer, ds, enforce_file_format=True, little_endian=False, implicit_vr=False)
    else:
        pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()
