from __future__ import annotations

import pickle
import time
from collections import Counter

import numpy as np
import pytest

from mammolibs.errors import BadConfig, BadData
from mammolibs.shards import Order, check_hosts, write_shards
from mammolibs.storage import MemoryStore


def even(rows: int, lanes: int, shards_per_lane: int):
    """Lane and shard of each row, dealt in turn; a lane's rows fill its shards one after another."""
    row = np.arange(rows)
    lane = row % lanes
    shard = (row // lanes) * shards_per_lane // -(-rows // lanes) * lanes + lane
    return lane, shard


def order(rows=240, lanes=8, shards_per_lane=3, repeats=None, seed=0, **options) -> Order:
    return Order(*even(rows, lanes, shards_per_lane), np.ones(rows, int) if repeats is None else repeats, seed=seed, **options)


def one_pass(o: Order, number: int = 0) -> np.ndarray:
    return o.places(np.arange(number * o.pass_places, (number + 1) * o.pass_places))


@pytest.mark.parametrize(("rows", "lanes", "shards"), [(1, 1, 1), (8, 8, 1), (240, 8, 3), (241, 8, 7), (97, 3, 2), (1000, 16, 5)])
@pytest.mark.parametrize("number", [0, 1, 7])
def test_in_a_pass_every_row_comes_once(rows, lanes, shards, number):
    found = one_pass(order(rows, lanes, shards), number)
    assert sorted(found[found >= 0]) == list(range(rows))
    assert (found < 0).sum() == -rows % lanes


def test_steps_cut_the_same_sequence_whatever_the_batch():
    """Row r of the run is at step r // batch: batches of any size, one after the other, give one sequence."""
    o = order(241)
    whole = o.places(np.arange(960))
    for batch in (1, 5, 16, 96):
        np.testing.assert_array_equal(np.concatenate([o.step(s, batch) for s in range(960 // batch)]), whole[: 960 // batch * batch])


def test_a_place_belongs_to_its_lane():
    o = order(241)
    lane, _ = even(241, 8, 3)
    rows = o.places(np.arange(3 * o.pass_places))
    np.testing.assert_array_equal(lane[np.where(rows >= 0, rows, ~rows)], np.arange(len(rows)) % 8)


def test_the_order_needs_no_memory():
    """Asked backwards, by another object, after a pickle: the same."""
    o, other = order(), pickle.loads(pickle.dumps(order()))
    steps = [o.step(s, 16) for s in range(60)]
    for s in reversed(range(60)):
        np.testing.assert_array_equal(other.step(s, 16), steps[s])


def test_the_order_is_pinned():
    """A run that resumes under a later version must meet the same images."""
    assert order(24, 4, 2, seed=5).step(1, 8).tolist() == [4, 13, 18, 7, 12, 9, 14, 3]


def test_repeats_are_exact_for_every_pass():
    repeats = np.random.default_rng(0).integers(0, 5, 241)
    o = order(241, repeats=repeats)
    for number in (0, 3):
        found = one_pass(o, number)
        np.testing.assert_array_equal(np.bincount(found[found >= 0], minlength=241), repeats)


def test_repeats_of_one_row_lie_apart():
    repeats = np.ones(240, int)
    repeats[::10] = 4
    o = order(240, 8, 1, repeats=repeats)
    for lane in range(8):
        queue = o.queue(lane, 0)
        for row in {*queue[queue >= 0].tolist()}:
            at = np.flatnonzero(queue == row) / len(queue)
            if len(at) == 4:
                assert (np.floor(at * 4 + 0.5) - np.arange(4)).min() >= 0
                assert np.ptp(at) > 0.4


def test_passes_seeds_and_lanes_differ():
    passes = [one_pass(order(seed=s), n).tolist() for s in (0, 1, 2) for n in (0, 1, 2)]
    assert len({*map(tuple, passes)}) == 9
    o = order()
    slots = [np.argsort(np.argsort(o.queue(lane, 0))).tolist() for lane in range(8)]
    assert len({*map(tuple, slots)}) == 8


def test_padding_is_spread_over_the_pass_and_stands_on_rows_of_its_lane():
    """Lane 0 is twice as long as the others, so half their slots are padding."""
    lane = np.array([0] * 80 + [1] * 40 + [2] * 40)
    o = Order(lane, lane, np.ones(160, int), seed=0)
    found = one_pass(o)
    padding = found < 0
    assert (o.pass_places, padding.sum()) == (240, 80)
    assert padding.reshape(10, 24).sum(1).max() <= 12
    assert {*(lane[~found[padding]]).tolist()} == {1, 2}
    assert Counter((~found[padding]).tolist()).most_common(1)[0][1] == 1


def test_padding_opens_no_further_shard():
    """Lanes of 12 shards, one of them twice as long: its fillers stand on rows of the window they fall into."""
    lane = np.array([0] * 960 + [1] * 480)
    shard = np.concatenate([np.arange(960) // 80, 12 + np.arange(480) // 40])
    queue = Order(lane, shard, np.ones(1440, int), seed=0).queue(1, 0)
    assert (queue < 0).sum() == 480
    shards = shard[np.where(queue >= 0, queue, ~queue)].reshape(3, -1)
    assert [len({*window}) for window in shards.tolist()] == [4, 4, 4]


def test_rows_are_mixed_within_and_between_shards():
    """Uniform places: mean, spread and neighbours of a shuffled pass are those of a shuffle."""
    rows, o = 4000, order(4000, 4, 4)
    places = np.empty((20, rows))
    for number in range(20):
        places[number, one_pass(o, number)] = np.arange(rows) / rows
    assert abs(places.mean(0) - 0.5).max() < 6 * np.sqrt(1 / 12 / 20)
    assert abs(np.corrcoef(places[0], np.arange(rows))[0, 1]) < 0.05
    assert abs(np.corrcoef(places[0], places[1])[0, 1]) < 0.05
    _, shard = even(rows, 4, 4)
    found = one_pass(o)
    same = [np.mean(shard[found[i::4][1:]] == shard[found[i::4][:-1]]) for i in range(4)]
    assert abs(np.mean(same) - 1 / 4) < 0.04


def test_sources_are_mixed_in_every_batch(samples, contract):
    """The catalog lists one source after the other; each batch still holds all of them in their shares."""
    rows = [s for source in ("a", "b", "c") for s in samples(80, source=source)]
    for number, sample in enumerate(rows):
        object.__setattr__(sample, "image_id", str(number))
    index = write_shards(MemoryStore(), rows, contract=contract, lanes=8, shard_bytes=4000)
    o = Order.of_index(index, np.ones(240, int), seed=0)
    source = np.arange(240) // 80
    counts = np.array([np.bincount(source[o.step(s, 48)], minlength=3) for s in range(5)])
    assert counts.min() >= 5
    assert counts.sum(0).tolist() == [80, 80, 80]


def test_few_shards_are_open_at_a_time():
    """A lane of 20 shards goes through windows of 4: no shard is met again in the same pass."""
    o = order(8000, 2, 20)
    _, shard = even(8000, 2, 20)
    for lane in range(2):
        queue = shard[o.queue(lane, 0)]
        spans = np.array([[np.flatnonzero(queue == s)[[0, -1]]] for s in np.unique(queue)])[:, 0]
        open_shards = [((spans[:, 0] <= slot) & (slot <= spans[:, 1])).sum() for slot in range(0, len(queue), 37)]
        assert max(open_shards) <= 4
    assert len({tuple(dict.fromkeys(shard[o.queue(0, n)] // 1)) for n in range(4)}) == 4


@pytest.mark.parametrize("hosts", [1, 2, 4, 8])
def test_hosts_share_the_same_global_batch_and_touch_only_their_lanes(hosts):
    repeats = np.random.default_rng(1).integers(1, 4, 241)
    lane, _ = even(241, 8, 3)
    for step in (0, 1, 9, 40):
        whole = order(241, repeats=repeats).step(step, 16)
        shares = [order(241, repeats=repeats).step(step, 16, hosts=hosts, host=h) for h in range(hosts)]
        assert {len(s) for s in shares} == {16 // hosts}
        assert sorted(np.concatenate(shares)) == sorted(whole)
        for host, rows in enumerate(shares):
            np.testing.assert_array_equal(rows, whole[host::hosts])
            assert {*(lane[np.where(rows >= 0, rows, ~rows)] % hosts).tolist()} == {host}


@pytest.mark.parametrize(
    ("hosts", "host", "batch", "lanes", "message"),
    [
        (3, 0, 12, 8, "3 hosts .* 8 lanes .* allowed are 1, 2, 4, 8 hosts, nearest 2"),
        (16, 0, 16, 8, "16 hosts .* nearest 8 .*multiple of 16 lanes"),
        (4, 0, 18, 8, "batch 18 .* 4 hosts; the nearest batch is 16"),
        (4, 0, 1, 8, "nearest batch is 4"),
        (2, 2, 4, 8, "host is 2, allowed are 0 to 1"),
        (1, 0, 0, 8, "batch is 0"),
    ],
)
def test_impossible_shares_name_the_nearest_possible(hosts, host, batch, lanes, message):
    with pytest.raises(BadConfig, match=message):
        check_hosts(hosts, host, global_batch=batch, lanes=lanes)


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(BadData, match="repeats"):
        order(8, repeats=np.zeros(8, int))
    with pytest.raises(BadData, match="repeats"):
        order(8, repeats=np.array([1, -1] * 4))
    with pytest.raises(BadConfig, match="seed is -1"):
        order(8, seed=-1)


def test_a_million_rows_cost_little():
    start = time.process_time()
    o = order(1_000_000, 64, 20)
    for step in range(0, 2000, 100):
        assert len(o.step(step, 512)) == 512
    assert time.process_time() - start < 5
