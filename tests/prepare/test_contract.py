import json
from dataclasses import fields, replace

import pytest

from mammolibs.errors import BadConfig
from mammolibs.prepare import Contract, parse_canvas

OTHER = {
    "canvas_height_px": 528,
    "canvas_width_px": 336,
    "resampler": None,
    "finder_reduce": 4,
    "finder_grow_cells": 3,
    "patch_size_px": 64,
    "version": 9,
}


def test_every_field_changes_the_hash():
    hashes = {Contract().hash()}
    names = [field.name for field in fields(Contract) if field.name != "resampler"]
    for name in names:
        value = OTHER.get(name) or getattr(Contract(), name) * 1.001
        hashes.add(replace(Contract(), **{name: value}).hash())
    assert len(hashes) == len(names) + 1


def test_the_hash_is_of_values_not_of_types():
    assert Contract(patch_mm=36).hash() == Contract(patch_mm=36.0).hash()


def test_a_contract_survives_json():
    contract = Contract(canvas_height_px=256, canvas_width_px=160)
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("canvas_height_px", 500, "496"),
        ("canvas_width_px", 0, "16"),
        ("low_percentile", 99.9, "low < high"),
        ("resampler", "nearest", "area"),
        ("patch_mm", -1.0, "above 0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(field, value, told):
    with pytest.raises(BadConfig, match=told):
        Contract(**{field: value})


def test_a_contract_of_another_version_is_refused():
    values = Contract().to_dict() | {"sharpen": 1}
    with pytest.raises(BadConfig, match="sharpen"):
        Contract.from_dict(values)


def test_a_canvas_is_read_from_text():
    assert parse_canvas("512x320") == (512, 320)
    for text, told in (("512", "512x320"), ("axb", "512x320"), ("500x320", "496")):
        with pytest.raises(BadConfig, match=told):
            parse_canvas(text)
