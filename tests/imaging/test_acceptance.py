"""The gate: each reason planted and found, clean images clean, and what the policy makes of it."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from mammolibs.imaging import read_facts
from mammolibs.imaging.acceptance import inverted, judge
from mammolibs.imaging.codes import modifier_words
from mammolibs.records import USES, BreastPlace, ImageFacts, Policy
from mammolibs.records.acceptance import CODES
from tests.imaging.make import dicom_bytes

DATA = Path(os.environ.get("MAMMOLIBS_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
MG = "1.2.840.10008.5.1.4.1.1.1.2"
CLEAN = ImageFacts(
    source_file="a.dcm", transfer_syntax="1.2.840.10008.1.2.1", rows=3000, columns=2400, bits_allocated=16, bits_stored=12, laterality="L",
    view="CC", modality="MG", sop_class_uid=MG, presentation_intent="FOR PRESENTATION", orientation=("A", "R"), implant=False, burned_in=False,
    lossy=False, magnification=1.05,
)  # fmt: skip
# Nothing but its modality or a body part says what it shows.
ELSEWHERE = {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7", "view": "unknown"}


def film(side="left"):
    """Half an ellipse of tissue at one edge, and where it lies."""
    y, x = np.mgrid[:480, :400]
    breast = (x / 250) ** 2 + ((y - 240) / 200) ** 2 < 1
    noise = cv2.GaussianBlur(np.random.default_rng(1).random(breast.shape), (0, 0), 3)
    pixels = np.where(breast, 0.4 + 2 * (noise - 0.5), 0.01).clip(0, 1).astype(np.float32)
    pixels, breast = (pixels, breast) if side == "left" else (pixels[:, ::-1], breast[:, ::-1])
    return np.ascontiguousarray(pixels), BreastPlace(mask=breast[::4, ::4], chest_wall=side)


def write(pixels, text, corner, scale=0.8):
    ink = np.zeros(pixels.shape, np.uint8)
    cv2.putText(ink, text, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 2)
    return np.maximum(pixels, ink / np.float32(255))


@pytest.mark.parametrize("use", USES)
def test_a_clean_image_has_no_reasons(use):
    pixels, breast = film()
    verdict = judge(CLEAN, use, pixels=pixels, breast=breast)
    assert (verdict.status, verdict.reasons, verdict.refused) == ("accepted", (), False)


@pytest.mark.parametrize("code,change", [
    ("wrong_modality", {"modality": "CT"}),
    ("wrong_modality", {"modality": "CR", "body_part": "CHEST"} | ELSEWHERE),
    ("modality_unsure", {"modality": "RG"} | ELSEWHERE),
    ("modality_unsure", {"modality": ""} | ELSEWHERE),
    ("for_processing", {"presentation_intent": "FOR PROCESSING"}),
    ("unknown_laterality", {"laterality": "unknown"}),
    ("unknown_view", {"view": "unknown"}),
    ("spot_or_magnified", {"view_modifiers": ("spot",)}),
    ("spot_or_magnified", {"magnification": 1.8}),
    ("implant", {"implant": True}),
    ("implant", {"view_modifiers": ("implant displaced",)}),
    ("tomosynthesis", {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.13.1.3", "frames": 60}),
    ("tomosynthesis", {"frames": 4}),
    ("burned_in_text", {"burned_in": True}),
    ("lossy", {"lossy": True}),
    ("too_small", {"columns": 191}),
])  # fmt: skip
def test_each_header_fault_is_found_alone(code, change):
    verdict = judge(replace(CLEAN, **change), "predict")
    (reason,) = [reason for reason in verdict.reasons if reason.code != "unknown_view" or "view" not in change or code == "unknown_view"]
    assert reason.code == code
    assert reason.text and "\n" not in reason.text and reason.action == Policy().action("predict", code)


@pytest.mark.parametrize("change", [
    {"modality": "RG", "body_part": "BREAST"} | ELSEWHERE, {"modality": "CR", "view": "MLO", "sop_class_uid": "1"}, {"modality": "OT", "sop_class_uid": MG},
])  # fmt: skip
def test_a_radiograph_that_says_breast_anywhere_is_a_mammogram(change):
    assert not {"wrong_modality", "modality_unsure"} & set(judge(replace(CLEAN, **change), "train").codes)


def test_a_plain_picture_is_asked_for_no_modality():
    facts = ImageFacts(source_file="a.png", transfer_syntax="PNG", rows=1024, columns=800)
    assert judge(facts, "predict").codes == ("unknown_laterality", "unknown_view")


@pytest.mark.parametrize("laterality,orientation,side,contradicts", [
    ("L", (), "left", False), ("L", (), "right", True), ("R", (), "left", True), ("R", (), "right", False),
    ("unknown", (), "left", False), ("L", (), "unknown", False),
    ("L", ("P", "R"), "right", False), ("L", ("P", "R"), "left", True), ("R", ("A", "L"), "left", False),
])  # fmt: skip
def test_the_side_of_the_breast_against_the_header(laterality, orientation, side, contradicts):
    pixels, breast = film("right" if side == "right" else "left")
    facts = replace(CLEAN, laterality=laterality, orientation=orientation)
    verdict = judge(facts, "train", pixels=pixels, breast=replace(breast, chest_wall=side))
    assert ("side_contradicts_pixels" in verdict.codes) == contradicts


def test_an_inverted_image_is_refused():
    pixels, breast = film()
    assert not inverted(pixels) and inverted(1 - pixels)
    for use in USES:
        assert [r.code for r in judge(CLEAN, use, pixels=1 - pixels).decisive] == ["polarity_contradicts_pixels"]
    assert not inverted(np.zeros((300, 300), np.float32)) and not inverted(np.ones((300, 300), np.float32))


def test_a_line_of_text_is_found_and_a_marker_is_none():
    pixels, breast = film()
    pixels[:, 260:] += np.float32(0.02) * np.random.default_rng(0).random((480, 140), np.float32)
    for marker in ("L MLO", "LXCCL", "RCC AB"):
        assert "burned_in_text" not in judge(CLEAN, "train", pixels=write(pixels, marker, (260, 40)), breast=breast).codes, marker
    named = write(write(pixels, "DOE JA", (290, 30)), "1961-05", (280, 60))
    assert judge(CLEAN, "train", pixels=named, breast=breast).codes == ("burned_in_text",)
    upright = np.rot90(write(np.ascontiguousarray(np.rot90(pixels)), "DOE^JANE 1961", (20, 30)), -1)
    assert judge(CLEAN, "train", pixels=np.ascontiguousarray(upright), breast=breast).codes == ("burned_in_text",)
    on_the_breast = write(pixels, "DOE^JANE", (30, 240))
    assert judge(CLEAN, "train", pixels=on_the_breast, breast=breast).codes == ()


def test_text_that_header_and_pixels_tell_of_is_one_reason():
    pixels, breast = film()
    (reason,) = judge(replace(CLEAN, burned_in=True), "train", pixels=write(pixels, "SMITH ANN", (230, 30)), breast=breast).reasons
    assert reason.code == "burned_in_text" and "header" in reason.text and "letters stand in lines" in reason.text


def test_the_verdict_is_json_and_the_policy_decides_it():
    facts = replace(CLEAN, implant=True, view_modifiers=("spot",))
    train, predict = (judge(facts, use) for use in USES)
    assert (train.status, predict.status) == ("refused", "accepted") and train.codes == predict.codes == ("spot_or_magnified", "implant")
    assert asdict(train)["reasons"][0] == {
        "code": "spot_or_magnified",
        "text": "it shows a detail and not the breast: spot",
        "action": "refuse",
    }
    strict = Policy().changed({"predict": {"implant": "refuse", "spot_or_magnified": "ignore"}})
    assert judge(facts, "predict", strict).codes == ("implant",) and judge(facts, "predict", strict).refused
    assert judge(facts, "train", strict) == train
    assert not judge(facts, "train", Policy().accepting("spot_or_magnified")).refused
    assert judge(replace(CLEAN, rows=250), "train", Policy().changed({"least_side_px": 300})).codes == ("too_small",)


@pytest.mark.parametrize("values,told", [
    ({"trian": {}}, "did you mean train"), ({"train": {"implants": "warn"}}, "did you mean implant"),
    ({"train": {"implant": "refused"}}, "did you mean refuse"), ({"least_side_px": "big"}, "least_side_px"),
    ({"least_side_px": True}, "least_side_px"), ([], "expected an object"), ({"predict": ["implant"]}, "expected codes"),
])  # fmt: skip
def test_a_policy_that_is_none_names_what_is_allowed(values, told):
    with pytest.raises(ValueError, match=told):
        Policy().changed(values)


def test_a_policy_survives_its_file():
    policy = Policy().changed({"train": {"lossy": "refuse"}, "least_side_px": 300})
    assert Policy().changed(policy.to_dict()) == policy and hash(policy) != hash(Policy())
    assert set(policy.to_dict()["train"]) == set(policy.to_dict()["predict"]) == set(CODES)


def code(concept):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = concept.value, concept.scheme_designator, concept.meaning
    return item


def test_what_the_gate_asks_stands_in_the_header(tmp_path):
    view = code(codes.cid4014.CranioCaudal)
    view.ViewModifierCodeSequence = Sequence(
        [code(codes.cid4015.SpotCompression), code(codes.cid4015.RolledLateral), code(codes.cid4015.Magnification)]
    )
    path = tmp_path / "a.dcm"
    path.write_bytes(
        dicom_bytes(
            np.zeros((8, 8), np.uint16),
            ViewCodeSequence=Sequence([view]),
            PatientOrientation=["A", "R"],
            BodyPartExamined="BREAST",
            LossyImageCompression="01",
        )
    )
    facts = read_facts(path)
    assert (facts.view, facts.view_modifiers, facts.orientation, facts.body_part, facts.lossy) == (
        "CC",
        ("magnification", "spot"),
        ("A", "R"),
        "BREAST",
        True,
    )
    path.write_bytes(dicom_bytes(np.zeros((8, 8), np.uint16), SeriesDescription="R CC spot"))
    silent = read_facts(path)
    assert (silent.view_modifiers, silent.orientation, silent.body_part, silent.lossy) == (("spot",), (), "", None)
    path.write_bytes(dicom_bytes(np.zeros((8, 8), np.uint8), "JPEG baseline", LossyImageCompression="00"))
    assert read_facts(path).lossy
    assert modifier_words("Spotlight clinic, MAG view") == ("magnification",)
    assert modifier_words("FLATFIELD") == modifier_words("Flat field, Rh") == ("flat field",) and modifier_words("a flat fieldmouse") == ()


@pytest.mark.parametrize("name,train", [
    ("MG1_J2KI", ("lossy",)), ("RG1_J2KI", ("wrong_modality",)), ("RG3_J2KI", ("wrong_modality",)), ("CT_JPEG70.dcm", ("wrong_modality",)),
    ("NM1_RLE", ("wrong_modality",)), ("jpeg2k_3d.dcm", ("tomosynthesis", "too_small")), ("vlut_04.dcm", ("modality_unsure",)),
])  # fmt: skip
def test_real_files(name, train):
    path = DATA / "dicom" / name
    if not path.exists():
        pytest.skip(f"{path} is not there; MAMMOLIBS_DATA names the folder that holds dicom/")
    found = judge(read_facts(path), "train")
    assert set(train) <= set(found.codes) and found.refused == any(Policy().action("train", code) == "refuse" for code in train)
