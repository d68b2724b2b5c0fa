from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from mammolibs.augment import Augment
from mammolibs.errors import BadConfig, BadData, BadFile
from mammolibs.shards import open_index
from mammolibs.storage import open_store
from mammolibs.stream import Stream
from mammolibs.stream.maker import SampleCache

PLANES = ("images", "second", "hidden", "breast", "masks")
NUMBERS = ("mask_known", "labels", "weights")


def assert_same_batches(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.ids, a.rows) == (b.ids, b.rows)
        for name in PLANES + NUMBERS:
            one, other = getattr(a, name), getattr(b, name)
            assert one is other if other is None else torch.equal(one, other), name


@pytest.mark.parametrize(
    ("views", "augment", "empty"),
    [
        ("one", None, {"second", "hidden"}),
        ("one", Augment(), {"second", "hidden"}),
        ("two", Augment(), {"hidden", "breast", "masks"}),
        ("masked", None, {"second"}),
        ("masked", Augment(), {"second"}),
    ],
)
def test_batches_have_the_promised_shapes_types_and_ranges(views, augment, empty, shards):
    for mode in ("train", "evaluate"):
        for batch in Stream(shards, global_batch=4, views=views, augment=augment, mode=mode).batches(stop_step=6):
            for name in PLANES:
                plane = getattr(batch, name)
                assert (plane is None) == (name in empty), name
                if plane is not None:
                    assert (plane.shape, plane.dtype) == ((4, 1, 48, 32), torch.float32)
                    assert 0 <= plane.min() <= plane.max() <= 1
                    assert name in ("images", "second") or {*plane.unique().tolist()} <= {0, 1}
            for name in NUMBERS:
                assert (getattr(batch, name).shape, getattr(batch, name).dtype) == ((4,), torch.float32)


def test_evaluation_shows_every_row_once_in_index_order_and_pads_the_end(shards, sample):
    stream = Stream(shards, global_batch=8, mode="evaluate")
    batches = list(stream.batches())
    assert (stream.rows, stream.steps_per_pass, len(batches)) == (21, 3, 3)
    assert [row for b in batches for row in b.rows] == [*range(21), -1, -1, -1]
    assert [w for b in batches for w in b.weights.tolist()] == [1] * 21 + [0] * 3
    assert batches[-1].ids == ("a:16", "b:17", "a:18", "b:19", "a:20", "", "", "")
    assert torch.equal(batches[-1].images[5], batches[-1].images[4])
    for batch in batches:
        for i, row in enumerate(batch.rows):
            if row < 0:
                continue
            original = sample(row)
            np.testing.assert_array_equal(batch.images[i, 0], (original.image / 65535).astype(np.float32))
            np.testing.assert_array_equal(batch.masks[i, 0], 0 if original.mask is None else original.mask)
            assert batch.labels[i] == original.label
            assert batch.mask_known[i] == (row != 1)
            assert batch.breast[i, 0].nonzero().min(0).values.tolist() == [3, 0]
            assert batch.breast[i].sum() == 20 * 42


def test_full_scale_is_exactly_one_and_air_exactly_zero(shards):
    batch = next(Stream(shards, global_batch=4, mode="evaluate").batches())
    assert batch.images[:, 0, 3, 0].tolist() == [1, 1, 1, 1]
    assert not batch.images[batch.breast == 0].any()


def test_a_pass_repeats_rows_as_told(make_shards):
    shards = make_shards(rows=25)
    stream = Stream(shards, global_batch=4, repeats={"lesion": 4, "malignant": 2, "source:b": 3})
    places = stream.steps_per_pass * 4
    counts = Counter(row for b in stream.batches(stop_step=stream.steps_per_pass) for row in b.rows)
    padding = counts.pop(-1, 0)
    expected = {n: (4 if n % 3 == 0 else 1) * (2 if n % 6 == 0 else 1) * (3 if n % 2 else 1) for n in range(25)}
    assert sum((Counter(expected) - counts).values()) == 0
    assert sum(counts.values()) + padding == places
    assert padding / places < 0.2

    function = Stream(shards, global_batch=4, repeats=lambda e: expected[e.row])
    assert_same_batches(list(function.batches(0, 9)), list(stream.batches(0, 9)))


def test_a_row_repeated_zero_times_never_comes(shards):
    stream = Stream(shards, global_batch=4, repeats=lambda entry: int(entry.source == "a"))
    rows = {row for b in stream.batches(stop_step=40) for row in b.rows} - {-1}
    assert rows == {*range(0, 21, 2)}


