"""Pseudonyms for people's own data: the same for the same key, by patient, never the ids themselves, and never of two keys at once."""

from __future__ import annotations

import json
import stat
from types import SimpleNamespace

import pytest

from mammolibs.catalog import SOURCES, audit, build_catalog, format_tree, make_catalog, parse_option, read_catalog, read_split
from mammolibs.catalog.audit_inputs import pool_rows
from mammolibs.catalog.run_audit import run_audit
from mammolibs.catalog.words import OWN, OWN_SOURCES
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.imaging import Pseudonyms, deidentify_file, open_key
from tests.catalog.conftest import MAKERS, make_csv, make_dicom_folder, make_mias
from tests.catalog.trees import row, write_dicom, write_plain
from tests.catalog.trees_tables import write_table


@pytest.fixture
def folder(tmp_path):
    """Six patients of two studies each."""
    for number in range(12):
        who = {"PatientID": f"JANE{number // 2}", "StudyInstanceUID": f"1.2.{number}", "PatientAge": "097Y"}
        write_dicom(tmp_path / "in" / f"{number}.dcm", **who)
    return tmp_path / "in"


def splits(rows):
    return {row.path: (row.patient_id, row.image_id, row.split) for row in rows}


def test_only_what_is_named_private_gets_other_ids(tmp_path):
    assert {name for name, source in SOURCES.items() if source.private_ids} == set(OWN_SOURCES) == {"dicom_folder", "csv"}
    assert OWN not in SOURCES
    for name in ("dicom_folder", "csv", "mias"):
        MAKERS[name](tmp_path / name)
    read = [row for name in ("dicom_folder", "csv", "mias") for row in SOURCES[name](tmp_path / name).rows]
    made = {
        row.path: row for row in build_catalog([(n, tmp_path / n) for n in ("dicom_folder", "csv", "mias")], unpack_folder=tmp_path).rows
    }
    for before in read:
        after = made[before.path]
        same = [getattr(before, what) == getattr(after, what) for what in ("image_id", "patient_id", "exam_id")]
        assert same == [before.source == "mias"] * 3, before.source
        assert (before.exam_id == before.patient_id) == (after.exam_id == after.patient_id)
        assert after.image_id.startswith(f"{before.source}-") and after.patient_id.startswith(
            "mias/" if before.source == "mias" else "own/"
        )
        lesions = [(a.lesion_id == b.lesion_id, a.outline == b.outline) for a, b in zip(after.lesions, before.lesions, strict=True)]
        assert lesions == [(before.source == "mias", True)] * len(before.lesions)


def test_a_catalog_that_is_built_again_is_the_same_and_split_by_patient(folder, tmp_path):
    first = make_catalog([("dicom_folder", folder)], tmp_path / "a")
    again = make_catalog([("dicom_folder", folder)], tmp_path / "a")
    assert again.rows == first.rows == read_catalog(tmp_path / "a" / "catalog.parquet")
    assert len({row.patient_id for row in first.rows}) == 6 and len({row.exam_id for row in first.rows}) == 12
    assert len({(row.patient_id, row.split) for row in first.rows}) == 6 and {row.age_years for row in first.rows} == {90}
    shared = make_catalog([("dicom_folder", folder)], tmp_path / "b", key=tmp_path / "a" / "pseudonyms.key")
    assert splits(shared.rows) == splits(first.rows) and not (tmp_path / "b" / "pseudonyms.key").exists()
    other = make_catalog([("dicom_folder", folder)], tmp_path / "c")
    assert not {row.patient_id for row in other.rows} & {row.patient_id for row in first.rows}


def test_the_key_is_made_for_its_owner_alone_and_told_of(folder, tmp_path):
    made = make_catalog([("dicom_folder", folder)], tmp_path / "a")
    key = tmp_path / "a" / "pseudonyms.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert f"note         its ids are pseudonyms by the key {key}: keep it" in format_tree(made)
    held = b"".join(path.read_bytes() for path in (tmp_path / "a").iterdir() if path != key)
    assert open_key(key).key.hex().encode() not in held and b"JANE" not in held
    make_mias(tmp_path / "mias")
    make_catalog([("mias", tmp_path / "mias")], tmp_path / "b")
    assert not (tmp_path / "b" / "pseudonyms.key").exists()


