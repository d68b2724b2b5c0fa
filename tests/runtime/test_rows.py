"""How shares of hosts are put together, without any host."""

from __future__ import annotations

import torch

from mammolibs.runtime.ddp import _join_rows
from mammolibs.runtime.single import one_ahead


def test_shares_are_joined_in_host_order_whatever_form_they_have():
    def share(host: int):
        tensor = torch.tensor([[host, 0], [host, 1]])
        return {"ids": (f"{host}a", f"{host}b"), "pair": (tensor, [tensor + 10, [host, host]]), "rows": [host, host]}

    joined = _join_rows([share(0), share(1)])
    assert joined["ids"] == ("0a", "0b", "1a", "1b") and joined["rows"] == [0, 0, 1, 1]
    assert joined["pair"][0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert isinstance(joined["pair"], tuple) and joined["pair"][1][1] == [0, 0, 1, 1]
    assert joined["pair"][1][0].tolist() == [[10, 10], [10, 11], [11, 10], [11, 11]]


def test_batches_are_placed_one_ahead_and_the_source_is_closed():
    placed, closed = [], []

    def source():
        try:
            yield from range(4)
        finally:
            closed.append(True)

    feed = one_ahead(lambda number: placed.append(number) or number, source())
    assert next(feed) == 0 and placed == [0, 1]
    assert next(feed) == 1 and placed == [0, 1, 2]
    feed.close()
    assert closed == [True]
    assert list(one_ahead(lambda number: -number, source())) == [0, -1, -2, -3]
