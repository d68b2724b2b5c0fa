"""OMI-DB: both names of its files, histology against opinions, marks, twins, flat fields, interval cancers, gaps."""

import pytest

from mammolibs.catalog import SOURCES
from mammolibs.catalog.sources import omi_db
from mammolibs.catalog.sources.omi_db import proven_label, read_label
from mammolibs.errors import BadFile
from tests.catalog.trees_tables import UID, omi_image, omi_mark, write_json, write_omi

HISTOLOGY = {"BIOPSYWIDE": {"L": {"1": {"Opinion": "B5", "SideCode": "L"}}, "left_opinion": "Malignant", "right_opinion": None}}
SCREENED = {"SCREENING": {"L": {"Opinion": "R4", "AgeAtScreening": "57"}, "R": {"Opinion": "R1", "AgeAtScreening": "57"}}}
RAW = {"PresentationIntentType": "FOR PROCESSING"}


def read(root, **options):
    return SOURCES["omi_db"](root, options)


def client(root, images, said=None, name="optm1", **more):
    write_omi(root, name, images, None if said is None else {"7": said}, **more)


def labels(root, **options):
    return {row.laterality: (row.pathology, row.truth) for row in read(root, **options).rows}


@pytest.mark.parametrize("old", [False, True])
def test_new_and_old_names(tmp_path, old):
    client(tmp_path, [omi_image(1, "L"), omi_image(2, "R", "MLO")], HISTOLOGY | SCREENED, old=old)
    result = read(tmp_path)
    left, right = result.rows
    assert (left.image_id, left.patient_id) == (f"omi_db-{UID.replace('.', '_')}_3_1", "omi_db/optm1")
    assert left.exam_id == right.exam_id == f"omi_db/{UID}.1.1"
    assert (left.laterality, left.view, left.pathology, left.truth, left.age_years) == ("L", "CC", "malignant", "biopsy", 57)
    assert (right.laterality, right.view, right.pathology, right.truth) == ("R", "MLO", "normal", "read")
    assert "OPTIMAM" in left.licence and result.notes == []


def events(**opinions):
    """BIOPSYWIDE="B5" and so on, for lesion 1 of the left breast."""
    return {event: {"L": {"1": {"Opinion": opinion}}} for event, opinion in opinions.items()}


@pytest.mark.parametrize("said,label", [
    (events(BIOPSYWIDE="B5"), "malignant"), (events(SURGERY="H5"), "malignant"), (events(BIOPSYFINE="C5"), "malignant"),
    (events(BIOPSYWIDE="B2"), "benign"), (events(SURGERY="H2"), "benign"), (events(SURGERY="H1"), "benign"),
    (events(BIOPSYFINE="C2"), "benign"),
    (events(BIOPSYWIDE="B3"), "unknown"), (events(BIOPSYWIDE="B4"), "unknown"), (events(BIOPSYFINE="C1"), "unknown"),
    (events(SURGERY="H0"), "unknown"), ({}, "unknown"), ({"SURGERY": None}, "unknown"), (events(SCREENING="R5"), "unknown"),
    (events(BIOPSYWIDE="B3", SURGERY="H2"), "benign"), (events(BIOPSYWIDE="B5", SURGERY="H2"), "malignant"),
    (events(BIOPSYFINE="C2", BIOPSYWIDE="B4"), "unknown"), (events(BIOPSYFINE="C2", BIOPSYWIDE="B5"), "malignant"),
    ({"SURGERY": {"left_opinion": "Malignant"}}, "malignant"), ({"SURGERY": {"left_opinion": "OB"}}, "benign"),
    ({"SURGERY": {"left_opinion": "Normal", "right_opinion": "Malignant"}}, "unknown"),
])  # fmt: skip
def test_histology(said, label):
    assert proven_label(said, "L") == label


def test_histology_of_one_lesion_of_a_breast():
    episode = {"BIOPSYWIDE": {"L": {"1": {"Opinion": "B2"}, "2": {"Opinion": "B5"}}, "left_opinion": "Malignant"}}
    assert [proven_label(episode, "L", lesion) for lesion in ("1", "2", "3")] == ["benign", "malignant", "unknown"]
    assert (proven_label(episode, "L"), proven_label(episode, "R")) == ("malignant", "unknown")


