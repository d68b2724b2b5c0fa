"""Batch norm's statistics estimated anew: what they are, and what they undo."""

import numpy as np
import pytest
import torch
from torch import nn

from mammolibs.errors import BadData
from mammolibs.models import UNet
from mammolibs.predict import estimate_statistics, running_norms
from mammolibs.predict.statistics import with_statistics
from mammolibs.runtime import get_runtime


@pytest.fixture(scope="module")
def runtime():
    return get_runtime(precision="float32", announce=False, one_process=True)


def images(count, scale=1.0, shift=0.0):
    rng = np.random.default_rng(0)
    return [np.rint(shift + scale * rng.integers(1, 30000, (16, 16))).astype(np.uint16) for _ in range(count)]


def test_the_statistics_are_those_of_the_images_in_whole_batches(runtime):
    model = nn.Sequential(nn.BatchNorm2d(1))
    seen = images(10)
    [(name, found)] = estimate_statistics(model, seen, runtime, batch=4).items()
    # Ten images are three batches of four, the last filled up with the first two.
    batches = np.array([np.stack(part) / 65535 for part in (seen[:4], seen[4:8], [*seen[8:], *seen[:2]])])
    assert found["mean"] == pytest.approx([batches.mean()], rel=1e-5)
    assert found["variance"] == pytest.approx([np.mean([part.var(ddof=1) for part in batches])], rel=1e-4)
    assert name == "0" and float(model[0].running_mean) == 0.0 and not model[0].num_batches_tracked
    with pytest.raises(BadData, match="no image"):
        estimate_statistics(model, [], runtime)


def test_a_change_of_brightness_and_contrast_is_undone(runtime):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4, eps=0.0), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3, eps=0.0)).eval()
    home, site = images(8), images(8, scale=2.0, shift=3000)
    answers = []
    for seen in (home, site):
        adapted = with_statistics(model, estimate_statistics(model, seen, runtime)).eval()
        with torch.no_grad():
            answers.append(adapted(torch.from_numpy(np.stack(seen).astype(np.float32) / 65535)[:, None]))
            plain = model(torch.from_numpy(np.stack(seen).astype(np.float32) / 65535)[:, None])
        assert not torch.allclose(plain, answers[-1], atol=0.1)
    assert torch.allclose(*answers, atol=1e-3)


def test_group_norm_keeps_no_statistics_and_batch_norm_does():
    assert running_norms(UNet(width=4, depth=2, norm="group")) == {}
    assert len(running_norms(UNet(width=4, depth=2, norm="batch"))) > 4
