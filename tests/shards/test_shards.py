from __future__ import annotations

import io
import json
import re
import tarfile
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.shards import CODECS, open_index, read_sample, verify, write_shards
from mammolibs.shards.index import INDEX_NAME
from mammolibs.storage import LocalStore, MemoryStore


def contents(store) -> dict[str, bytes]:
    return {name: store.read(name) for name in store.list()}


def assert_same_sample(a, b):
    for name, value in vars(a).items():
        other = getattr(b, name)
        if isinstance(value, np.ndarray):
            assert value.dtype == other.dtype
            np.testing.assert_array_equal(value, other)
        else:
            assert value == other, name


@pytest.mark.parametrize("codec", CODECS)
def test_every_sample_comes_back_with_all_its_facts(codec, samples, contract, tmp_path):
    store = LocalStore(tmp_path)
    write_shards(store, iter(samples(21)), contract=contract, lanes=4, shard_bytes=6000, codec=codec)
    index = open_index(store)
    assert len(index) == 21
    assert (index.codec, index.lanes, index.contract_hash, index.contract) == (codec, 4, "c0ffee", {"canvas": [32, 16]})
    for row, sample in enumerate(samples(21)):
        assert_same_sample(sample, read_sample(store, index, row))
        entry = index.entry(row)
        assert (entry.image_id, entry.patient_id, entry.label) == (sample.image_id, sample.patient_id, sample.label)
    assert verify(store, index) == 21


def test_a_sample_without_a_placement_comes_back(sample, contract):
    store = MemoryStore()
    index = write_shards(store, [sample(1, placement=None, extra={})], contract=contract)
    assert read_sample(store, index, 0).placement is None


@pytest.mark.parametrize("codec", CODECS)
def test_any_tar_reader_finds_the_members_where_the_index_says(codec, samples, contract, tmp_path):
    store = LocalStore(tmp_path)
    index = write_shards(store, samples(12), contract=contract, lanes=3, shard_bytes=7000, codec=codec)
    found = set()
    for number, shard in enumerate(index.shards):
        with tarfile.open(tmp_path / shard.name) as tar:
            members = tar.getmembers()
            assert len({m.name.partition(".")[0] for m in members}) == shard.samples
            for member in members:
                key, _, ending = member.name.partition(".")
                row, kind = int(key), ending.partition(".")[0]
                assert index.numbers["shard"][row] == number
                assert (member.offset_data, member.size) == tuple(index.numbers[f"{kind}_{what}"][row] for what in ("offset", "length"))
                assert (member.mtime, member.uid, member.mode) == (0, 0, 0o644)
                if kind == "json":
                    assert json.load(tar.extractfile(member))["image_id"] == index.image_ids[row]
                found.add((row, kind))
    masks = {(row, "mask") for row, sample in enumerate(samples(12)) if sample.mask is not None}
    assert found == {(row, kind) for row in range(12) for kind in ("image", "json")} | masks


def test_png_shards_open_with_an_ordinary_image_reader(samples, contract):
    store = MemoryStore()
    index = write_shards(store, samples(1), contract=contract, codec="png")
    with tarfile.open(fileobj=io.BytesIO(store.read(index.shards[0].name))) as tar:
        image, mask = (
            cv2.imdecode(np.frombuffer(tar.extractfile(f"00000000.{kind}.png").read(), np.uint8), cv2.IMREAD_UNCHANGED)
            for kind in ("image", "mask")
        )
    np.testing.assert_array_equal(image, samples(1)[0].image)
    np.testing.assert_array_equal(mask, samples(1)[0].mask * 255)


@pytest.mark.parametrize("codec", CODECS)
def test_same_samples_same_bytes(codec, samples, contract):
    stores = [MemoryStore(), MemoryStore()]
    for store in stores:
        write_shards(store, samples(9), contract=contract, lanes=2, codec=codec)
    assert contents(stores[0]) == contents(stores[1])


def test_data_hash_follows_contents_and_not_their_arrangement(samples, contract):
    def data_hash(rows, **options):
        return write_shards(MemoryStore(), rows, contract=contract, **options).data_hash

    plain = data_hash(samples(9))
    assert plain == data_hash(samples(9), lanes=2, shard_bytes=5000)
    changed = samples(9)
    changed[4] = replace(changed[4], label=1)
    assert len({plain, data_hash(changed), data_hash(samples(9)[::-1]), data_hash(samples(8))}) == 4


def test_lanes_hold_whole_shards_and_the_same_number_of_each_kind(samples, contract):
    index = write_shards(MemoryStore(), samples(50), contract=contract, lanes=8, shard_bytes=12_000)
    assert 8 < len(index.shards) < 50
    assert max(s.size for s in index.shards if s.samples > 1) <= 12_000
    assert sum(s.samples for s in index.shards) == 50
    kinds = np.array([hash((index.text["source"][r], index.numbers["label"][r], index.numbers["has_lesion"][r])) for r in range(50)])
    for kind in {*kinds.tolist(), None}:
        counts = np.bincount(index.lane_of_row[(kinds == kind) | (kind is None)], minlength=8)
        assert counts.max() - counts.min() <= 1


def test_one_kind_of_sample_is_dealt_in_turn(sample, contract):
    rows = [sample(1, image_id=str(i)) for i in range(10)]
    index = write_shards(MemoryStore(), rows, contract=contract, lanes=4)
    assert index.lane_of_row.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_there_are_never_more_lanes_than_samples(samples, contract):
    index = write_shards(MemoryStore(), samples(3), contract=contract, lanes=8)
    assert (index.lanes, sorted(index.lane_of_row)) == (3, [0, 1, 2])


