"""Facts are found where makers put them, and unknown where nobody says or two contradict each other."""

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from mammolibs.errors import BadConfig, BadFile
from mammolibs.imaging import read_facts, read_mammogram
from mammolibs.imaging.codes import VIEW_CODES, read_words, view_word
from mammolibs.imaging.facts import from_orientation
from mammolibs.records import VIEWS
from tests.imaging.make import dicom_bytes

PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)


def facts(tmp_path, **elements):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(PIXELS, bits=12, **elements))
    return read_facts(path)


def code(value, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, "x"
    return Sequence([item])


def shared(**items):
    group = Dataset()
    for keyword, item in items.items():
        setattr(group, keyword, Sequence([item]))
    return Sequence([group])


def item(**elements):
    ds = Dataset()
    for keyword, value in elements.items():
        setattr(ds, keyword, value)
    return ds


def test_every_view_of_the_standard_has_a_name():
    concepts = [getattr(codes.cid4014, name) for name in codes.cid4014.dir()]
    assert len(concepts) >= 11 and all(c.value in VIEW_CODES for c in concepts)
    assert set(VIEW_CODES.values()) <= set(VIEWS)
    assert VIEW_CODES[codes.cid4014.CranioCaudal.value] == "CC"
    assert VIEW_CODES[codes.cid4014.MedioLateralObliqueProjection.value] == "MLO"


@pytest.mark.parametrize("elements,view", [
    ({"ViewCodeSequence": code("399162004")}, "CC"),
    ({"ViewCodeSequence": code("R-10226", "SRT")}, "MLO"),
    ({"ViewCodeSequence": code("R-1024A", "SRT")}, "XCC"),
    ({"ViewPosition": "MLO"}, "MLO"),
    ({"ViewPosition": "XCCL"}, "XCC"),
    ({"ViewPosition": "CCID"}, "CC"),
    ({"ViewPosition": "MLOID"}, "MLO"),
    ({"ViewCodeSequence": code("399162004"), "ViewPosition": "CC"}, "CC"),
    ({"ViewCodeSequence": code("399162004"), "ViewPosition": "MLO"}, "unknown"),
    ({"ViewCodeSequence": code("399162004"), "SeriesDescription": "L MLO"}, "CC"),
    ({"PatientOrientation": ["A", "R"]}, "CC"),
    ({"PatientOrientation": ["P", "FL"]}, "MLO"),
    ({"PatientOrientation": ["A", "F"]}, "unknown"),
    ({"SeriesDescription": "R CC"}, "CC"),
    ({"SeriesDescription": "RMLO Tomo"}, "MLO"),
    ({"SeriesDescription": "Bilateral CC and MLO"}, "unknown"),
    ({"SeriesDescription": "Screening at clinic"}, "unknown"),
    ({"ProtocolName": "Left ML"}, "ML"),
    ({}, "unknown"),
])  # fmt: skip
def test_view(tmp_path, elements, view):
    assert facts(tmp_path, **elements).view == view


@pytest.mark.parametrize("elements,side", [
    ({"ImageLaterality": "L"}, "L"),
    ({"Laterality": "R"}, "R"),
    ({"ImageLaterality": "L", "Laterality": "R"}, "unknown"),
    ({"ImageLaterality": "B"}, "unknown"),
    ({"SharedFunctionalGroupsSequence": shared(FrameAnatomySequence=item(FrameLaterality="R"))}, "R"),
    ({"PatientOrientation": ["A", "R"]}, "L"),
    ({"PatientOrientation": ["P", "L"]}, "R"),
    ({"PatientOrientation": ["A", "FR"]}, "L"),
    ({"PatientOrientation": ["P", "F"]}, "unknown"),
    ({"ImageLaterality": "R", "PatientOrientation": ["A", "R"]}, "R"),
    ({"SeriesDescription": "L CC"}, "L"),
    ({"SeriesDescription": "RMLO"}, "R"),
    ({"SeriesDescription": "left and right"}, "unknown"),
    ({}, "unknown"),
])  # fmt: skip
def test_laterality(tmp_path, elements, side):
    assert facts(tmp_path, **elements).laterality == side


@pytest.mark.parametrize("orientation", [["L", "F"], ["R", "H"], ["L", "P"], ["A", "P"], ["A", "FRX"], ["A"], "A", [], ["A", "LR"]])
def test_an_orientation_that_tells_nothing(orientation):
    assert from_orientation(orientation) == ("unknown", "unknown")


@pytest.mark.parametrize("text,expected", [
    ("L CC", ("L", "CC")), ("R-MLO", ("R", "MLO")), ("lmlo", ("L", "MLO")), ("LCC/RCC", ("unknown", "CC")),
    ("Mammogram, right, cc", ("R", "CC")), ("LM", ("unknown", "LM")), ("LLM", ("L", "LM")), ("Bilat. screening", ("unknown", "unknown")),
    ("RML", ("R", "ML")), ("CCL spot", ("unknown", "unknown")), ("", ("unknown", "unknown")),
])  # fmt: skip
def test_free_text(text, expected):
    assert read_words(text) == expected


def test_view_position_words():
    assert [view_word(w) for w in ("cc", "RMLO", "medio-lateral oblique", "LM", "AP", "")] == [
        "CC",
        "MLO",
        "MLO",
        "LM",
        "unknown",
        "unknown",
    ]


@pytest.mark.parametrize("elements,spacing", [
    ({"ImagerPixelSpacing": [0.07, 0.07], "PixelSpacing": [0.05, 0.05]}, 0.07),
    ({"PixelSpacing": [0.05, 0.05]}, 0.05),
    ({"NominalScannedPixelSpacing": [0.0435, 0.0435]}, 0.0435),
    ({"SharedFunctionalGroupsSequence": shared(PixelMeasuresSequence=item(PixelSpacing=[0.1, 0.1]))}, 0.1),
    ({"ImagerPixelSpacing": [0.07, 0.0705]}, 0.07025),
    ({"ImagerPixelSpacing": [0.07, 0.072]}, None),
    ({"ImagerPixelSpacing": [0, 0], "PixelSpacing": [0.05, 0.05]}, 0.05),
    ({"ImagerPixelSpacing": [0.07, 0.07], "EstimatedRadiographicMagnificationFactor": 1.8}, 0.07),
    ({}, None),
])  # fmt: skip
def test_spacing(tmp_path, elements, spacing):
    found = facts(tmp_path, **elements).spacing_mm
    assert found is None if spacing is None else found == pytest.approx(spacing)


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS")
@pytest.mark.parametrize("age,years", [("045Y", 45), ("030M", 2), ("104W", 1), ("", None), ("X", None)])
def test_age(tmp_path, age, years):
    assert facts(tmp_path, PatientAge=age).age_years == years


def test_the_other_facts(tmp_path):
    said = facts(
        tmp_path, IssuerOfPatientID="WARD", Manufacturer="ACME", BreastImplantPresent="YES", BurnedInAnnotation="NO",
        StudyInstanceUID="1.2", SeriesInstanceUID="1.3", EstimatedRadiographicMagnificationFactor=1.8,
    )  # fmt: skip
    assert (said.manufacturer, said.implant, said.burned_in, said.study_uid, said.series_uid) == ("ACME", True, False, "1.2", "1.3")
    assert (said.rows, said.columns, said.bits_allocated, said.bits_stored, said.signed) == (8, 8, 16, 12, False)
    assert (said.magnification, said.patient_id, said.patient_issuer, said.presentation_intent) == (1.8, "P1", "WARD", "FOR PRESENTATION")
    silent = facts(tmp_path)
    assert (silent.implant, silent.burned_in, silent.age_years, silent.magnification, silent.manufacturer) == (None, None, None, None, "")


def test_a_slice_says_where_it_lies(tmp_path):
    said = facts(tmp_path, SeriesDescription="Ph1/ax 3d dyn", InstanceNumber=17, ImagePositionPatient=[-191.8, -176.1, 86.6],
                 ImageOrientationPatient=[1, 0, 0, 0, 1, 0])  # fmt: skip
    assert (said.series_description, said.instance_number) == ("Ph1/ax 3d dyn", 17) and said.slice_mm == pytest.approx(86.6)
    # Rows run towards the head and columns to the left: the normal points backwards
    sagittal = facts(tmp_path, ImagePositionPatient=[5, 7, 9], ImageOrientationPatient=[0, 0, 1, 1, 0, 0])
    assert sagittal.slice_mm == pytest.approx(7)
    for silent in (
        {"ImagePositionPatient": [5, 7, 9]},
        {"ImagePositionPatient": [5, 7], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]},
        {},
    ):
        assert facts(tmp_path, InstanceNumber="", **silent).slice_mm is None
    assert facts(tmp_path, InstanceNumber="").instance_number is None


