"""Arrays <-> payload bytes: the one place that knows how an image lies in a shard.

| codec  | image member       | mask member      | for                                    |
|--------|--------------------|------------------|----------------------------------------|
| blosc2 | zstd, bit-shuffled | packed bits, zstd| speed: about 7x a PNG's decoding       |
| png    | 16-bit PNG         | 8-bit PNG        | any viewer                             |
| jxl    | lossless JPEG XL   | packed bits, zstd| compact: fewest bytes through a bucket |

All are lossless. A codec without its own header (blosc2, zst) takes the shape from outside.
"""

from __future__ import annotations

from typing import NamedTuple

import imagecodecs
import numpy as np

from mammolibs.errors import BadConfig

# The least at which it takes a quarter less than PNG; above it only writing grows slower.
JXL_EFFORT = 3
# Fixed, so that the same image gives the same bytes on every processor.
BLOSC2_BLOCK_BYTES = 65536


class Endings(NamedTuple):
    """How the members of a codec are called: `<key>.image.<image>`, `<key>.mask.<mask>`."""

    image: str
    mask: str


CODECS = {"blosc2": Endings("blosc2", "zst"), "png": Endings("png", "png"), "jxl": Endings("jxl", "zst")}


def endings(codec: str) -> Endings:
    """The member endings of a codec. Raises BadConfig for a name that is none."""
    if codec not in CODECS:
        raise BadConfig(f"codec is {codec!r}, allowed are {', '.join(CODECS)}")
    return CODECS[codec]


def encode_image(image: np.ndarray, codec: str) -> bytes:
    """A uint16 H W image as bytes, losslessly. Raises BadConfig for an unknown codec."""
    ending = endings(codec).image
    image = np.ascontiguousarray(image)
    if ending == "png":
        return imagecodecs.png_encode(image, level=6)
    if ending == "jxl":
        return imagecodecs.jpegxl_encode(image, lossless=True, effort=JXL_EFFORT, numthreads=1)
    return imagecodecs.blosc2_encode(
        image, level=1, compressor="zstd", shuffle="bitshuffle", typesize=2, blocksize=BLOSC2_BLOCK_BYTES, numthreads=1
    )


def decode_image(data: bytes, shape: tuple[int, int], codec: str) -> np.ndarray:
    """The uint16 H W image. Raises ValueError where the bytes hold no image of that shape."""
    ending = endings(codec).image
    try:
        if ending == "png":
            image = imagecodecs.png_decode(data)
        elif ending == "jxl":
            image = imagecodecs.jpegxl_decode(data, numthreads=1)
        else:
            image = np.frombuffer(imagecodecs.blosc2_decode(data, numthreads=1), np.uint16).reshape(shape)
    except RuntimeError as error:
        raise ValueError(f"no {ending} image ({error})") from error
    if image.shape != tuple(shape) or image.dtype != np.uint16:
        raise ValueError(f"holds {image.dtype} {image.shape}, expected uint16 {tuple(shape)}")
    return image


def encode_mask(mask: np.ndarray, codec: str) -> bytes:
    """A uint8 H W mask of 0 and 1 as bytes, losslessly."""
    if endings(codec).mask == "png":
        return imagecodecs.png_encode(np.ascontiguousarray(mask * np.uint8(255)), level=6)
    return imagecodecs.zstd_encode(np.packbits(mask).tobytes(), level=3)


def decode_mask(data: bytes, shape: tuple[int, int], codec: str) -> np.ndarray:
    """The uint8 H W mask of 0 and 1. Raises ValueError where the bytes hold no mask of that shape."""
    try:
        if endings(codec).mask == "png":
            mask = imagecodecs.png_decode(data) // np.uint8(255)
        else:
            packed = np.frombuffer(imagecodecs.zstd_decode(data), np.uint8)
            if packed.size != -(-shape[0] * shape[1] // 8):
                raise ValueError(f"holds {packed.size} bytes of bits, expected a mask of {tuple(shape)}")
            mask = np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape)
    except RuntimeError as error:
        raise ValueError(f"no mask ({error})") from error
    if mask.shape != tuple(shape) or mask.dtype != np.uint8:
        raise ValueError(f"holds {mask.dtype} {mask.shape}, expected uint8 {tuple(shape)}")
    return mask