def test_a_patient_is_called_as_in_the_images_that_were_uploaded_with_the_key(folder, tmp_path):
    made = make_catalog([("dicom_folder", folder)], tmp_path / "a")
    key = open_key(tmp_path / "a" / "pseudonyms.key")
    assert {row.patient_id for row in made.rows} == {f"own/{deidentify_file(row.path, key).identity.patient}" for row in made.rows}


def test_another_key_or_none_is_refused_where_the_split_was_made_with_one(folder, tmp_path):
    make_catalog([("dicom_folder", folder)], tmp_path / "a")
    before = (tmp_path / "a" / "split.json").read_bytes()
    open_key(tmp_path / "other.key")
    with pytest.raises(BadConfig, match="was made with another key"):
        make_catalog([("dicom_folder", folder)], tmp_path / "a", key=tmp_path / "other.key")
    (tmp_path / "a" / "pseudonyms.key").rename(tmp_path / "kept.key")
    with pytest.raises(BadFile, match="pseudonyms.key: is not there, and the split .* restore it, or name it with --key FILE"):
        make_catalog([("dicom_folder", folder)], tmp_path / "a")
    assert (tmp_path / "a" / "split.json").read_bytes() == before and not (tmp_path / "a" / "pseudonyms.key").exists()
    make_mias(tmp_path / "mias")
    make_catalog([("mias", tmp_path / "mias")], tmp_path / "a")
    with pytest.raises(BadFile, match="is not there"):
        make_catalog([("dicom_folder", folder)], tmp_path / "a")
    make_catalog([("dicom_folder", folder)], tmp_path / "a", key=tmp_path / "kept.key")


def test_a_split_that_names_patients_as_the_files_do_is_kept_under_their_pseudonyms(folder, tmp_path):
    rows = SOURCES["dicom_folder"](folder).rows
    chosen = {row.patient_id: ("train", "validation", "test")[int(row.patient_id[-1]) % 3] for row in rows}
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "patients": chosen}))
    made = {row.path: row.split for row in make_catalog([("dicom_folder", folder)], tmp_path).rows}
    assert made == {row.path: chosen[row.patient_id] for row in rows}
    assert "JANE" not in (tmp_path / "split.json").read_text()


@pytest.fixture
def both(folder, tmp_path):
    """The six patients in a folder of DICOM files, and again in a table."""
    records = [{"path": f"{number}.png", "patient": f"JANE{number}"} for number in range(6)]
    write_table(tmp_path / "table" / "labels.csv", records)
    for record in records:
        write_plain(tmp_path / "table" / record["path"], 60, 40)
    return [("dicom_folder", folder), ("csv", tmp_path / "table")]


def test_who_is_in_two_sources_of_ones_own_is_one_patient_in_one_part(both, tmp_path):
    made = make_catalog(both, tmp_path / "a")
    assert len(made.rows) == 18 and len({row.patient_id for row in made.rows}) == 6
    assert len({(row.patient_id, row.split) for row in made.rows}) == 6
    assert len(read_split(tmp_path / "a" / "split.json", seed=0)) == 6
    assert make_catalog(both, tmp_path / "a").rows == make_catalog(both[::-1], tmp_path / "a").rows == made.rows


def test_an_issuer_that_the_images_name_is_given_to_the_table_too(both, tmp_path):
    for number in range(12):
        write_dicom(tmp_path / "in" / f"{number}.dcm", PatientID=f"JANE{number // 2}", IssuerOfPatientID="St  Mary")
    assert len({row.patient_id for row in make_catalog(both, tmp_path / "a").rows}) == 12
    options = [parse_option("csv.issuer= St Mary")]
    assert len({row.patient_id for row in make_catalog(both, tmp_path / "b", options=options).rows}) == 6


