"""Which tests run in one process: those of a file, and all files that look at the one trained run, so that it is trained once."""

import pytest


def pytest_collection_modifyitems(items):
    shared = {item.path for item in items if "whole_run" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("whole run" if item.path in shared else str(item.path)))
