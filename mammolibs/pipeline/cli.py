"""From a frozen dataclass to a command line, and from an error to one line and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from mammolibs.errors import BadConfig, MammolibsError
from mammolibs.runtime import check_asked_device

Options = TypeVar("Options")
_CHOICE = re.compile(r"argument (?P<flag>\S+): invalid choice: '(?P<given>.*)' \(choose from (?P<allowed>.*)\)")
# argparse says which flag a value was given to, and so do the parsers of most values.
_FLAG_TWICE = re.compile(r"argument (?P<flag>\S+): (?=(?P=flag)[ =:])")
_KEYS = ("help", "flag", "aliases", "choices", "parse", "repeat", "positional", "metavar")


def option(default: Any, help: str, **how: Any) -> Any:
    """A dataclass field that is also a flag.

    how: `flag` (another word than the field's name), `aliases` (accepted, not shown),
    `choices`, `parse` (text -> value), `repeat` (may be given several times; a tuple),
    `positional`, `metavar`.
    """
    unknown = set(how) - set(_KEYS)
    if unknown:
        raise TypeError(f"option() knows no {', '.join(sorted(unknown))}")
    return dataclasses.field(default=default, metadata={"help": help, **how})


def workers_option() -> Any:
    """How many processes read images: one for each core where nothing is said."""
    return option(os.cpu_count() or 1, "processes; 0 works in this one, without a time limit per file")


class _Parser(argparse.ArgumentParser):
    """argparse whose errors are ours: one line, with the nearest word that is allowed."""

    def error(self, message: str) -> Any:
        words = message.split("unrecognized arguments: ")
        if len(words) == 2:
            wrong = words[1].split()[0]
            known = [name for action in self._actions for name in action.option_strings if name.startswith("--")]
            if not wrong.startswith("-"):
                raise BadConfig(f"{wrong}: one too many; give one, or for files the folder that holds them")
            near = difflib.get_close_matches(wrong.split("=")[0], known, n=1, cutoff=0.5)
            message = f"{wrong}: no such flag" + (f"; did you mean {near[0]}" if near else "") + "; --help lists them"
        elif choice := _CHOICE.fullmatch(message):
            allowed = [word.strip("'") for word in choice["allowed"].split(", ")]
            near = difflib.get_close_matches(choice["given"], allowed, n=1, cutoff=0.3)
            message = f"{choice['flag']} {choice['given']}: expected one of {', '.join(allowed)}"
            message += f"; did you mean {near[0]}?" if near else ""
        raise BadConfig(_FLAG_TWICE.sub("", message).removeprefix("argument "))


def parse_options(options_class: type[Options], arguments: Sequence[str], description: str = "") -> Options:
    """Options from command-line arguments. Raises BadConfig for an unknown flag or a value that is not allowed."""
    prog = "train/train.sh" if sys.argv[0].endswith("__main__.py") else None
    parser = _Parser(prog=prog, description=description, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    hidden = {}
    for field in dataclasses.fields(options_class):
        if "help" in field.metadata:
            _add(parser, field)
            name = field.metadata.get("flag", field.name.replace("_", "-"))
            hidden |= {alias: f"--{name}" for alias in field.metadata.get("aliases", ())}
    values = vars(parser.parse_args([_unalias(argument, hidden) for argument in arguments]))
    values.pop("debug")
    try:
        return options_class(**values)
    except ValueError as error:
        raise BadConfig(str(error)) from error


def run_script(main: Callable[[Any], int | None], options_class: type, description: str | None = None) -> None:
    """Parse the command line, call `main(options)`, exit with its code (None is 0).

    A MammolibsError is printed as one line and exits with its own code; `--debug` shows
    the traceback. A second interrupt kills the process at once.
    """
    debug = "--debug" in sys.argv[1:]
    try:
        options = parse_options(options_class, sys.argv[1:], description or "")
        if hasattr(options, "precision"):
            # It computes on a device: one that is not there is refused before the libraries behind it load, which takes seconds.
            check_asked_device()
        code = main(options)
    except MammolibsError as error:
        if debug:
            traceback.print_exc()
        print(" ".join(str(error).split()), file=sys.stderr)
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if debug:
            traceback.print_exc()
        print(f"{error.filename or 'a file'}: {error.strerror or error}; --debug shows where", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 128 + signal.SIGINT
    sys.exit(code)


def _unalias(argument: str, hidden: dict[str, str]) -> str:
    word, equals, value = argument.partition("=")
    return hidden.get(word, word) + equals + value


def _add(parser: argparse.ArgumentParser, field: dataclasses.Field) -> None:
    how = field.metadata
    name = how.get("flag", field.name.replace("_", "-"))
    shown = "" if field.default in (None, "", (), False) or field.default is dataclasses.MISSING else f" (default {field.default})"
    text = (how["help"] + shown).replace("%", "%%")
    if how.get("positional"):
        required = field.default is dataclasses.MISSING
        parser.add_argument(field.name, help=text, nargs=None if required else "?", default=field.default, metavar=how.get("metavar"))
    elif field.default is False:
        parser.add_argument(f"--{name}", dest=field.name, action="store_true", help=text)
    elif how.get("repeat"):
        parser.add_argument(
            f"--{name}", dest=field.name, action=_Append, type=_typed(field), default=field.default, help=text, metavar=how.get("metavar")
        )
    else:
        parser.add_argument(
            f"--{name}",
            dest=field.name,
            type=_typed(field),
            default=field.default,
            choices=how.get("choices"),
            help=text,
            metavar=how.get("metavar"),
            required=field.default is dataclasses.MISSING,
        )


class _Append(argparse.Action):
    """Collect the values of a repeated flag in a tuple."""

    def __call__(self, parser, namespace, values, option_string=None):
        setattr(namespace, self.dest, (*getattr(namespace, self.dest), values))


def _typed(field: dataclasses.Field) -> Callable[[str], Any]:
    """The parser of a flag's value: the one it names, else by its annotation."""
    written = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    kind = field.metadata.get("parse") or {"int": int, "float": float, "str": str}[written.split(" | ")[0]]

    def parse(text: str) -> Any:
        try:
            return kind(text)
        except BadConfig as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    parse.__name__ = getattr(kind, "__name__", "value")
    return parse