def test_a_split_by_source_is_kept_and_who_lay_in_two_parts_is_not_judged_on(both, tmp_path):
    make_catalog(both, tmp_path)
    key = open_key(tmp_path / "pseudonyms.key")
    names = [key.text("patient", f"JANE{number}") for number in range(6)]
    parts = {"dicom_folder": ("train", "test", "test", "validation", "test", "train"), "csv": ("test", "test", "validation", "train")}
    before = {f"{source}/{name}": part for source, there in parts.items() for name, part in zip(names, there, strict=False)}
    kept = ("train", "test", "validation", "train", "test", "train")
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "key": key.mark, "patients": before}))
    assert {row.patient_id: row.split for row in make_catalog(both, tmp_path).rows} == {
        f"own/{name}": part for name, part in zip(names, kept, strict=True)
    }
    raw = {f"{source}/JANE{number}": part for source, there in parts.items() for number, part in enumerate(there)}
    (tmp_path / "split.json").write_text(json.dumps({"seed": 0, "patients": raw}))
    assert {row.patient_id: row.split for row in make_catalog(both, tmp_path).rows} == {
        f"own/{name}": part for name, part in zip(names, kept, strict=True)
    }


def test_an_audit_knows_a_patient_by_the_names_of_all_sources_of_ones_own():
    people = [row("A", source="csv", split="train"), row("A", source="dicom_folder", split="test"), row("A", source="mias", split="test")]
    assert [offender.name for offender in audit(people).leaks["patient overlap"]] == ["own/A"]


def test_errors_of_a_catalog_name_no_patient(folder, tmp_path):
    with pytest.raises(BadData, match="is in the catalog twice") as error:
        build_catalog([("dicom_folder", folder), ("dicom_folder", folder)], unpack_folder=tmp_path)
    assert "JANE" not in str(error.value) and "1_2" not in str(error.value)


def audited(tmp_path, capsys, **flags):
    names = ("catalog", "source", "csv", "split", "key", "json", "id_column", "split_column", "group_column", "image_column")
    nothing = dict.fromkeys((*names, "exam_column", "parent_column", "official_column", "patient_regex"), "")
    options = SimpleNamespace(
        **nothing | {"pool": (), "ignore": (), "no_pixels": True, "cache": str(tmp_path / "cache"), "workers": 0} | flags
    )
    return run_audit(options), capsys.readouterr().out


def test_a_pool_is_known_again_by_the_same_key_and_never_taken_for_clean_by_another(folder, tmp_path, capsys):
    made = make_catalog([("dicom_folder", folder)], tmp_path / "a")
    pool = (f"dicom_folder={folder}",)
    assert audited(tmp_path, capsys, catalog=str(tmp_path / "a"), pool=pool)[0] == 1
    (tmp_path / "a" / "pseudonyms.key").rename(tmp_path / "my.key")
    with pytest.raises(BadConfig, match="give the key of what it is compared with"):
        audited(tmp_path, capsys, catalog=str(tmp_path / "a"), pool=pool)
    code, said = audited(tmp_path, capsys, catalog=str(tmp_path / "a"), pool=pool, key=str(tmp_path / "my.key"))
    tested = [row.patient_id for row in made.rows if row.split == "test"]
    assert code == 1 and f"{tested[0]}: pretraining pool" in said and "JANE" not in said
    with pytest.raises(BadFile, match="none.key: is not there"):
        audited(tmp_path, capsys, catalog=str(tmp_path / "a"), key=str(tmp_path / "none.key"))
    make_catalog([("dicom_folder", folder)], tmp_path / "b")
    for way in ({}, {"key": str(tmp_path / "my.key")}):
        with pytest.raises(BadConfig, match="its pseudonyms are of another key"):
            audited(tmp_path, capsys, catalog=str(tmp_path / "a"), pool=(str(tmp_path / "b"),), **way)
    with pytest.raises(BadConfig, match="was made with another key"):
        audited(tmp_path, capsys, catalog=str(tmp_path / "b"), key=str(tmp_path / "my.key"))


def test_a_source_of_private_ids_needs_a_key_to_be_a_pool(tmp_path):
    make_csv(tmp_path / "csv")
    make_dicom_folder(tmp_path / "plain")
    assert len(pool_rows(f"csv={tmp_path / 'csv'}", None, unpack_folder=tmp_path, pseudonyms=Pseudonyms.fresh())) == 3
    with pytest.raises(BadConfig, match="its patients get pseudonyms"):
        pool_rows(f"dicom_folder={tmp_path / 'plain'}", None, unpack_folder=tmp_path)