@pytest.mark.parametrize("said,label", [
    ({"SCREENING": {"L": {"Opinion": "R1"}}}, "normal"), ({"SCREENING": {"L": {"Opinion": "RN"}}}, "normal"),
    ({"SCREENING": {"L": {"Opinion": "R2"}}}, "benign"), ({"SCREENING": {"L": {"Opinion": "R3"}}}, "unknown"),
    ({"SCREENING": {"left_opinion": "Normal"}}, "normal"), ({"SCREENING": {"left_opinion": "Suspicious"}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R4"}}, "ASSESSMENT": {"left_opinion": "Benign", "L": {"1": {}}}}, "benign"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "ASSESSMENT": {"left_opinion": None, "L": {"1": {}}}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "ASSESSMENT": {"right_opinion": "Suspicious", "R": {"1": {}}}}, "normal"),
    ({"SCREENING": {"L": {"Opinion": "R1"}, "left_opinion": "Malignant"}}, "unknown"), ({}, "unknown"), ({"SCREENING": None}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "OTHERSCREENING": {"1": {"L": {"Opinion": "R4"}}}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "OTHERSCREENING": {"1": {"L": {"Opinion": "R1"}}, "2": {"left_opinion": "Benign"}}}, "benign"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "OTHERSCREENING": {"1": {"R": {"Opinion": "R4"}}, "2": None}}, "normal"),
    ({"OTHERSCREENING": {"1": {"L": {"Opinion": "R4"}}}, "ASSESSMENT": {"left_opinion": "Normal"}}, "normal"),
    ({"OTHERSCREENING": {"1": {"L": {"Opinion": "R1"}}}}, "normal"), ({"OTHERSCREENING": {"1": {"L": {}}}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "CLINICAL": {"L": {"1": {"Opinion": "P4"}}}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "CLINICAL": {"left_opinion": "Suspicious", "L": None}}, "unknown"),
    ({"SCREENING": {"L": {"Opinion": "R1"}}, "CLINICAL": {"left_opinion": "Normal", "R": {"1": {"Opinion": "P4"}}}}, "normal"),
    ({"SCREENING": {"L": {"Opinion": "R2"}}, "CLINICAL": {"L": {"1": {"Opinion": "P2"}}}}, "benign"),
])  # fmt: skip
def test_readings_label_no_suspicion(said, label):
    assert read_label(said, "L") == label


def test_a_specimen_that_proves_nothing_leaves_the_breast_unknown(tmp_path):
    client(tmp_path, [omi_image(1, "L")], events(BIOPSYWIDE="B4") | {"SCREENING": {"L": {"Opinion": "R1"}}})
    assert labels(tmp_path) == {"L": ("unknown", "unknown")}


def test_marks_take_the_histology_that_they_are_linked_to(tmp_path):
    episode = {"BIOPSYWIDE": {"L": {"1": {"Opinion": "B5"}, "2": {"Opinion": "B2"}}}}
    marks = [
        omi_mark(20, 30, 5, 10, mark_id=1, LinkedNBSSLesionNumber="1", Mass=1, WithCalcification="WithCalcification"),
        omi_mark(1, 2, 3, 4, mark_id=2, LinkedNBSSLesionNumber="2", SuspiciousCalcifications="SuspiciousCalcifications"),
        omi_mark(1, 2, 3, 4, mark_id=3, ArchitecturalDistortion=1),
        omi_mark(1, 2, 3, 4, mark_id=4, Vascular="Vascular"),
        omi_mark(1, 2, 3, 4, mark_id=5, LinkedNBSSLesionNumber="02,1"),
    ]
    client(tmp_path, [omi_image(1, marks=marks)], episode)
    [row] = read(tmp_path).rows
    assert [(lesion.kind, lesion.pathology) for lesion in row.lesions] == [
        ("mass", "malignant"), ("calcification", "benign"), ("distortion", "unknown"), ("other", "benign"), ("other", "malignant"),
    ]  # fmt: skip
    assert row.lesions[0].outline.points == ((5, 10), (20, 30)), "corners come in either order"
    assert (row.pathology, row.truth, row.lesions[0].lesion_id) == ("malignant", "biopsy", f"omi_db-{UID}.3.1-1")


