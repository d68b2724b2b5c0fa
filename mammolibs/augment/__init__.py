"""Random changes of an image and its mask, on the host, replayable from (seed, step, image id). numpy and OpenCV only."""

from mammolibs.augment.config import Augment
from mammolibs.augment.draw import generator, hidden_blocks
from mammolibs.augment.views import augment_pair, two_views

__all__ = ["Augment", "augment_pair", "generator", "hidden_blocks", "two_views"]
