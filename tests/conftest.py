"""Which tests run in one process, and which begin: those of a file, and all files that look at the one trained run, so that it is trained once."""

import pytest

# They take minutes, mostly in other processes: begun last, one of them would keep one core waiting for the other.
LONG = ("test_runtimes_agree.py", "test_planted_faults.py", "test_kill.py")


def pytest_collection_modifyitems(items):
    shared = {item.path for item in items if "whole_run" in item.fixturenames}
    for item in items:
        item.add_marker(pytest.mark.xdist_group("whole run" if item.path in shared else str(item.path)))
    items.sort(key=lambda item: (item.path not in shared, item.path.name not in LONG))
