"""Every failure while a file is read becomes one BadFile; pydicom's warnings stay out of the output."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mammolibs.errors import BadFile, MammolibsError

# catch_warnings changes the whole process, so two threads must not be inside it at once.
_quiet_lock = threading.RLock()
_pydicom = logging.getLogger("pydicom")


@contextmanager
def reading(path, what: str = "cannot be read", remedy: str = "export it again from where it came from") -> Iterator[None]:
    """Turn any error of the block into BadFile; our own errors and a request to stop pass through."""
    try:
        yield
    except (MammolibsError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except FileNotFoundError as error:
        raise BadFile(path, "is not there", "check the name; it may have been moved since it was listed") from error
    except OSError as error:
        raise BadFile(path, f"{what} ({error.strerror or one_line(error)})", "check that it is a readable file") from error
    except RecursionError as error:
        raise BadFile(path, "has sequences nested too deep to be an image's header", remedy) from error
    except MemoryError as error:
        raise BadFile(path, "needs more memory than there is", "check its header's sizes, or read it on a larger machine") from error
    except BaseException as error:  # one of pydicom's plug-ins panics past Exception
        raise BadFile(path, f"{what} ({one_line(error)})", remedy) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep pydicom's warnings about odd headers to itself: what matters becomes an error or a fact.

    It logs each of them too, and either way they show the value, which may be a name.
    """
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logged, _pydicom.disabled = _pydicom.disabled, True
        try:
            yield
        finally:
            _pydicom.disabled = logged


def one_line(error: BaseException) -> str:
    """The first line of an error's text, at most 160 characters, or its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return printable(lines[0], 160) if lines else type(error).__name__


def printable(text: str, limit: int) -> str:
    """The text on one line, at most `limit` characters, without what a terminal would obey."""
    text = text[:limit]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split()) if " " in text else text