def test_a_mark_without_a_link_takes_what_holds_for_its_whole_breast(tmp_path):
    client(tmp_path, [omi_image(1, marks=[omi_mark(1, 2, 3, 4, Mass=1)])], events(BIOPSYWIDE="B2"))
    [row] = read(tmp_path).rows
    assert (row.pathology, row.lesions[0].pathology) == ("benign", "benign")


@pytest.mark.parametrize("keys,label", [({"Mass": 1}, "unknown"), ({"Skin": "Skin"}, "benign"), ({}, "unknown")])
def test_a_mark_in_a_breast_that_was_read_as_normal(tmp_path, keys, label):
    client(tmp_path, [omi_image(1, "R", marks=[omi_mark(1, 2, 3, 4, **keys)])], SCREENED)
    [row] = read(tmp_path).rows
    assert row.pathology == row.lesions[0].pathology == label


@pytest.mark.parametrize("mark,says", [
    (omi_mark(900, 900, 950, 950), "outside its image"), ({"MarkID": 5, "X1": "1", "Y1": "2"}, "mark 5 has no corners"),
    (omi_mark(1, 2, 3, 4, X2="far"), "'far', which is no number"),
])  # fmt: skip
def test_a_mark_that_fits_nothing_is_skipped_with_its_image(tmp_path, mark, says):
    client(tmp_path, [omi_image(1, marks=[mark]), omi_image(2)], SCREENED)
    result = read(tmp_path)
    assert len(result.rows) == 1 and says in result.skipped[0].reason


def test_a_for_processing_twin_is_left_out_or_a_copy_of_its_image(tmp_path):
    client(tmp_path, [omi_image(1, "L"), omi_image(2, "L", **RAW), omi_image(3, "R", **RAW)], SCREENED)
    result = read(tmp_path)
    assert [row.image_id[-1] for row in result.rows] == ["1", "3"], "without a twin it stays"
    assert [(item.on_purpose, "FOR PROCESSING twin" in item.reason) for item in result.skipped] == [(True, True)]
    both = {row.image_id[-1]: row for row in read(tmp_path, twins="both").rows}
    assert both["2"].parent_id == both["1"].image_id and both["1"].parent_id == both["3"].parent_id == ""


def test_flat_fields_are_dropped_and_displaced_implants_are_their_view(tmp_path):
    images = [omi_image(number, "L", view) for number, view in enumerate(("CCID", "MLOID", "XCCL", "ODD"), start=2)]
    client(tmp_path, [omi_image(1, "", "FLATFIELD"), *images], SCREENED, old=True)
    result = read(tmp_path)
    assert [row.view for row in result.rows] == ["CC", "MLO", "XCC", "unknown"]
    assert [(item.on_purpose, item.reason) for item in result.skipped] == [(True, "is a flat field of the detector")]


def forget_json(root):
    """As in shares that have no JSON beside each image."""
    for path in root.rglob(f"{UID}.3.*.json"):
        path.unlink()


def test_without_the_json_of_each_image_the_header_tells_flat_fields_and_displaced_implants(tmp_path):
    said = ({"view": "FLATFIELD"}, {"SeriesDescription": "Flat Field, Rh"}, {"view": "CCID"}, {"view": "MLOID"}, {})
    images = [omi_image(number, "L", **({"view": ""} | header)) for number, header in enumerate(said, start=1)]
    client(tmp_path, images, SCREENED)
    forget_json(tmp_path)
    result = read(tmp_path)
    assert [row.view for row in result.rows] == ["CC", "MLO", "unknown"]
    assert [item.reason for item in result.skipped if item.on_purpose] == ["is a flat field of the detector"] * 2


def test_a_view_that_the_header_lacks_is_taken_from_the_json(tmp_path):
    client(tmp_path, [omi_image(1, "L", "MLOID", **{"ViewPosition": ""})], SCREENED)
    assert [row.view for row in read(tmp_path).rows] == ["MLO"]


