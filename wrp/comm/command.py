"""What the commands share: arguments refused with a sentence, a main of all ranks, standard output that is written whole or one sentence why it isn't."""

import argparse
import json
import sys
from contextlib import contextmanager, suppress

from wrp.comm.ranks.running import refuse, run
from wrp.comm.ranks.streams import discard
from wrp.errors import UsageError, WrpError

_LONGEST_S = 1e9


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose `parse_args` raises UsageError instead of ending the process."""

    def print_help(self, file=None):
        """Raises WrpError when it can't be written; argparse wouldn't say so."""
        say(self.format_help().rstrip("\n"))

    def error(self, message):
        """Raise UsageError."""
        raise UsageError(f"{message}; {self.prog} --help shows how to call it")


def seconds(text):
    """A time limit of the command line, the type of an option: 0 s or more."""
    return _seconds(text, "of 0 or more", lambda number: 0 <= number <= _LONGEST_S)


def seconds_above_0(text):
    """The same of a limit or a pause that can't be 0 s."""
    return _seconds(text, "above 0", lambda number: 0 < number <= _LONGEST_S)


def _seconds(text, which, fits):
    with suppress(ValueError):
        if fits(float(text)):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds {which}, at most {_LONGEST_S:.0f}")


def together(parser, parse, work, arguments=None):
    """The main of a command of all ranks: `work(ranks, options)` with what `parse(arguments)` gives on each. Returns the exit code.

    Collective, except for --help, which needs no ranks. A UsageError of `parse` is told once.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if {"-h", "--help"} & set(given):
        try:
            parser.print_help()
        except WrpError as error:
            return refuse(error)
        return 0
    return run(lambda ranks: work(ranks, _read(ranks, parse, given)))


def _read(ranks, parse, given):
    with ranks.agreed("reading the options"):
        return parse(given)


def show(ranks, result, as_json, lines):
    """Rank 0 says the result, which JSON can say, or the `lines` for people. Local."""
    if ranks.rank == 0:
        say(json.dumps(result, indent=1) if as_json else "\n".join(lines))


def say(text):
    """Print the text on standard output, at once. WrpError when it can't be written."""
    with speaking():
        # what the terminal's encoding doesn't have is shown escaped
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "backslashreplace").decode(encoding), flush=True)


class ReaderGone(WrpError):
    """Who reads standard output has closed it."""


@contextmanager
def speaking():
    """An OSError of the block, which writes standard output, becomes a WrpError; what Python still holds of it is dropped."""
    if sys.stdout is None:
        raise WrpError("standard output is closed: nothing can be printed; send it somewhere")
    try:
        yield
        sys.stdout.flush()
    except WrpError:            # some are an OSError too
        raise
    except BrokenPipeError:
        discard(sys.stdout)
        raise ReaderGone("standard output was closed by its reader before all was written") from None
    except OSError as error:
        discard(sys.stdout)
        raise WrpError(f"standard output can't be written: {error.strerror or error}") from error
