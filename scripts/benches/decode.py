"""Reading DICOM against plain pydicom (header, `pixel_array`, display steps), the same file, the same process.

The two take turns, each on one thread, and the table shows the median over the turns of
pydicom's CPU time over ours, which a busy machine hardly changes. "displayed" compares
`read_mammogram` with pydicom's pixels through its own modality and VOI steps. Images are
synthetic, mammogram-like: a breast over half the frame, power-law texture, shot noise,
exact zeros as air.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
from pydicom import uid
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from mammolibs.imaging import read_facts, read_mammogram, read_stored

ASPECT = 2560 / 3328
NATIVE = {
    "implicit LE": uid.ImplicitVRLittleEndian,
    "explicit LE": uid.ExplicitVRLittleEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
}
ENCODERS: dict[str, tuple[str, Callable]] = {
    "RLE": (uid.RLELossless, lambda a, bits: pydicom.pixels.encoders.RLELosslessEncoder.encode(a, **_rle_options(a, bits))),
    "JPEG baseline .50": (uid.JPEGBaseline8Bit, lambda a, bits: imagecodecs.jpeg8_encode(a, level=95)),
    "JPEG extended .51": (uid.JPEGExtended12Bit, lambda a, bits: imagecodecs.jpeg8_encode(a, level=95, bitspersample=12)),
    "JPEG lossless .70": (uid.JPEGLosslessSV1, lambda a, bits: imagecodecs.ljpeg_encode(a, bitspersample=bits)),
    "JPEG-LS .80": (uid.JPEGLSLossless, lambda a, bits: imagecodecs.jpegls_encode(a)),
    "JPEG 2000 .90": (
        uid.JPEG2000Lossless,
        lambda a, bits: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k", reversible=True, bitspersample=bits),
    ),
    "HTJ2K .201": (uid.HTJ2KLossless, lambda a, bits: imagecodecs.htj2k_encode(a, reversible=True)),
}
# Bits that a syntax can hold here, where it cannot hold all.
ONLY = {"JPEG baseline .50": (8,), "JPEG extended .51": (12,)}


def main(arguments: list[str]) -> None:
    """Print the table for one image size and one or more depths."""
    parser = argparse.ArgumentParser(prog="bench.py decode", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1024, help="rows of the image; columns follow (default 1024, a real one has 3328)")
    parser.add_argument("--bits", type=int, nargs="*", default=[12, 14], choices=(12, 14), help="bits stored (default both)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each reader (default 5)")
    options = parser.parse_args(arguments)
    print(f"pydicom's CPU time / ours, {options.rows} x {round(options.rows * ASPECT)}, median of {options.rounds} turns; ms: ours")
    print(f"{'transfer syntax':<20}{'bits':>5}" + "".join(f"{name:>12}{'ms':>9}" for name in PAIRS))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for bits in options.bits:
            pixels = mammogram_like(options.rows, bits)
            for name in (*NATIVE, *ENCODERS):
                depth = ONLY.get(name, (bits,))[0]
                if depth != bits and not (depth == 8 and bits == options.bits[0]):
                    continue
                path = Path(folder) / "image.dcm"
                path.write_bytes(dicom_bytes(pixels if depth == bits else (pixels >> (bits - 8)).astype(np.uint8), depth, name))
                print(f"{name:<20}{depth:>5}" + "".join(row(path, options.rounds)), flush=True)


def row(path: Path, rounds: int) -> list[str]:
    """The cells of one file: for each pair of readers how many times faster ours is, and its CPU milliseconds."""
    cells = []
    for theirs, ours in PAIRS.values():
        times: list[tuple[float, float]] = []
        refused = False
        for _ in range(rounds + 1):
            began = time.process_time()
            refused = theirs(path) is None
            between = time.process_time()
            ours(path)
            times.append((between - began, time.process_time() - between))
        ratio = statistics.median(t / o for t, o in times[1:])
        cells.append(f"{'refuses' if refused else f'{ratio:.2f}':>12}{1000 * statistics.median(o for _, o in times[1:]):>9.1f}")
    return cells


def mammogram_like(rows: int, bits: int) -> np.ndarray:
    """uint16 rows x columns with `bits` stored: smooth breast, f^-1.5 texture, shot noise, air exactly 0."""
    rng = np.random.default_rng(0)
    columns = round(rows * ASPECT)
    fy, fx = np.fft.fftfreq(rows)[:, None], np.fft.rfftfreq(columns)[None]
    frequency = np.maximum(np.hypot(fy, fx), 1 / rows)
    texture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((rows, columns))) * frequency**-1.5, s=(rows, columns))
    y, x = np.mgrid[:rows, :columns]
    depth = 1 - (x / (0.72 * columns)) ** 2 - ((y - rows / 2) / (0.48 * rows)) ** 2
    mean = np.where(depth > 0, 0.15 + 0.5 * np.sqrt(np.maximum(depth, 0)) + 0.06 * texture / texture.std(), 0) * (1 << bits)
    noisy = mean + np.sqrt(np.maximum(mean, 0)) * rng.standard_normal(mean.shape)
    return np.where(depth > 0, np.clip(np.rint(noisy), 1, (1 << bits) - 1), 0).astype(np.uint16)


def dicom_bytes(pixels: np.ndarray, bits: int, name: str) -> bytes:
    """A DICOM file of the pixels in the named syntax, with a window."""
    ds = pydicom.Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = "1.2.840.10008.5.1.4.1.1.1.2", "1.2.3", "MG"
    ds.PresentationIntentType, ds.WindowCenter, ds.WindowWidth = "FOR PRESENTATION", 1 << (bits - 1), 1 << bits
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8 * pixels.dtype.itemsize, bits, bits - 1
    ds.file_meta = FileMetaDataset()
    if name in NATIVE:
        ds.file_meta.TransferSyntaxUID = NATIVE[name]
        ds.PixelData = pixels.tobytes()
    else:
        ds.file_meta.TransferSyntaxUID, encode = ENCODERS[name]
        ds.PixelData = encapsulate([encode(pixels, bits)])
        ds["PixelData"].is_undefined_length = True
    ds["PixelData"].VR = "OW"
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, ds, enforce_file_format=True)
    return buffer.getvalue()


def _rle_options(pixels: np.ndarray, bits: int) -> dict:
    return {
        "rows": pixels.shape[0], "columns": pixels.shape[1], "samples_per_pixel": 1, "number_of_frames": 1, "pixel_representation": 0,
        "bits_allocated": 8 * pixels.dtype.itemsize, "bits_stored": bits, "photometric_interpretation": "MONOCHROME2", "encoding_plugin": "pydicom",
    }  # fmt: skip


def _header(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path, stop_before_pixels=True)


def _pixels(path: Path) -> np.ndarray | None:
    """pydicom's pixels; None where none of its plug-ins here takes the file."""
    try:
        return pydicom.dcmread(path).pixel_array
    except (RuntimeError, NotImplementedError):
        return None


def _displayed(path: Path) -> np.ndarray | None:
    ds = pydicom.dcmread(path)
    try:
        return apply_voi_lut(apply_modality_lut(ds.pixel_array, ds), ds)
    except (RuntimeError, NotImplementedError):
        return None


PAIRS = {"facts": (_header, read_facts), "stored": (_pixels, read_stored), "displayed": (_displayed, read_mammogram)}
