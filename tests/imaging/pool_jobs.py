"""Functions for the pool's tests: workers are spawned and import them by name."""

import os
import signal
import time

from mammolibs.errors import BadData, RuntimeUnavailable


def behave(item):
    """Do what the item says."""
    word, number = item
    if word == "double":
        return 2 * number
    if word == "blocked":
        return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    if word == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "exit":
        os._exit(number)
    if word == "hang":
        time.sleep(600)
    if word == "ours":
        raise BadData("two labels")
    if word == "service":
        raise RuntimeUnavailable("the bucket does not answer; run again")
    if word == "fault":
        raise KeyError("not ours")
    if word == "hungry":
        return len(bytearray(number))
    if word == "unpicklable":
        return lambda: number
    raise AssertionError(word)


def refuse_to_start():
    """An initializer that ends its process."""
    os._exit(7)