@pytest.mark.parametrize("sop_class,intent", [("1.2.840.10008.5.1.4.1.1.1.2.1", "FOR PROCESSING"), ("1.2.840.10008.5.1.4.1.1.1.2", "FOR PRESENTATION"),
                                              ("1.2.840.10008.5.1.4.1.1.7", "")])  # fmt: skip
def test_the_object_class_tells_the_intent_where_no_element_does(tmp_path, sop_class, intent):
    assert facts(tmp_path, SOPClassUID=sop_class, PresentationIntentType=None).presentation_intent == intent


@pytest.mark.parametrize("elements,technology", [
    ({"DetectorType": "FILM"}, "film"),
    ({"DetectorType": "STORAGE", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}, "digital"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ConversionType": "DF"}, "film"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "NominalScannedPixelSpacing": [0.05, 0.05]}, "film"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ConversionType": "WSD"}, ""),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2"}, "digital"),
    ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.2", "DetectorType": "FILM"}, "film"),
])  # fmt: skip
def test_film_or_digital_is_what_the_header_says(tmp_path, elements, technology):
    assert facts(tmp_path, **elements).technology == technology


def test_facts_never_touch_the_pixels(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(PIXELS, bits=12)[:-100])
    assert read_facts(path).rows == 8
    with pytest.raises(BadFile, match="cut short"):
        read_mammogram(path)


def test_a_given_spacing_replaces_the_files(tmp_path):
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_bytes(PIXELS, bits=12, ImagerPixelSpacing=[0.07, 0.07]))
    assert read_mammogram(path, spacing_mm=0.1).spacing_mm == 0.1
    with pytest.raises(BadConfig, match="spacing_mm"):
        read_mammogram(path, spacing_mm=0.0)
    with pytest.raises(BadFile, match="frame 1 is asked for"):
        read_mammogram(path, frame=1)