def test_marks_of_images_that_users_found_misplaced_keep_no_place(tmp_path, monkeypatch):
    assert len(omi_db._MISPLACED) == 9 and all(uid.startswith("1.2.826.0.1.3680043.9.3218.1.1.") for uid in omi_db._MISPLACED)
    monkeypatch.setattr(omi_db, "_MISPLACED", {f"{UID}.3.1"})
    outside = omi_mark(900, 2, 920, 4, mark_id=2)
    images = [omi_image(1, marks=[omi_mark(1, 2, 3, 4, Mass=1), outside]), omi_image(2, marks=[omi_mark(1, 2, 3, 4)])]
    client(tmp_path, images, events(BIOPSYWIDE="B5"))
    wrong, right = read(tmp_path).rows
    assert [(lesion.kind, lesion.outline.shape) for lesion in wrong.lesions] == [("mass", "none"), ("other", "none")]
    assert wrong.pathology == "malignant" and right.lesions[0].outline.shape == "box"
    assert "images whose marks are known to lie at the wrong place (kept without a place): 1" in read(tmp_path).notes


INTERVAL = {"EpisodeType": "CI", "INTERVALCANCER": {"L": {"1": {"DatePerformed": "2015-01-01"}}}}


@pytest.mark.parametrize("interval,sides", [
    (INTERVAL, "L"), (INTERVAL | {"EpisodeType": "R"}, "L"), ({"EpisodeType": "Interval case"}, "LR"), ({"EpisodeType": "R"}, ""),
])  # fmt: skip
def test_a_screen_before_an_interval_cancer_is_not_normal(tmp_path, interval, sides):
    screen = {"SCREENING": {"L": {"Opinion": "R1"}, "R": {"Opinion": "R1"}}}
    write_omi(tmp_path, "optm1", [omi_image(1, "L"), omi_image(2, "R")], {"7": screen, "8": interval})
    assert labels(tmp_path) == {side: ("unknown", "unknown") if side in sides else ("normal", "read") for side in "LR"}
    taken = labels(tmp_path, interval_cancers="malignant")
    assert taken == {side: ("malignant", "assumed") if side in sides else ("normal", "read") for side in "LR"}
    assert any("interval cancer" in note and note.endswith(f": {len(sides)}") for note in read(tmp_path).notes) == bool(sides)


def test_a_missing_episode_and_a_missing_nbss_leave_labels_unknown(tmp_path):
    client(tmp_path, [omi_image(1)], None)
    client(tmp_path, [omi_image(2, study=2)], SCREENED, name="demd2", episode="99")
    result = read(tmp_path)
    assert [row.pathology for row in result.rows] == ["unknown", "unknown"] and not result.skipped
    assert "images whose episode NBSS does not have (label unknown): 2" in result.notes


@pytest.mark.parametrize("name", ["imagedb_optm1.json", "nbss_optm1.json"])
@pytest.mark.parametrize("text", ["{", "[]", "\x00"])
def test_a_client_whose_json_is_damaged_is_skipped_and_the_rest_goes_on(tmp_path, name, text):
    client(tmp_path, [omi_image(1)], SCREENED)
    client(tmp_path, [omi_image(2, study=2)], SCREENED, name="demd2")
    next(tmp_path.rglob(name)).write_text(text)
    result = read(tmp_path)
    assert [row.patient_id for row in result.rows] == ["omi_db/demd2"]
    assert [item.item.endswith(name) and "JSON" in item.reason for item in result.skipped] == [True]


def test_listed_images_that_are_not_there_are_absent(tmp_path):
    client(tmp_path, [omi_image(1), omi_image(2)], SCREENED)
    next(tmp_path.rglob(f"{UID}.3.2.dcm")).unlink()
    result = read(tmp_path)
    assert (len(result.rows), result.absent, result.skipped) == (1, 1, [])
    next(tmp_path.rglob(f"{UID}.3.1.dcm")).unlink()
    with pytest.raises(BadFile, match="imagedb files list"):
        read(tmp_path)


def test_null_and_lists_stand_for_nothing(tmp_path):
    client(tmp_path, [omi_image(1)], SCREENED)
    study = {"EpisodeID": None, "Site": "x", f"{UID}.2.1": {f"{UID}.3.1": [], "SeriesDate": "x"}, f"{UID}.2.2": None}
    write_json(next(tmp_path.rglob("imagedb_optm1.json")), {"STUDIES": {f"{UID}.1.1": study, f"{UID}.1.2": None}})
    assert [(row.pathology, row.lesions) for row in read(tmp_path).rows] == [("unknown", ())]
