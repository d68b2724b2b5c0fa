"""JSON that carries a checksum: every flipped byte is told, or changes nothing that is said."""

import json

import pytest

from mammolibs.storage import seal, unseal

VALUES = {"patients": {"a/1": "train", "a/2": "test"}, "seed": 0, "shares": [0.6, 0.15, 0.25], "none": None}


def test_what_was_sealed_comes_back_and_a_file_of_another_hand_is_taken_as_it_is():
    assert unseal(seal(VALUES)) == VALUES
    assert unseal(json.dumps(VALUES).encode()) == VALUES


def test_no_flipped_byte_gives_other_values():
    data = bytearray(seal(VALUES))
    told = 0
    for place in range(len(data)):
        for bit in (0, 3, 5):
            data[place] ^= 1 << bit
            try:
                # The mark itself may be hit, which leaves a file without one, and a stray entry that holds it.
                found = unseal(bytes(data))
                assert {name: found.get(name) for name in VALUES} == VALUES
            except ValueError:
                told += 1
            data[place] ^= 1 << bit
    assert told > 2 * len(data)


@pytest.mark.parametrize("data", [b"[1, 2]", b"", b"{", b"\xff\xfe"])
def test_what_is_no_json_object_is_refused(data):
    with pytest.raises(ValueError):
        unseal(data)
