"""Image files that we write."""

from __future__ import annotations

import os

import numpy as np

from mammolibs.storage import write_atomic


def write_png16(path: str | os.PathLike, pixels: np.ndarray) -> None:
    """Write uint16 H W (gray) or H W 3 (RGB) as a PNG, whole or not at all.

    Raises BadFile where the folder cannot be written, ValueError for another dtype or shape.
    """
    import cv2

    if pixels.dtype != np.uint16 or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
        raise ValueError(f"expected uint16 H W or H W 3, got {pixels.dtype} {pixels.shape}")
    ordered = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(ordered))
    if not done:
        raise ValueError(f"{path}: OpenCV cannot encode {pixels.shape} as PNG")
    write_atomic(path, encoded.tobytes())
