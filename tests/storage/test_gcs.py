"""A bucket as a store: planted faults, counted requests, errors in one line."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
from concurrent.futures import ProcessPoolExecutor

import google.auth
import pytest
from google.auth.exceptions import RefreshError
from google.cloud import storage
from google.cloud.storage import blob as library
from google.oauth2.credentials import Credentials

from mammolibs.errors import BadFile, RuntimeUnavailable
from mammolibs.storage import ChangedByAnother, open_store
from mammolibs.storage.gcs import GcsStore
from tests.storage.gcs_objects import CHUNK_UNIT
from tests.storage.gcs_server import damaged

DATA = bytes(range(256)) * 4
USES = {
    "read": lambda s: s.read("a"),
    "ranged": lambda s: s.read("a", 10, 100),
    "write": lambda s: s.write("a", DATA),
    "write_if": lambda s: s.write_if("b", DATA, 0),
    "list": lambda s: s.list(),
    "delete": lambda s: s.delete("a"),
    "exists": lambda s: s.exists("a"),
    "size": lambda s: s.size("a"),
}
KINDS = {"ranged": "read", "write_if": "write", "exists": "stat", "size": "stat"}
ANSWERS = {"read": DATA, "ranged": DATA[10:110], "list": ["a"], "exists": True, "size": len(DATA)}
LOGIN = "run `gcloud auth application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS"


@pytest.fixture
def hasty(server):
    """A store that gives up soon."""
    return GcsStore("gs://bucket/runs/a", deadline=0.05, answer_timeout=0.06, first_wait=0.001)


@pytest.fixture
def resumable(monkeypatch):
    """Uploads above 1 KiB go in chunks of 512 KiB, as those above 8 MiB do in chunks of 100 MiB."""
    monkeypatch.setattr(library, "_MAX_MULTIPART_SIZE", 1024)
    monkeypatch.setattr(library, "_DEFAULT_CHUNKSIZE", 2 * CHUNK_UNIT)
    return os.urandom(5 * CHUNK_UNIT + 77)


@pytest.mark.parametrize("use", USES)
def test_each_call_is_one_request(gcs, server, use):
    server.put("bucket", "runs/a/a", DATA)
    USES[use](gcs)
    assert server.counts == {KINDS.get(use, use): 1}


def test_a_long_list_is_one_request_per_page(gcs, server):
    for number in range(8):
        server.put("bucket", f"runs/a/{number}", b"")
    server.put("bucket", "runs/a/folder/", b"")
    server.put("bucket", "runs/ab", b"")
    for fault in ("", "", "503"):
        server.plant(fault, on="list")
    assert gcs.list() == [str(n) for n in range(8)]
    assert server.counts["list"] == 3 + 1


@pytest.mark.parametrize("fault", ["429", "503", "reset", "truncated", "lost"])
@pytest.mark.parametrize("use", USES)
def test_passing_faults_are_passed_over(gcs, server, use, fault):
    server.put("bucket", "runs/a/a", DATA)
    kind = KINDS.get(use, use)
    server.plant(fault, on=kind, times=2)
    assert USES[use](gcs) == ANSWERS.get(use) or use == "write_if"
    if not (use == "write_if" or (use, fault) == ("delete", "truncated")):
        assert server.counts == {kind: 3}
    if use.startswith("write"):
        assert gcs.read("b" if use == "write_if" else "a") == DATA
    if use == "delete":
        assert not gcs.exists("a")


@pytest.mark.parametrize("fault", ["429", "503", "reset", "slow"])
@pytest.mark.parametrize("use", USES)
def test_lasting_faults_are_told_after_the_deadline(hasty, server, use, fault):
    server.put("bucket", "runs/a/a", DATA)
    server.plant(fault, on=KINDS.get(use, use), times=1000)
    with pytest.raises(RuntimeUnavailable) as told:
        USES[use](hasty)
    line = str(told.value)
    assert line.startswith("gs://bucket/runs/a")
    assert " within 0.05 s (" in line
    assert line.endswith("; check the network, then run again")
    assert "\n" not in line


def test_a_slow_first_byte_is_asked_for_again(server):
    server.put("bucket", "runs/a/a", DATA)
    server.plant("slow", on="read")
    assert GcsStore("gs://bucket/runs/a", answer_timeout=0.2, first_wait=0.001).read("a") == DATA
    assert server.counts["read"] == 2


def test_wrong_bytes_are_read_again(gcs, server):
    server.put("bucket", "runs/a/a", DATA)
    server.plant("wrong_bytes", on="read", times=2)
    assert gcs.read("a") == DATA
    server.plant("wrong_bytes", on="read", times=3)
    with pytest.raises(BadFile, match=r"^gs://bucket/runs/a/a: does not match its checksum \(crc32c\) in 3 tries; check the network"):
        gcs.read("a")


def test_wrong_bytes_after_a_cut_body_are_noticed(gcs, server):
    """The library's own way goes on after the cut and checks no sum then."""
    server.put("bucket", "runs/a/a", DATA)
    for fault in ("truncated", "wrong_bytes"):
        server.plant(fault, on="read")
    assert gcs.read("a") == DATA
    assert server.counts["read"] == 3


