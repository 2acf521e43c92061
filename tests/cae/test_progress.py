"""What is told while a job runs: on a terminal, in a file, and on other ranks."""

import io
from types import SimpleNamespace

import pytest

from wrp.cae import progress, report
from wrp.cae.ingest import Result
from wrp.cae.omni import Transfer

TRANSFER = Transfer(2, "file::a", "iowarp::t", "binary", name="probe")
RESULT = Result(2, "file::a", "iowarp::t", 1, 3_000_000, 1.5, "00ff")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def told(kind, steps, step_s):
    """What a transfer of `steps` blobs that take `step_s` each writes."""
    stream, now = (Terminal if kind is progress.Redrawn else io.StringIO)(), [0.0]
    teller = kind(stream, clock=lambda: now[0])
    teller.begin(TRANSFER)
    for done in range(1, steps + 1):
        now[0] += step_s
        teller.advance(done, steps)
    teller.finish(RESULT)
    teller.close()
    return stream.getvalue()


@pytest.mark.parametrize("steps, step_s, most", [(1000, 0.001, 1), (100, 1.0, 11), (1000, 1.0, 11), (3, 100.0, 3)])
def test_a_file_gets_few_whole_lines(steps, step_s, most):
    text = told(progress.Plain, steps, step_s)
    assert "\r" not in text and text.endswith("transfer 2 (probe): file::a -> iowarp::t: done, 2.86 MiB in 1.50 s\n")
    assert 1 <= text.count("\n") <= most


def test_a_terminal_is_redrawn_at_most_five_times_a_second():
    text = told(progress.Redrawn, 1000, 0.01)
    assert text.count("\r") <= 10 * 5 + 3
    assert text.count("\n") == 1


@pytest.mark.parametrize("rank, is_quiet, stream, kind", [
    (0, False, io.StringIO(), progress.Plain), (0, False, Terminal(), progress.Redrawn),
    (1, False, io.StringIO(), progress.Silent), (0, True, Terminal(), progress.Silent)])
def test_only_rank_0_tells(rank, is_quiet, stream, kind):
    assert type(progress.progress(SimpleNamespace(rank=rank), stream, is_quiet)) is kind


def test_table():
    head, row = report.table([RESULT])
    assert head.split() == ["transfer", "datasets", "bytes", "seconds", "MB/s", "checksum", "tag"]
    assert row.split() == ["2", "1", "2.86", "MiB", "1.50", "2", "00ff", "t"]


class Timer:
    """Stands for threading.Timer; the test lets the time pass."""

    made = None

    def __init__(self, interval, function, args):
        self.interval, self.fire, self.is_on = interval, lambda: function(*args), False
        Timer.made = self

    def start(self):
        self.is_on = True

    def cancel(self):
        self.is_on = False

    def join(self):
        assert not self.is_on


def test_a_long_transfer_says_in_a_file_that_it_started():
    stream = io.StringIO()
    teller = progress.Plain(stream, timer=Timer)
    teller.begin(TRANSFER)
    assert Timer.made.interval == 2 and Timer.made.is_on and stream.getvalue() == ""
    Timer.made.fire()
    assert stream.getvalue() == "transfer 2 (probe): file::a -> iowarp::t: starting\n"
    teller.finish(RESULT)
    assert not Timer.made.is_on
    teller.begin(TRANSFER)
    assert Timer.made.is_on
    teller.close()
    assert not Timer.made.is_on


class Full(io.StringIO):
    def write(self, text):
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("kind", [progress.Plain, progress.Redrawn])
def test_nobody_listening_is_no_error(kind):
    teller = kind(Full())
    teller.begin(TRANSFER)
    teller.note("a note")
    teller.finish(RESULT)
    teller.close()
