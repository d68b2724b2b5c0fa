"""A sample as bytes: all of a shard's work that needs no knowledge of the other samples, for whoever made the sample to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import google_crc32c
import numpy as np

from mammolibs.errors import BadData
from mammolibs.records import Sample
from mammolibs.shards.codec import encode_image, encode_mask, endings
from mammolibs.shards.index import TEXT_COLUMNS

ARRAYS = {"image", "mask"}


class Member(NamedTuple):
    """One file of a sample: its kind (image, mask, json), the ending of its name, and its bytes, None where they lie elsewhere."""

    kind: str
    ending: str
    length: int
    crc32c: int
    data: bytes | None


@dataclass(frozen=True, kw_only=True)
class PackedSample:
    """What a shard set holds of a sample, but for its place.

    text: the index's text columns in their order. label, has_lesion, shape (height, width): as the sample's.
    """

    text: tuple[str, ...]
    label: int
    has_lesion: int
    shape: tuple[int, int]
    members: tuple[Member, ...]

    @property
    def image_id(self) -> str:
        return self.text[TEXT_COLUMNS.index("image_id")]

    @property
    def kind(self) -> tuple:
        """Samples of one kind are dealt evenly to lanes."""
        return self.text[TEXT_COLUMNS.index("source")], self.label, self.has_lesion

    def bare(self) -> PackedSample:
        """The same without the bytes of its members."""
        return replace(self, members=tuple(member._replace(data=None) for member in self.members))

    def to_json(self) -> list:
        """The bare sample in JSON's types."""
        return [list(self.text), self.label, self.has_lesion, list(self.shape), [list(member[:-1]) for member in self.members]]

    @classmethod
    def from_json(cls, value: Sequence) -> PackedSample:
        """What `to_json` gave. Raises ValueError or TypeError for what is none."""
        text, label, has_lesion, shape, members = value
        members = tuple(Member(kind, ending, length, crc32c, None) for kind, ending, length, crc32c in members)
        return cls(text=tuple(text), label=label, has_lesion=has_lesion, shape=tuple(shape), members=members)


def pack(sample: Sample, codec: str) -> PackedSample:
    """Encode a sample. Raises BadConfig for a codec that is none, BadData where the sample contradicts itself."""
    _check(sample)
    ends = endings(codec)
    members = [_member("image", f"image.{ends.image}", encode_image(sample.image, codec))]
    if sample.mask is not None:
        members.append(_member("mask", f"mask.{ends.mask}", encode_mask(sample.mask, codec)))
    members.append(_member("json", "json", _facts(sample)))
    return PackedSample(
        text=tuple(getattr(sample, name) for name in TEXT_COLUMNS),
        label=int(sample.label),
        has_lesion=int(sample.has_lesion),
        shape=tuple(sample.image.shape),
        members=tuple(members),
    )


def _member(kind: str, ending: str, data: bytes) -> Member:
    return Member(kind, ending, len(data), google_crc32c.value(data), data)


def _facts(sample: Sample) -> bytes:
    facts = {name: value for name, value in vars(sample).items() if name not in ARRAYS}
    facts["placement"] = None if sample.placement is None else asdict(sample.placement)
    facts["shape"] = list(sample.image.shape)
    try:
        text = json.dumps(facts, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError) as error:
        raise BadData(f"{sample.image_id}: its facts cannot be written as JSON ({error})") from error
    return text.encode()


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON type")


def _check(sample: Sample) -> None:
    image, mask, name = sample.image, sample.mask, sample.image_id
    if image.dtype != np.uint16 or image.ndim != 2:
        raise BadData(f"{name}: the image is {image.dtype} {image.shape}, expected uint16 with height and width")
    if mask is None:
        return
    if mask.dtype != np.uint8 or mask.shape != image.shape:
        raise BadData(f"{name}: the mask is {mask.dtype} {mask.shape}, the image {image.shape}; expected uint8 of that size")
    if mask.size and mask.max() > 1:
        raise BadData(f"{name}: the mask holds {mask.max()}, allowed are 0 and 1")
