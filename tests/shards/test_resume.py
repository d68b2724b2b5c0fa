"""A shard set whose writer was stopped: what lies in finished shards is not made again, and the set is the one that would have been."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mammolibs.errors import BadFile
from mammolibs.shards import MadeOtherwise, clear_notes, is_finished, open_index, open_set, pack, verify, write_shards
from mammolibs.shards.index import INDEX_NAME
from mammolibs.storage import LocalStore, MemoryStore
from mammolibs.storage.gcs import GcsStore
from tests.storage.gcs_server import GcsServer

HOW = {"lanes": 3, "shard_bytes": 7000}
KNOWN, WHOLE = {}, []


class PowerCut(Exception):
    pass


@pytest.fixture(params=["folder", "memory"])
def place(request, tmp_path):
    """Opens the place that one writer after the other writes to. Memory has generations, as a bucket has."""
    store = MemoryStore()
    return (lambda: store) if request.param == "memory" else (lambda: LocalStore(tmp_path / "set"))


@pytest.fixture
def items(sample):
    """Thirty items: most of one sample, some of several, some skipped."""
    numbers = iter(range(100))
    return [[sample(next(numbers)) for _ in range((1, 1, 3, 0, 1, 2)[item % 6])] for item in range(30)]


def packed(samples):
    """Each sample's bytes, made once."""
    for sample in samples:
        if sample.image_id not in KNOWN:
            KNOWN[sample.image_id] = pack(sample, "blosc2")
    return [KNOWN[sample.image_id] for sample in samples]


def write(store, items, contract, *, stop_at=None, key="same input", before_finish=lambda: None, **options):
    """Write the items; the numbers of those that were made."""
    made = []
    with open_set(store, contract=contract, made_from=key, items=len(items), **HOW | options) as shards:
        for number, samples in enumerate(items):
            if number == stop_at:
                raise PowerCut
            if number in shards.done:
                assert shards.done[number] == {"of": number}
                shards.add_done(number)
                continue
            made.append(number)
            shards.add(number, {"of": number}, packed(samples))
        before_finish()
        shards.finish()
    clear_notes(store)
    return made


def stopped(store, items, contract, stop_at, **options):
    with pytest.raises(PowerCut):
        write(store, items, contract, stop_at=stop_at, **options)
    assert not is_finished(store)


def holds(store):
    """All that a set holds, but for the generations in names, once it was looked through."""
    index = open_index(store)
    verify(store, index)
    assert set(store.list()) == {INDEX_NAME, *(shard.name for shard in index.shards)}
    shards = {shard.name[:13]: store.read(shard.name) for shard in index.shards}
    return index.data_hash, index.image_ids, {name: column.tolist() for name, column in index.numbers.items()}, shards


@pytest.fixture
def whole(items, contract):
    """What an uninterrupted writer leaves."""
    if not WHOLE:
        store = MemoryStore()
        write_shards(store, [s for samples in items for s in samples], contract=contract, **HOW)
        WHOLE.append(holds(store))
    return WHOLE[0]


@pytest.mark.parametrize("stop_at", [1, 17, 29])
def test_a_stopped_writer_goes_on(place, stop_at, items, contract, whole):
    stopped(place(), items, contract, stop_at)
    made = write(place(), items, contract)
    assert holds(place()) == whole
    assert set(range(stop_at, len(items))) <= set(made) and (len(made) < len(items) or stop_at == 1)


def test_a_stopped_writer_goes_on_in_a_bucket(monkeypatch, items, contract):
    """A shard that was damaged there is told by the service: no shard is read to know that."""
    how = {"lanes": 2, "shard_bytes": 15_000}
    fresh = MemoryStore()
    write(fresh, items, contract, **how)
    with GcsServer("bucket") as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        store = GcsStore("gs://bucket/train", deadline=20.0, first_wait=0.001)
        stopped(store, items, contract, 28, **how)
        shards, notes = store.list("lane"), store.list("journal-")
        server.put("bucket", f"train/{shards[1]}", b"another")
        server.counts.clear()
        with open_set(store, contract=contract, made_from="same input", items=len(items), **how) as opened:
            assert (opened.kept, opened.damaged) == (len(shards) - 1, 1) and opened.kept >= 2
        assert server.counts["read"] == 1 + 1 + len(notes)
        assert len(write(store, items, contract, **how)) < len(items)
        assert sorted(map(store.read, store.list("lane"))) == sorted(map(fresh.read, fresh.list("lane")))
        assert open_index(store).data_hash == open_index(fresh).data_hash and store.list("journal-") == []
        assert server.violations == []