def test_padding_in_training_counts_for_nothing_and_shows_a_real_image(shards):
    stream = Stream(shards, global_batch=4)
    batches = list(stream.batches(stop_step=stream.steps_per_pass))
    for batch in batches:
        assert [w == 0 for w in batch.weights.tolist()] == [row == -1 for row in batch.rows] == [i == "" for i in batch.ids]
        assert batch.images.amax((1, 2, 3)).min() > 0.9
    assert sum(row == -1 for b in batches for row in b.rows) == 3


@pytest.mark.parametrize(("views", "augment"), [("one", None), ("one", Augment()), ("two", Augment()), ("masked", Augment())])
def test_starting_at_a_step_gives_the_tail(views, augment, shards):
    def stream(**options):
        return Stream(shards, global_batch=4, views=views, augment=augment, repeats={"lesion": 3}, seed=3, **options)

    whole = list(stream().batches(0, 30))
    for start in (1, 13, 29):
        assert_same_batches(list(stream(cache_bytes=0).batches(start, 30)), whole[start:])
    once = stream()
    list(once.batches(7, 9))
    assert_same_batches(list(once.batches(2, 5)), whole[2:5])


def test_seeds_and_steps_change_what_is_drawn(shards):
    def images(seed, step):
        stream = Stream(shards, global_batch=21 * 4, augment=Augment(), seed=seed)
        batch = next(stream.batches(step))
        return batch.images[batch.rows.index(0)]

    assert torch.equal(images(0, 0), images(0, 0))
    assert not torch.equal(images(0, 0), images(0, 1))
    assert not torch.equal(images(0, 0), images(1, 0))


def test_in_evaluation_an_image_is_judged_alike_in_every_batch(shards):
    """Hidden blocks and views depend on the image, not on the batch that it stands in."""
    for views, augment, name in (("masked", None, "hidden"), ("two", Augment(), "second")):
        planes = []
        for batch in (3, 7):
            stream = Stream(shards, global_batch=batch, views=views, augment=augment, mode="evaluate")
            planes.append(torch.cat([getattr(b, name) for b in stream.batches()])[:21])
        assert torch.equal(*planes)
        assert not torch.equal(planes[0][2], planes[0][3])


def test_mask_and_breast_follow_the_image_through_the_warp(make_shards, sample):
    """Flip and shift only: the lesion is as bright as nothing else, and stays under its mask."""
    samples = [sample(0)]
    samples[0].image[:] = samples[0].image // 4
    samples[0].image[samples[0].mask > 0] = 65535
    shards = make_shards(samples=samples)
    augment = Augment(**vars(Augment.none()) | {"up_down": 0.5, "shift_share": 0.1, "rotation_degrees": 10})
    moved = set()
    for batch in Stream(shards, global_batch=1, augment=augment).batches(stop_step=12):
        image, mask, breast = batch.images[0, 0], batch.masks[0, 0], batch.breast[0, 0]
        assert image[mask == 1].mean() > 0.85
        assert image[mask == 0].max() < 0.85
        assert not image[breast == 0].ge(0.2).any()
        assert breast[mask == 1].all()
        moved.add(tuple(mask.nonzero().float().mean(0).tolist()))
    assert len(moved) > 6


def test_hidden_blocks_lie_in_the_breast_and_have_the_share_asked_for(shards):
    stream = Stream(shards, global_batch=21, mode="evaluate", views="masked", hidden_share=0.5, hidden_block=4)
    batch = next(stream.batches())
    assert not batch.hidden[batch.breast == 0].any()
    assert 0.45 < batch.hidden.sum() / batch.breast.sum() < 0.55


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_hosts_together_have_the_global_batch(mode, make_shards):
    shards = make_shards(rows=22)

    def batches(**share):
        return list(Stream(shards, global_batch=8, augment=Augment(), mode=mode, **share).batches(0, 3))

    whole = batches()
    for hosts in (2, 4):
        shares = [batches(hosts=hosts, host=h) for h in range(hosts)]
        for step, batch in enumerate(whole):
            for host in range(hosts):
                assert shares[host][step].rows == batch.rows[host::hosts]
                assert torch.equal(shares[host][step].images, batch.images[host::hosts])


def test_a_host_opens_only_its_own_lanes(shards):
    """The other lanes' shards are not even there."""
    for name in ("lane000", "lane002"):
        for path in shards.glob(f"{name}-*"):
            path.unlink()
    assert len(list(Stream(shards, global_batch=4, hosts=2, host=1).batches(0, 20))) == 20
    with pytest.raises(BadFile, match="lane00[02]"):
        list(Stream(shards, global_batch=4, hosts=2, host=0).batches(0, 20))


def test_a_limit_is_spread_over_the_index_in_training_and_its_beginning_in_evaluation(shards):
    train = Stream(shards, global_batch=4, limit=5)
    assert {r for b in train.batches(0, 20) for r in b.rows} == {-1, 0, 5, 10, 15, 20}
    evaluate = Stream(shards, global_batch=4, limit=5, mode="evaluate")
    assert [r for b in evaluate.batches() for r in b.rows] == [0, 1, 2, 3, 4, -1, -1, -1]
    assert Stream(shards, global_batch=4, limit=99).rows == 21


