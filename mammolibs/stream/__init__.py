"""Shards -> batches, from any step on, for one host's share."""

from mammolibs.stream.stream import Stream

__all__ = ["Stream"]
