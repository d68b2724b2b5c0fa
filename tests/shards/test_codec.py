from __future__ import annotations

import numpy as np
import pytest

from mammolibs.errors import BadConfig
from mammolibs.shards.codec import CODECS, decode_image, decode_mask, encode_image, encode_mask

SHAPES = [(3, 2), (7, 5), (64, 48), (257, 131)]


def images(shape):
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 65535, shape[0] * shape[1]).reshape(shape).astype(np.uint16)
    noise = rng.integers(0, 65536, shape).astype(np.uint16)
    return [np.zeros(shape, np.uint16), np.full(shape, 65535, np.uint16), ramp, ramp[:, ::-1], noise]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", SHAPES)
def test_images_come_back_exactly(codec, shape):
    for image in images(shape):
        data = encode_image(image, codec)
        assert encode_image(image, codec) == data
        back = decode_image(data, shape, codec)
        assert back.dtype == np.uint16
        np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_come_back_exactly(codec, shape):
    for mask in (np.zeros(shape, np.uint8), np.ones(shape, np.uint8), np.random.default_rng(1).integers(0, 2, shape).astype(np.uint8)):
        back = decode_mask(encode_mask(mask, codec), shape, codec)
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, mask)


@pytest.mark.parametrize("codec", CODECS)
def test_a_wrong_shape_or_rubbish_is_refused(codec):
    image, mask = encode_image(np.zeros((8, 8), np.uint16), codec), encode_mask(np.zeros((8, 8), np.uint8), codec)
    for decode, data in ((decode_image, image), (decode_mask, mask)):
        with pytest.raises(ValueError):
            decode(data, (9, 9), codec)
        with pytest.raises(ValueError):
            decode(b"rubbish" * 9, (8, 8), codec)


def test_an_unknown_codec_is_named_with_those_there_are():
    with pytest.raises(BadConfig, match="gif.*blosc2, png, jxl"):
        encode_image(np.zeros((8, 8), np.uint16), "gif")