def test_the_hashes_name_what_is_shown(shards):
    index = open_index(open_store(shards))
    plain, limited = Stream(shards, global_batch=4), Stream(shards, global_batch=4, limit=5)
    assert (plain.contract_hash, plain.data_hash) == ("c0ffee", index.data_hash)
    assert limited.data_hash not in (plain.data_hash, Stream(shards, global_batch=4, limit=6).data_hash)
    repeated = Stream(shards, global_batch=4, repeats={"lesion": 3})
    assert repeated.data_hash not in (plain.data_hash, Stream(shards, global_batch=4, repeats={"lesion": 2}).data_hash)


def test_training_goes_on_for_ever_and_batches_may_be_left_half_way(shards):
    stream = Stream(shards, global_batch=4)
    batches = stream.batches()
    assert len(list(itertools.islice(batches, 50))) == 50
    batches.close()


def test_the_global_random_state_stays_untouched(shards):
    torch.manual_seed(5)
    np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5)
    np.random.seed(5)
    list(Stream(shards, global_batch=4, views="two", augment=Augment()).batches(0, 3))
    np.testing.assert_array_equal(torch.rand(3), expected[0])
    np.testing.assert_array_equal(np.random.rand(3), expected[1])


def test_the_cache_holds_what_fits_and_changes_nothing(shards):
    store = open_store(shards)
    index, cache = open_index(store), SampleCache(limit_bytes=10_000)
    for row in [*range(21)] * 2:
        assert cache.get(store, index, row).image_id == index.image_ids[row]
    size = 48 * 32
    assert cache.used_bytes <= 10_000
    assert [row in cache.samples for row in range(5)] == [True, True, False, False, False]
    assert cache.used_bytes == (2 + 1 + 2) * size


def test_a_damaged_sample_comes_out_at_its_step(shards):
    store = open_store(shards)
    index = open_index(store)
    name, at = index.shards[index.numbers["shard"][9]].name, index.numbers["image_offset"][9] + 7
    data = bytearray(store.read(name))
    data[at] ^= 1
    (shards / name).write_bytes(data)
    good = []
    with pytest.raises(BadFile, match=f"{name}: the image of sample b:9 "):
        good.extend(b.rows for b in Stream(shards, global_batch=4, mode="evaluate").batches())
        pytest.fail("the stream ended short without a word")
    batches = Stream(shards, global_batch=4, mode="evaluate").batches()
    assert [next(batches).rows for _ in range(2)] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    with pytest.raises(BadFile):
        next(batches)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": "three"}, "views is 'three', allowed are one, two, masked"),
        ({"mode": "test"}, "mode is 'test', allowed are train, evaluate"),
        ({"views": "two"}, "need an augment"),
        ({"workers": -1}, "workers is -1"),
        ({"limit": 0}, "limit is 0"),
        ({"hidden_share": 1.0}, "hidden_share is 1.0"),
        ({"hosts": 3, "global_batch": 6}, "3 hosts .* 4 lanes .* nearest 2"),
        ({"hosts": 2, "global_batch": 5}, "nearest batch is 4"),
        ({"global_batch": 0}, "batch is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"repeats": {"rare": 2}}, "'rare', allowed are lesion, malignant, source:<name>"),
        ({"repeats": {"lesion": 1.5}}, "1.5, allowed are whole numbers"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message, shards):
    with pytest.raises(BadConfig, match=message):
        Stream(shards, **{"global_batch": 4} | options)


def test_data_that_cannot_be_streamed_is_refused(make_shards, sample, tmp_path):
    with pytest.raises(BadFile, match="no finished shard set"):
        Stream(tmp_path / "nowhere", global_batch=4)
    shards = make_shards(samples=[sample(0), sample(1, shape=(64, 32))])
    with pytest.raises(BadData, match="2 different sizes"):
        Stream(shards, global_batch=4)
    with pytest.raises(BadData, match="leave out every row"):
        Stream(make_shards(rows=4), global_batch=4, repeats={"source:a": 0, "source:b": 0})


def test_air_inside_the_breast_box_is_no_breast(make_shards, sample):
    samples = [sample(number) for number in range(4)]
    for one in samples:
        one.image[30:40, 12:20] = 0
    (batch,) = Stream(make_shards(samples=samples), global_batch=4, mode="evaluate", views="masked", hidden_share=0.9).batches()
    np.testing.assert_array_equal(batch.breast.numpy(), (batch.images.numpy() > 0).astype(np.float32))
    assert not batch.hidden[:, :, 30:40, 12:20].any() and batch.hidden.any()
