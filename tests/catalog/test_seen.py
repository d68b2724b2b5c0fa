"""Whom weights have seen: hashes that find a patient again, name nobody, and stay small."""

import pytest

from mammolibs.catalog.seen import count_packed, join_packed, pack_patients, patients_among, without_packed
from mammolibs.errors import BadData


def test_a_patient_is_found_again_and_a_stranger_is_not():
    packed = pack_patients(["mias/001", "cbis_ddsm/P_00016", "mias/001"])
    assert count_packed(packed) == 2 and packed == pack_patients(["cbis_ddsm/P_00016", "mias/001"])
    assert patients_among(packed, ["mias/003", "mias/001", "mias/001", "MIAS/001"]) == ["mias/001"]
    assert "mias" not in packed and patients_among("", ["mias/001"]) == [] and pack_patients([]) == ""


@pytest.mark.parametrize("seen", ["own/X", "csv/X", "dicom_folder/X"])
@pytest.mark.parametrize("asked", ["own/X", "csv/X", "dicom_folder/X"])
def test_a_patient_of_ones_own_is_found_by_the_name_that_any_source_gives(seen, asked):
    assert patients_among(pack_patients([seen]), [asked, "mias/X", "own/Y"]) == [asked]


def test_sets_are_joined_and_taken_apart():
    a, b = pack_patients(["p/1", "p/2"]), pack_patients(["p/2", "p/3"])
    assert join_packed(a, b) == pack_patients(["p/1", "p/2", "p/3"]) and join_packed() == ""
    assert without_packed(a, b) == pack_patients(["p/1"]) and without_packed(a, a) == ""


def test_ten_thousand_patients_take_little_room_and_do_not_collide():
    packed = pack_patients(f"embed/{number}" for number in range(10_000))
    assert count_packed(packed) == 10_000 and len(packed) < 107_000
    assert patients_among(packed, (f"rsna/{number}" for number in range(10_000))) == []


@pytest.mark.parametrize("damaged", ["no base64!", "AAAA"])
def test_a_damaged_list_is_named(damaged):
    with pytest.raises(BadData, match="the list of patients that a card carries"):
        patients_among(damaged, ["p/1"])