def test_wrong_bytes_are_not_written(gcs, server):
    gcs.write("a", DATA)
    server.plant("wrong_bytes", on="write", times=2)
    gcs.write("a", DATA[::-1])
    assert gcs.read("a") == DATA[::-1]
    server.plant("wrong_bytes", on="write", times=3)
    with pytest.raises(BadFile, match="does not match its checksum"):
        gcs.write("a", DATA)
    assert gcs.read("a") == DATA[::-1]


def test_wrong_bytes_are_not_written_in_chunks_either(gcs, server, resumable):
    gcs.write("a", DATA)
    server.plant("wrong_bytes", on="chunk")
    gcs.write("a", resumable)
    assert gcs.read("a") == resumable
    server.plant("wrong_bytes", on="chunk", times=9)
    with pytest.raises(BadFile, match="does not match its checksum"):
        gcs.write("a", damaged(resumable))
    assert gcs.read("a") == resumable


@pytest.mark.parametrize("fault", ["", *(f"{k}:{f}" for k in ("start", "chunk") for f in ("429", "503", "reset", "lost")), "chunk:partial"])
@pytest.mark.parametrize("generation", [None, 0])
def test_large_objects_go_in_chunks(gcs, server, resumable, fault, generation):
    if fault:
        kind, fault = fault.split(":")
        server.plant(fault, on=kind)
    if generation is None:
        gcs.write("large", resumable)
    else:
        assert gcs.write_if("large", resumable, 0) == gcs.read_with_generation("large")[1]
    assert gcs.read("large") == resumable
    assert server.counts["chunk"] >= 3


def test_the_last_chunks_answer_can_be_lost(gcs, server, resumable):
    for fault in ("", "", "lost"):
        server.plant(fault, on="chunk")
    generation = gcs.write_if("large", resumable, 0)
    assert gcs.read_with_generation("large") == (resumable, generation)


@pytest.mark.parametrize("there", [False, True])
def test_an_own_write_whose_answer_was_lost_is_no_other_writers(gcs, server, there):
    before = gcs.write_if("token", b"mine", 0) if there else 0
    server.plant("lost", on="write", times=2)
    generation = gcs.write_if("token", b"mine again", before)
    assert gcs.read_with_generation("token") == (b"mine again", generation)


def test_equal_bytes_of_another_writer_are_another_writers(gcs, server):
    other = GcsStore(gcs.location)
    other.write_if("token", b"same", 0)
    with pytest.raises(ChangedByAnother) as told:
        gcs.write_if("token", b"same", 0)
    line = "gs://bucket/runs/a/token: another writer has changed it; read it again; if two runs write here, stop one"
    assert str(told.value) == line


def test_a_ranged_read_needs_its_length(gcs, server):
    server.put("bucket", "runs/a/a", DATA)
    with pytest.raises(BadFile) as told:
        gcs.read("a", 1000, 100)
    assert str(told.value) == "gs://bucket/runs/a/a: gives 24 bytes from byte 1000 on, 100 expected; make it again; it was cut short"


@pytest.mark.parametrize("use", USES)
def test_a_missing_bucket_is_told(server, use):
    with pytest.raises(BadFile) as told:
        USES[use](GcsStore("gs://no-such-bucket/p"))
    make = "check the name, or make it with `gcloud storage buckets create gs://no-such-bucket`"
    assert str(told.value) == f"gs://no-such-bucket: there is no such bucket; {make}"