def test_samples_are_taken_one_at_a_time(samples, contract):
    """The writer never asks for sample i + 1 before it has put sample i away."""
    store, alive = MemoryStore(), []

    def one_by_one():
        for number, sample in enumerate(samples(30)):
            alive.append(sum(len(data) for data in contents(store).values()))
            yield sample
            assert number + 1 == len(alive)

    write_shards(store, one_by_one(), contract=contract, lanes=2, shard_bytes=3000)
    assert alive[0] == 0
    assert 0 < alive[10] < alive[20] < alive[29]


def test_a_new_set_leaves_nothing_of_the_old_one(samples, contract, tmp_path):
    store, fresh = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    write_shards(store, samples(30), contract=contract, lanes=8, shard_bytes=1000)
    for target in (store, fresh):
        write_shards(target, samples(5), contract=contract, lanes=2)
    assert contents(store) == contents(fresh)


@pytest.mark.parametrize("store", [LocalStore, MemoryStore])
def test_an_interrupted_set_has_no_index(store, samples, contract, tmp_path):
    store = store(str(tmp_path))
    write_shards(store, samples(5), contract=contract)

    def dies():
        yield from samples(3)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        write_shards(store, dies(), contract=contract)
    with pytest.raises(BadFile, match="(not there|empty), so this is no finished shard set.*; make the shards again"):
        open_index(store)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": np.zeros((32, 16), np.float32)}, "image is float32"),
        ({"mask": np.zeros((16, 16), np.uint8)}, r"mask is uint8 \(16, 16\)"),
        ({"mask": np.full((32, 16), 255, np.uint8)}, "mask holds 255"),
        ({"extra": {"area": float("nan")}}, "cannot be written as JSON"),
        ({"extra": {"what": object()}}, "cannot be written as JSON"),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused_by_name(changes, message, sample, contract):
    with pytest.raises(BadData, match=f"mdb000.*{message}"):
        write_shards(MemoryStore(), [sample(0, **changes)], contract=contract)


def test_impossible_orders_are_refused(samples, contract):
    with pytest.raises(BadData, match="no samples"):
        write_shards(MemoryStore(), [], contract=contract)
    with pytest.raises(BadData, match="comes twice"):
        write_shards(MemoryStore(), samples(2) + samples(1), contract=contract)
    with pytest.raises(BadConfig, match="lanes is 0"):
        write_shards(MemoryStore(), samples(1), contract=contract, lanes=0)
    with pytest.raises(BadConfig, match="codec is 'tiff'"):
        write_shards(MemoryStore(), samples(1), contract=contract, codec="tiff")


@pytest.mark.parametrize("member", ["image", "mask", "json"])
def test_a_flipped_byte_is_found_and_named(member, samples, contract, tmp_path):
    store = LocalStore(tmp_path)
    index = write_shards(store, samples(8), contract=contract, lanes=2)
    row = 3
    shard = index.shards[index.numbers["shard"][row]]
    data = bytearray(store.read(shard.name))
    data[index.numbers[f"{member}_offset"][row] + index.numbers[f"{member}_length"][row] // 2] ^= 4
    (tmp_path / shard.name).write_bytes(data)
    for read in (lambda: read_sample(store, index, row), lambda: verify(store, index)):
        with pytest.raises(BadFile, match=f"{shard.name}: the {member} of sample mias:mdb003.L/CC .*checksum; make the shards again"):
            read()
    assert_same_sample(samples(8)[2], read_sample(store, index, 2))


def test_verify_also_finds_damage_between_the_samples(samples, contract):
    store = MemoryStore()
    index = write_shards(store, samples(4), contract=contract, lanes=1)
    data = store.read(index.shards[0].name)
    store.write(index.shards[0].name, b"x" + data[1:])
    with pytest.raises(BadFile, match=r"lane000-00000-\d+.tar: does not match"):
        verify(store, index)
    store.write(index.shards[0].name, data + b"x")
    with pytest.raises(BadFile, match="has .* bytes, the index says"):
        verify(store, index)


def test_a_missing_or_short_shard_is_named(samples, contract, tmp_path):
    store = LocalStore(tmp_path)
    index = write_shards(store, samples(4), contract=contract, lanes=1)
    path = tmp_path / index.shards[0].name
    path.write_bytes(path.read_bytes()[: index.numbers["json_offset"][3]])
    with pytest.raises(BadFile, match="lane000-00000.tar"):
        read_sample(store, index, 3)
    path.unlink()
    with pytest.raises(BadFile, match="lane000-00000.tar.*cannot be read"):
        read_sample(store, index, 0)
    with pytest.raises(IndexError):
        read_sample(store, index, 4)


def test_a_damaged_index_never_opens(samples, contract):
    """Cut anywhere, or with any single byte changed, it is refused; never read as another set."""
    store = MemoryStore()
    write_shards(store, samples(3), contract=contract)
    good = store.read(INDEX_NAME)
    rng = np.random.default_rng(0)
    for place in [0, 1, len(good) - 3, *rng.integers(0, len(good) - 2, 200)]:
        flipped = bytearray(good)
        flipped[place] ^= 1 << int(rng.integers(0, 7))
        for damaged in (good[:place], bytes(flipped)):
            store.write(INDEX_NAME, damaged)
            with pytest.raises(BadFile, match="index.json"):
                open_index(store)


def test_another_version_is_named(samples, contract):
    store = MemoryStore()
    write_shards(store, samples(3), contract=contract)
    store.write(INDEX_NAME, re.sub(rb'"version":\d+', b'"version":99', store.read(INDEX_NAME)))
    with pytest.raises(BadFile, match="version 99, this software reads 'mammolibs shards' version 1"):
        open_index(store)
    store.write(INDEX_NAME, b'{"version": 2, "shards": []}')
    with pytest.raises(BadFile, match="no shard index"):
        open_index(store)
