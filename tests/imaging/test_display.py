"""The display chain against closed forms written out here, and against pydicom where pydicom is right."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from mammolibs.errors import BadFile
from mammolibs.imaging import read_mammogram
from mammolibs.imaging.display import Display, Lut, Rescale, Window, apply_lut, apply_window, show
from tests.imaging.make import dicom_bytes, texture

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def displayed(tmp_path, pixels=RAMP, bits=12, syntax="explicit", **elements):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(pixels, syntax, bits=bits, **elements))
    return read_mammogram(path)


def linear(x, c, w):
    """PS3.3 C.11.2.1.2.1, with ymin 0 and ymax 1."""
    if x <= c - 0.5 - (w - 1) / 2:
        return 0.0
    if x > c - 0.5 + (w - 1) / 2:
        return 1.0
    return (x - (c - 0.5)) / (w - 1) + 0.5


def linear_exact(x, c, w):
    """PS3.3 C.11.2.1.3.2."""
    if x <= c - w / 2:
        return 0.0
    return 1.0 if x > c + w / 2 else (x - c) / w + 0.5


def sigmoid(x, c, w):
    """PS3.3 C.11.2.1.3.1."""
    return 1 / (1 + np.exp(min(-4 * (x - c) / w, 700)))


FORMS = {"LINEAR": linear, "LINEAR_EXACT": linear_exact, "SIGMOID": sigmoid}


@pytest.mark.parametrize("function", FORMS)
@pytest.mark.parametrize("center,width", [(2048, 4096), (1500.5, 700), (100, 1), (0, 50), (4095, 3)])
def test_windows_are_the_standards(tmp_path, function, center, width):
    shown = displayed(tmp_path, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    expected = (
        [FORMS[function](x, center, width) for x in range(4096)] if (function, width) != ("LINEAR", 1) else RAMP.ravel() > center - 0.5
    )
    assert shown.pixels.dtype == np.float32
    assert np.allclose(shown.pixels.ravel(), np.asarray(expected, float), atol=1e-6)
    assert shown.display_chain == (f"window {function} center {center:g} width {width:g}",)


@pytest.mark.parametrize("function", FORMS)
def test_windows_agree_with_pydicom(function):
    values = np.arange(-3000, 3000)
    ds = Dataset()
    ds.PhotometricInterpretation, ds.BitsStored, ds.PixelRepresentation = "MONOCHROME2", 12, 0
    ds.WindowCenter, ds.WindowWidth, ds.VOILUTFunction = 300, 1234, function
    reference = pydicom.pixels.apply_windowing(values, ds) / 4095
    ours = apply_window(values.astype(float), Window(center=300, width=1234, function=function))
    assert np.allclose(ours, reference, atol=1e-9)


def test_order_is_rescale_window_inversion(tmp_path):
    shown = displayed(
        tmp_path, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=500, WindowWidth=801, PhotometricInterpretation="MONOCHROME1"
    )
    expected = [1 - linear(2 * x - 1000, 500, 801) for x in range(4096)]
    assert np.allclose(shown.pixels.ravel(), expected, atol=1e-6)
    assert shown.display_chain == ("rescale slope 2 intercept -1000", "window LINEAR center 500 width 801", "inverted")


def test_a_negative_slope_is_not_inverted_twice(tmp_path):
    shown = displayed(tmp_path, RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    assert np.allclose(shown.pixels.ravel(), [linear(4095 - x, 2048, 4096) for x in range(4096)], atol=1e-6)
    assert shown.pixels[0, 0] > shown.pixels[-1, -1]


def test_the_first_of_several_windows_counts(tmp_path):
    several = displayed(tmp_path, WindowCenter=[1000, 2000], WindowWidth=[500, 900])
    one = displayed(tmp_path, WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(several.pixels, one.pixels)
    assert several.display_chain[0] == "first of 2 windows"


@pytest.mark.parametrize("photometric,shape,inverted", [
    ("MONOCHROME2", None, False), ("MONOCHROME2", "IDENTITY", False), ("MONOCHROME2", "INVERSE", True),
    ("MONOCHROME1", None, True), ("MONOCHROME1", "INVERSE", True), ("MONOCHROME1", "IDENTITY", True),
])  # fmt: skip
def test_inversion_happens_once(tmp_path, photometric, shape, inverted):
    elements = {"PresentationLUTShape": shape} if shape else {}
    shown = displayed(tmp_path, PhotometricInterpretation=photometric, WindowCenter=2048, WindowWidth=4096, **elements)
    assert (shown.pixels[0, 0] == 1.0) == inverted
    assert ("inverted" in shown.display_chain) == inverted


def lut_item(descriptor, data, vr="US"):
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if descriptor[1] < 0 else "US", descriptor)
    item.add_new("LUTData", vr, data)
    return item


def test_voi_lut_comes_before_a_window(tmp_path):
    entries = [int(4095 * (i / 999) ** 2) for i in range(1000)]
    shown = displayed(tmp_path, VOILUTSequence=Sequence([lut_item([1000, 500, 12], entries)]), WindowCenter=1, WindowWidth=2)
    expected = [entries[min(max(x - 500, 0), 999)] / 4095 for x in range(4096)]
    assert np.allclose(shown.pixels.ravel(), expected, atol=1e-6)
    assert shown.display_chain == ("VOI LUT, 1000 entries from 500, 12 bit",)


def test_a_lut_of_65536_entries_says_zero(tmp_path):
    pixels = texture(16)
    entries = (np.arange(65536) ** 2 // 65536).astype("<u2")
    shown = displayed(tmp_path, pixels, 16, VOILUTSequence=Sequence([lut_item([0, 0, 16], entries.tobytes(), "OW")]))
    assert np.allclose(shown.pixels, entries[pixels] / 65535, atol=1e-6)


def test_lut_words_of_a_big_endian_file(tmp_path):
    entries = list(range(0, 4096))[::-1]
    shown = displayed(tmp_path, syntax="big endian", VOILUTSequence=Sequence([lut_item([4096, 0, 12], entries)]))
    assert np.allclose(shown.pixels.ravel(), 1 - np.arange(4096) / 4095, atol=1e-6)


@pytest.mark.parametrize("first", [-2048, 63488])
def test_a_signed_first_value_is_understood_however_it_is_written(tmp_path, first):
    pixels = (RAMP.astype(int) - 2048).astype(np.int16)
    entries = [i // 2 for i in range(4096)]
    shown = displayed(tmp_path, pixels, VOILUTSequence=Sequence([lut_item([4096, first, 12], entries)]))
    assert np.allclose(shown.pixels.ravel(), np.asarray(entries) / 4095, atol=1e-6)


def test_eight_bit_entries_with_inputs_above_255(tmp_path):
    entries = [i * 255 // 999 for i in range(1000)]
    shown = displayed(tmp_path, VOILUTSequence=Sequence([lut_item([1000, 0, 8], bytes(entries), "OW")]))
    assert np.allclose(shown.pixels.ravel(), [entries[min(x, 999)] / 255 for x in range(4096)], atol=1e-6)


def test_modality_lut_comes_before_the_window(tmp_path):
    entries = [(i * i) % 5000 for i in range(4096)]
    item = lut_item([4096, 0, 16], entries)
    item.ModalityLUTType = "US"
    shown = displayed(tmp_path, ModalityLUTSequence=Sequence([item]), WindowCenter=2500, WindowWidth=2000)
    assert np.allclose(shown.pixels.ravel(), [linear(v, 2500, 2000) for v in entries], atol=1e-6)


def test_luts_agree_with_pydicom():
    ds = Dataset()
    ds.VOILUTSequence = Sequence([lut_item([256, 100, 12], [4095 - 16 * i for i in range(256)])])
    values = np.arange(0, 600, dtype=np.int32)
    ours = apply_lut(values.astype(float), Lut(first=100, bits=12, entries=np.asarray([4095 - 16 * i for i in range(256)])))
    assert np.array_equal(ours, pydicom.pixels.apply_voi_lut(values, ds))


def test_padding_is_air_whatever_the_chain_does_to_it(tmp_path):
    pixels = RAMP.copy()
    pixels[:8] = 0
    shown = displayed(tmp_path, pixels, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    assert shown.padding[:8].all() and not shown.padding[8:].any()
    assert (shown.pixels[:8] == 0).all()
    # Without a VOI the range is that of the image: 512 (bright) to 4095.
    assert np.allclose(shown.pixels[8:].ravel(), 1 - (np.arange(512, 4096) - 512) / (4095 - 512), atol=1e-6)


def test_padding_range_and_sign(tmp_path):
    pixels = (RAMP.astype(int) - 2048).astype(np.int16)
    shown = displayed(tmp_path, pixels, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-2048)
    assert np.array_equal(shown.padding, pixels <= -2000)


def test_without_a_window_the_full_range_is_shown_and_said(tmp_path):
    shown = displayed(tmp_path, RAMP[8:32])
    assert np.allclose(shown.pixels.ravel(), np.arange(24 * 64) / (24 * 64 - 1), atol=1e-6)
    assert shown.display_chain == ("full range 512 to 2047 (no VOI)",)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_for_processing_is_a_negative_logarithm(tmp_path, photometric):
    exposure = RAMP + np.uint16(1)
    shown = displayed(tmp_path, exposure, bits=13, PresentationIntentType="FOR PROCESSING", PhotometricInterpretation=photometric)
    expected = (np.log(4096) - np.log(exposure.astype(float))) / np.log(4096)
    assert np.allclose(shown.pixels, expected, atol=1e-6)
    assert shown.display_chain == ("FOR PROCESSING: negative logarithm of exposure, full range",)
    # The most exposed pixel is air.
    assert shown.pixels[-1, -1] == 0.0 and shown.pixels[0, 0] == 1.0


def test_for_processing_that_is_a_logarithm_already(tmp_path):
    rising = displayed(
        tmp_path, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=1
    )
    falling = displayed(
        tmp_path, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationship="LOG", PixelIntensityRelationshipSign=-1
    )
    assert np.allclose(rising.pixels.ravel(), 1 - np.arange(4096) / 4095, atol=1e-6)
    assert np.allclose(falling.pixels, 1 - rising.pixels, atol=1e-6)


def test_for_processing_with_falling_exposure(tmp_path):
    shown = displayed(
        tmp_path, PresentationIntentType="FOR PROCESSING", PixelIntensityRelationship="LIN", PixelIntensityRelationshipSign=-1
    )
    assert shown.pixels[0, 0] == 0.0 and shown.pixels[-1, -1] == 1.0
    assert np.allclose(shown.pixels.ravel(), 1 - np.log(4096 - np.arange(4096)) / np.log(4096), atol=1e-6)


def test_for_processing_with_a_window_is_shown_through_it(tmp_path):
    shown = displayed(tmp_path, PresentationIntentType="FOR PROCESSING", WindowCenter=2048, WindowWidth=4096)
    assert shown.display_chain == ("window LINEAR center 2048 width 4096",)


def test_functional_groups_come_first(tmp_path):
    def group(center):
        voi, transformation, group = Dataset(), Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 100
        transformation.RescaleSlope, transformation.RescaleIntercept = 1, center
        group.FrameVOILUTSequence, group.PixelValueTransformationSequence = Sequence([voi]), Sequence([transformation])
        return group

    frames = np.stack([RAMP, RAMP])
    path = tmp_path / "a.dcm"
    path.write_bytes(
        dicom_bytes(frames, bits=12, PerFrameFunctionalGroupsSequence=Sequence([group(10), group(1000)]), WindowCenter=1, WindowWidth=1)
    )
    assert read_mammogram(path, frame=1).display_chain == ("rescale slope 1 intercept 1000", "window LINEAR center 1000 width 100")
    assert read_mammogram(path, frame=0).display_chain[1] == "window LINEAR center 10 width 100"


def test_a_window_that_is_none_is_said_and_not_used(tmp_path):
    assert displayed(tmp_path, WindowCenter=5, WindowWidth=0).display_chain[0] == "window ignored (width 0)"


@pytest.mark.parametrize("elements,message", [
    ({"RescaleSlope": 0, "RescaleIntercept": 1}, "Rescale Slope is 0"),
    ({"VOILUTSequence": Sequence([lut_item([500, 0, 12], [1, 2, 3])])}, "3 entries, 500 declared"),
])  # fmt: skip
def test_a_chain_without_meaning_is_an_error(tmp_path, elements, message):
    with pytest.raises(BadFile, match=message):
        displayed(tmp_path, **elements)


def test_stored_values_of_32_bits():
    stored = np.asarray([[0, 1 << 20], [1 << 30, 1 << 31]], np.uint32)
    shown = show(stored, Display(modality=Rescale(slope=1.0)))
    assert np.allclose(shown.pixels, stored / (1 << 31))


def test_a_constant_image_is_air():
    assert (show(np.full((4, 4), 7, np.uint16), Display()).pixels == 0).all()