def test_stopped_again_and_again_every_item_is_made_a_few_times_at_most(items, contract, whole):
    rng, store, made = np.random.default_rng(0), MemoryStore(), []
    for _ in range(10):
        stopped(store, items, contract, int(rng.integers(0, len(items))))
    for stop_at in range(3, len(items), 4):
        stopped(store, items, contract, stop_at)
    made = write(store, items, contract)
    assert holds(store) == whole and len(made) < len(items) / 2


def test_a_set_that_was_whole_but_for_its_index_is_not_made_again(place, items, contract, whole):
    with open_set(place(), contract=contract, made_from="same input", items=len(items), **HOW) as shards:
        for number, samples in enumerate(items):
            shards.add(number, {"of": number}, packed(samples))
        shards.finish()
    place().delete(INDEX_NAME)
    assert write(place(), items, contract) == []
    assert holds(place()) == whole


@pytest.mark.parametrize("harm", ["flip", "delete"])
def test_a_damaged_shard_of_a_stopped_writer_is_made_again(place, harm, items, contract, whole):
    stopped(place(), items, contract, 25)
    store = place()
    name = sorted(store.list("lane"))[1]
    data = store.read(name)
    if harm == "delete":
        store.delete(name)
    else:
        store.write(name, data[:600] + bytes([data[600] ^ 1]) + data[601:])
    with open_set(store, contract=contract, made_from="same input", items=len(items), **HOW) as shards:
        assert shards.damaged == 1 and shards.kept >= 1
    write(store, items, contract)
    assert holds(store) == whole


def test_damaged_notes_cost_work_and_nothing_else(place, items, contract, whole):
    for stop_at, harm in ((12, slice(0, 1)), (20, slice(-1, None)), (27, slice(1, 2))):
        stopped(place(), items, contract, stop_at)
        for name in place().list("journal-")[harm]:
            data = place().read(name)
            place().write(name, data.replace(b"same input", b"sbme input"))
    write(place(), items, contract)
    assert holds(place()) == whole


@pytest.mark.parametrize("change", [{"key": "other input"}, {"lanes": 2}])
def test_another_input_or_option_begins_anew(place, change, items, contract):
    stopped(place(), items, contract, 20)
    assert write(place(), items, contract, **change) == list(range(len(items)))
    holds(place())
    stopped(place(), items, contract, 20)
    write_shards(place(), [s for samples in items for s in samples], contract=contract)
    holds(place())


def test_an_item_that_gives_other_samples_now_is_followed_by_what_follows(place, items, contract, sample):
    """Its samples lay in no finished shard, those of later items did: these are dealt otherwise now."""
    stopped(place(), items, contract, 28)
    with open_set(place(), contract=contract, made_from="same input", items=len(items), **HOW) as shards:
        again = [number for number in range(28) if number not in shards.done]
        kept = shards.kept
    changed = list(items)
    changed[again[0]] = [replace(sample(99), image_id="another")]
    with pytest.raises(MadeOtherwise):
        write(place(), changed, contract)
    with open_set(place(), contract=contract, made_from="same input", items=len(items), **HOW) as shards:
        assert 0 < shards.kept <= kept and max(shards.done) < again[0]
    write(place(), changed, contract)
    fresh = MemoryStore()
    write(fresh, changed, contract)
    assert holds(place()) == holds(fresh)


@pytest.mark.parametrize("begin_after", [5, 24])
def test_a_writer_that_was_thought_dead_harms_nothing_that_the_next_one_in_a_bucket_has_kept(begin_after, items, contract, whole):
    store = MemoryStore()

    class Overtaken(list):
        """The items; before one of them another writer comes, keeps what is there, and finishes."""

        def __iter__(self):
            for number, samples in enumerate(items):
                if number == begin_after:
                    with open_set(store, contract=contract, made_from="same input", items=len(items), **HOW) as other:
                        self.kept = other.kept
                        for place_, given in enumerate(items):
                            if place_ in other.done:
                                other.add_done(place_)
                            else:
                                other.add(place_, {"of": place_}, packed(given))
                        other.finish()
                yield samples

    overtaken = Overtaken(items)
    with pytest.raises(BadFile, match="another process has begun to write shards here since"):
        write(store, overtaken, contract)
    assert overtaken.kept or begin_after == 5
    clear_notes(store)
    assert holds(store) == whole


def test_kept_shards_in_a_bucket_that_another_removes_are_missed_before_the_index_is_written(items, contract):
    store = MemoryStore()
    stopped(store, items, contract, 20)

    def removed():
        store.delete(store.list("lane000")[0])

    with pytest.raises(BadFile, match="another process"):
        write(store, items, contract, before_finish=removed)
    assert not is_finished(store)
    write(store, items, contract)
    holds(store)
