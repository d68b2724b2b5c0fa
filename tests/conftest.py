"""In which order the files of the tests run."""

# What takes longest comes first: a process that gets it last leaves the other without work. The files of tests/pipeline
# share a run that the first of them makes, so they come where only one process is at them.
FIRST = ("tests/test_runtimes_agree.py", "tests/pipeline/", "tests/runtime/test_planted_faults.py", "tests/test_kill.py", "tests/stream/")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: next((place for place, name in enumerate(FIRST) if item.nodeid.startswith(name)), len(FIRST)))
