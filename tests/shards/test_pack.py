"""Samples are packed where they are made; what lies in a shard is what any tar program would write of them."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from dataclasses import asdict

import pytest

from mammolibs.shards import CODECS, PackedSample, pack, write_shards
from mammolibs.shards.codec import encode_image, encode_mask, endings
from mammolibs.storage import MemoryStore


@pytest.mark.parametrize("codec", CODECS)
def test_a_shard_is_the_tar_that_the_standard_library_writes(codec, samples, contract):
    store = MemoryStore()
    index = write_shards(store, samples(9), contract=contract, lanes=2, codec=codec)
    for number, shard in enumerate(index.shards):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for row, sample in enumerate(samples(9)):
                if index.numbers["shard"][row] == number:
                    facts = {name: value for name, value in vars(sample).items() if name not in ("image", "mask")}
                    facts |= {"placement": asdict(sample.placement), "shape": sample.image.shape}
                    members = {f"image.{endings(codec).image}": encode_image(sample.image, codec)}
                    if sample.mask is not None:
                        members[f"mask.{endings(codec).mask}"] = encode_mask(sample.mask, codec)
                    members["json"] = json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
                    for ending, data in members.items():
                        header = tarfile.TarInfo(f"{row:08d}.{ending}")
                        header.size = len(data)
                        tar.addfile(header, io.BytesIO(data))
        whole = buffer.getvalue()
        # Python pads to records of 10,240 bytes; we end after the two empty blocks that end a tar.
        assert store.read(shard.name) == whole[: shard.size] and not any(whole[shard.size :])


def test_a_packed_sample_travels_and_is_noted_without_its_bytes(samples):
    packed = pack(samples(1)[0], "blosc2")
    assert pickle.loads(pickle.dumps(packed)) == packed
    noted = PackedSample.from_json(json.loads(json.dumps(packed.to_json())))
    assert noted == packed.bare() != packed
    assert noted.kind == ("phantom", 1, 1) and noted.image_id == "mias:mdb000.L/CC"