def test_a_missing_object_is_told(gcs):
    for use in ("read", "ranged", "size"):
        with pytest.raises(BadFile) as told:
            USES[use](gcs)
        assert str(told.value) == "gs://bucket/runs/a/a: is not there; check the name"


@pytest.mark.parametrize("use", USES)
def test_a_missing_permission_is_told(gcs, server, use):
    server.plant("403", on=KINDS.get(use, use))
    with pytest.raises(BadFile) as told:
        USES[use](gcs)
    line = str(told.value)
    assert line.startswith("gs://bucket/runs/a")
    assert "(someone@example.com does not have storage.objects access" in line
    assert line.endswith("; ask the bucket's owner for the role roles/storage.objectUser")
    assert server.counts.total() == 1


def test_a_refused_request_is_told_in_the_services_words(gcs, server):
    server.plant("400", on="stat")
    with pytest.raises(BadFile) as told:
        gcs.exists("a")
    assert str(told.value) == "gs://bucket/runs/a/a: cannot be looked at (Invalid argument.); check the address"


@pytest.mark.parametrize("use", USES)
def test_credentials_that_are_not_accepted_are_told(gcs, server, use):
    server.plant("401", on=KINDS.get(use, use), times=3)
    with pytest.raises(RuntimeUnavailable) as told:
        USES[use](gcs)
    assert ": no valid credentials for Google Cloud (" in str(told.value)
    assert str(told.value).endswith(LOGIN)


def test_absent_credentials_are_told(monkeypatch, tmp_path):
    for name in ("STORAGE_EMULATOR_HOST", "GOOGLE_APPLICATION_CREDENTIALS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(RuntimeUnavailable) as told:
        open_store("gs://bucket/p").read("a")
    assert str(told.value).startswith("gs://bucket/p/a: no valid credentials for Google Cloud (Your default credentials were not found.")
    assert str(told.value).endswith(LOGIN)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "gone.json"))
    with pytest.raises(RuntimeUnavailable, match=r"gone\.json was not found"):
        open_store("gs://bucket/p").read("a")


def test_expired_credentials_are_told(server, monkeypatch):
    class Expired(Credentials):
        def refresh(self, request):
            raise RefreshError("invalid_grant: Token has been expired or revoked.")

    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    monkeypatch.setenv("API_ENDPOINT_OVERRIDE", server.url)
    monkeypatch.setattr(google.auth, "default", lambda **_: (Expired(None), None))
    with pytest.raises(RuntimeUnavailable) as told:
        open_store("gs://bucket/p").read("a")
    words = "invalid_grant: Token has been expired or revoked."
    assert str(told.value) == f"gs://bucket/p/a: no valid credentials for Google Cloud ({words}); {LOGIN}"
    assert not server.counts


def test_an_address_of_an_emulator_without_its_scheme_is_told(monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "127.0.0.1:1")
    with pytest.raises(RuntimeUnavailable, match=r"^gs://b/a: cannot be read .* check the network and STORAGE_EMULATOR_HOST"):
        open_store("gs://b").read("a")


def test_an_absent_library_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "mammolibs.storage.gcs")
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with pytest.raises(RuntimeUnavailable, match=r"^gs://b/p: google-cloud-storage does not import .*; pip install 'mammolibs\[gcs\]'$"):
        open_store("gs://b/p")


def test_it_travels_to_another_process(gcs, server):
    gcs.write("a", DATA)
    again = pickle.loads(pickle.dumps(gcs))
    assert (again.read("a"), again.location, again.deadline) == (DATA, gcs.location, gcs.deadline)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as pool:
        assert pool.submit(gcs.read, "a").result() == DATA


def test_it_finds_its_server_from_a_process_with_another_environment(gcs, monkeypatch):
    gcs.write("a", DATA)
    travelled = pickle.dumps(gcs)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    assert pickle.loads(travelled).read("a") == DATA


def test_stores_of_one_thread_share_a_client_and_a_forked_process_has_its_own(gcs, server, monkeypatch):
    made = []
    really = storage.Client
    monkeypatch.setattr(storage, "Client", lambda **how: made.append(how) or really(**how))
    gcs.write("a", DATA)
    before = len(made)
    assert GcsStore(gcs.location).read("a") == gcs.read("a") == DATA and len(made) == before
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    assert gcs.read("a") == DATA and len(made) == before + 1
