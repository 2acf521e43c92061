"""Who waits, for what, how long, and how a wait ends."""

import errno
import json

import pytest
from capio.rules.playing import Play, at, workflow

from wrp.capio import language
from wrp.capio.rules import Options, actions, events, replay
from wrp.capio.rules.events import Arrived, Cancelled, Clock, CopyLost, Stalled, WantBytes, WantEntries, WantOpen, WantStat


@pytest.mark.parametrize("kind", [WantOpen, WantStat, WantBytes, WantEntries])
@pytest.mark.parametrize(("step", "name"), [("x", "f"), ("w", "f"), ("r", "undeclared"), ("", "f"), ("r", "sub/f")])
def test_only_a_consumer_of_what_another_makes_ever_waits(kind, step, name):
    play = Play()
    play.start("w")
    assert play.answer(play.want(kind, name, step)) == "final"
    assert not play.machine.who_waits()


def test_a_file_that_no_step_makes_is_not_waited_for():
    play = Play(producers=())
    assert play.answer(play.want()) == "final"


def test_a_producer_that_also_reads_never_waits():
    play = Play(consumers=("r", "w"))
    assert play.answer(play.want(step="w")) == "final" and play.answer(play.want(step="r")) is None


@pytest.mark.parametrize("kind", [WantOpen, WantStat])
@pytest.mark.parametrize(("mode", "when_written"), [("update", None), ("no_update", "go")])
def test_opening_waits_for_the_file_and_in_update_for_its_commit(kind, mode, when_written):
    play = Play("on_close", mode)
    early = play.want(kind, found="file")       # a file of an earlier run is not this run's
    assert play.answer(early) is None
    play.create()
    assert play.answer(early) == when_written
    play.open()
    play.write(5)
    late = play.want(kind)
    assert play.answer(late) == when_written
    play.close()
    assert play.answer(early) == play.answer(late) == (when_written or "final")
    assert play.answer(play.want(kind)) == "final"


def test_reading_gets_bytes_as_they_are_written_and_the_end_at_the_commit():
    play = Play("on_close", "no_update")
    play.create()
    play.open()
    first, second = play.want(WantBytes, upto=4), play.want(WantBytes, upto=8)
    play.write(3)
    assert play.answer(first) is None
    play.write(5)
    assert play.answers[first] == actions.Go(first, 5, is_final=False) and play.answer(second) is None
    play.write(2)                       # an older report changes nothing
    assert play.answer(play.want(WantBytes, upto=5)) == "go"
    play.close()
    assert play.answers[second] == actions.Go(second, 5, is_final=True)


def test_truncation_takes_bytes_back():
    play = Play("on_close", "no_update")
    play.create()
    play.write(9)
    play.tell(events.Truncated(at("f"), 3))
    waiter = play.want(WantBytes, upto=4)
    assert play.answer(waiter) is None
    play.tell(events.Truncated(at("f"), 4))
    assert play.answer(waiter) == "go"
    play.tell(events.Opened(at("f"), "w", 1, is_truncated=True))
    assert play.answer(play.want(WantBytes, upto=1)) is None


def test_entries_come_as_they_appear():
    play = Play("on_n_files", "no_update", "out", dirname=True, n_files=3)
    opened = play.want(WantOpen, "out")
    assert play.answer(opened) is None
    play.create("out", is_directory=True)
    first, second = play.want(WantEntries, "out", upto=1), play.want(WantEntries, "out", upto=2)
    assert play.answer(opened) == "go" and play.answer(first) is None
    play.create("out/a")
    assert play.answers[first] == actions.Go(first, 1, is_final=False) and play.answer(second) is None
    inside = play.want(WantOpen, "out/a")
    assert play.answer(inside) == "go"          # it takes the folder's rule: as it is written
    play.create("out/b")
    play.create("out/c")
    assert play.answer(second) == "go" and play.answer(play.want(WantEntries, "out", upto=9)) == "final"


def test_a_folder_from_before_the_run_is_as_good_as_a_new_one():
    play = Play("on_n_files", "no_update", "out", dirname=True, n_files=2)
    assert play.answer(play.want(WantOpen, "out", found="directory")) == "go"


@pytest.mark.parametrize(("code", "signal", "told"), [(3, None, "ended with exit code 3"), (None, 9, "was killed by SIGKILL"), (None, None, "vanished")])
@pytest.mark.parametrize("is_born", [False, True])
def test_a_producer_that_fails_ends_the_wait_with_a_sentence(code, signal, told, is_born):
    play = Play("on_close")
    play.start("w")
    waiter = play.want()
    if is_born:
        play.create()
        play.open()
        play.write(7)
        play.close(is_lost=True)
    assert play.answer(waiter) is None
    play.end("w", code, signal)
    assert play.answer(waiter) == errno.EIO
    sentence = play.answers[waiter].sentence
    assert at("f") in sentence and f"step 'w' {told}" in sentence and ("has 7 bytes and isn't committed" if is_born else "was never written") in sentence
    assert play.answer(play.want()) == errno.EIO
    assert play.machine.files()[0].failed == sentence


def test_a_producer_that_ends_well_without_committing():
    play = Play("on_close:2")
    play.start("w")
    waiter, other = play.want(), play.want(name="f")
    play.make()
    play.end("w")
    assert play.answer(waiter) == play.answer(other) == errno.EIO
    assert "step 'w' ended with exit code 0 and closed it 1 of 2 times" in play.answers[waiter].sentence


@pytest.mark.parametrize(("commit", "found", "expected"), [
    ("on_termination", "", errno.ENOENT), ("on_termination", "file", "final"), ("on_close", "", errno.ENOENT), ("on_close", "file", errno.ENOENT)])
def test_a_file_that_was_never_made_by_a_step_that_ended_well_is_not_there(commit, found, expected):
    play = Play(commit)
    play.start("w")
    waiter = play.want(found=found)
    play.end("w")
    assert play.answer(waiter) == expected


def test_another_producer_that_may_still_write_keeps_the_wait():
    play = Play("on_close", producers=("w", "v"))
    waiter = play.want()
    play.start("w")
    play.end("w", 1)
    assert play.answer(waiter) is None
    play.start("v")
    play.end("v", 0)
    assert play.answer(waiter) == errno.EIO
    assert "step 'v' ended with exit code 0 and step 'w' ended with exit code 1" in play.answers[waiter].sentence


def test_a_file_fails_with_the_one_it_waits_for():
    more = [{"name": ["g"], "committed": "on_close", "mode": "update"}]
    play = Play("on_file", file_deps=["g"], more=more)
    play.start("w")
    play.make("f")
    waiter = play.want()
    play.end("w")
    assert play.answer(waiter) == errno.EIO
    assert play.answers[waiter].sentence.startswith(f"{at('f')} commits with {at('g')}, and {at('g')} was never written: step 'w'")


def test_by_option_readers_of_a_failed_file_get_its_end():
    play = Play("on_close", "no_update", options=Options(on_failure="eof"))
    play.start("w")
    play.create()
    play.open()
    play.write(5)
    waiter, never = play.want(WantBytes, upto=9), play.want()
    play.end("w", 1)
    assert play.answers[waiter] == actions.Go(waiter, 5, is_final=True) and play.answer(never) == "go"
    other = Play("on_close", options=Options(on_failure="eof"))
    missing = other.want()
    other.end("w", 1)
    assert other.answer(missing) == errno.ENOENT


def test_deadlines():
    play = Play(options=Options(deadline_s=10))
    assert play.machine.next_deadline is None
    waiter, later = play.want(at=5), play.want(at=7)
    assert play.machine.next_deadline == 15
    play.tell(Clock(at=14.9))
    assert play.answer(waiter) is None
    play.tell(Clock(at=15))
    assert play.answer(waiter) == errno.ETIMEDOUT and play.answer(later) is None
    assert "step 'r' waits in opening /d/f: it isn't there yet (step 'w' has not started); gave up after 10 s" == play.answers[waiter].sentence
    assert play.machine.next_deadline == 17


def test_who_gives_up_or_dies_gets_no_answer():
    play = Play("on_close")
    play.tell(events.ProcessJoined("r", 4))
    one, two = play.want(at=1.0), play.want(process=4)
    play.tell(Cancelled(one, at=3.0))
    play.tell(events.ProcessLeft(4, None, 9))
    play.make()
    assert play.answers == {} and not play.machine.who_waits()
    assert {step.name: step.waited_s for step in play.machine.steps()}["r"] == 2.0


def test_the_end_of_the_run_ends_every_wait():
    play = Play()
    waiter = play.want()
    play.tell(events.WorkflowEnded())
    assert play.answer(waiter) == errno.EIO and play.answers[waiter].sentence.startswith("the workflow has ended; ")
    assert play.answer(play.want()) == "final"


@pytest.mark.parametrize(("commit", "rest", "told"), [
    ("on_close:2", {}, "it is closed 0 of 2 times"), ("on_termination", {}, "it commits when its step ends"),
    ("on_file", {"file_deps": ["g"]}, "it commits with /d/g"), ("on_n_files", {"n_files": 3, "dirname": True}, "it has 0 of 3 entries")])
def test_who_waits_for_whom(commit, rest, told):
    play = Play(commit, **rest)
    waiter = play.want(process=12, node=0, at=4.0)
    found, = play.machine.who_waits()
    assert (found.waiter, found.step, found.process, found.path, found.what, found.since, found.on) == (waiter, "r", 12, at("f"), "open", 4.0, ("w",))
    assert found.sentence == "step 'r' (process 12) waits in opening /d/f: it isn't there yet (step 'w' has not started)"
    play.start("w")
    play.create(is_directory="dirname" in rest)
    assert play.machine.who_waits()[0].sentence == f"step 'r' (process 12) waits in opening /d/f: {told} (step 'w' runs)"


# several nodes


def test_a_file_is_fetched_once_for_each_node_where_it_is_read():
    play = Play("on_close", "no_update")
    here = play.want(node=0)
    there, too = play.want(node=1), play.want(node=1)
    play.create(node=0)
    assert play.other == [actions.Fetch(at("f"), 0, 1)] and play.answer(here) == "go" and play.answer(there) is None
    play.tell(Arrived(at("f"), 1, 0))
    assert play.answer(there) == play.answer(too) == "go"
    play.open()
    play.write(10)
    reading = play.want(WantBytes, node=1, upto=6)
    play.tell(Arrived(at("f"), 1, 5))
    assert play.answer(reading) is None
    play.tell(Arrived(at("f"), 1, 8))
    assert play.answers[reading] == actions.Go(reading, 8, is_final=False)
    last = play.want(WantBytes, node=1, upto=11)
    play.close()
    assert play.answer(last) is None            # committed, and two bytes are on their way
    assert play.machine.who_waits()[0].sentence.endswith("waits for the bytes of /d/f to come to node 1: 8 of 10 are there")
    play.tell(Arrived(at("f"), 1, 10))
    assert play.answers[last] == actions.Go(last, 10, is_final=True)
    assert play.other == [actions.Fetch(at("f"), 0, 1)]


def test_in_update_the_whole_file_has_to_be_there():
    play = Play("on_close")
    waiter = play.want(node=1)
    play.make(nbytes=4)
    assert play.other == [actions.Fetch(at("f"), 0, 1)] and play.answer(waiter) is None
    play.tell(Arrived(at("f"), 1, 4))
    assert play.answer(waiter) == "final"


def test_a_copy_that_cannot_come_is_an_error_on_its_node_only():
    play = Play("on_close")
    there, other = play.want(node=1), play.want(node=2)
    play.make(nbytes=4)
    play.tell(CopyLost(at("f"), 1, "node 0 is gone"))
    assert play.answer(there) == errno.EIO and "node 0 is gone" in play.answers[there].sentence
    assert play.answer(other) is None and play.answer(play.want(node=0)) == "final"


# circles


def two_steps_that_read_each_other():
    return language.parse({"name": "w", "IO_Graph": [
        {"name": "a", "input_stream": ["g"], "output_stream": ["f"], "streaming": [{"name": ["f"], "committed": "on_close", "mode": "update"}]},
        {"name": "b", "input_stream": ["f"], "output_stream": ["g"], "streaming": [{"name": ["g"], "committed": "on_close", "mode": "update"}]}]}, "/d")


def test_steps_that_wait_for_each_other_are_told_so():
    play = Play(found=two_steps_that_read_each_other())
    play.tell(events.ProcessJoined("a", 1))
    play.tell(events.ProcessJoined("b", 2))
    one = play.want(name="g", step="a", process=1)
    assert play.answer(one) is None
    two = play.want(name="f", step="b", process=2)
    assert play.answer(one) == play.answer(two) == errno.EDEADLK
    assert play.answers[one].sentence == "the steps 'a', 'b' wait for each other and none of them can go on: 'a' for /d/g; 'b' for /d/f"
    assert play.other == [actions.Note(play.answers[one].sentence)]


@pytest.mark.parametrize("free", ["another process", "another thread", "a part to come"])
def test_a_step_of_which_something_runs_is_in_no_circle(free):
    play = Play(found=two_steps_that_read_each_other())
    if free == "a part to come":
        play.start("a", parts=2)
    play.tell(events.ProcessJoined("a", 1))
    play.tell(events.ProcessJoined("b", 2))
    if free == "another process":
        play.tell(events.ProcessJoined("a", 3, parent=1))
    one = play.want(name="g", step="a", process=1, threads=2 if free == "another thread" else 1)
    two = play.want(name="f", step="b", process=2)
    assert play.answer(one) is None and play.answer(two) is None
    if free == "another process":
        play.tell(events.ProcessLeft(3, 0))
    elif free == "another thread":
        play.tell(Stalled("a"))
    else:
        play.make("f", step="a")
        assert play.answer(two) == "final"
        return
    assert play.answer(one) == errno.EDEADLK


def test_a_step_that_was_seen_to_sleep_and_does_something_runs_again():
    play = Play(found=two_steps_that_read_each_other())
    for number, step in enumerate("ab"):
        play.tell(events.ProcessJoined(step, number))
        play.tell(events.ProcessJoined(step, number + 10, parent=number))
    one = play.want(name="g", step="a", process=10)
    play.tell(Stalled("a"))
    play.create("other", step="a")
    two = play.want(name="f", step="b", process=11)
    play.tell(Stalled("b"))
    assert play.answer(one) is None and play.answer(two) is None


def test_a_log_of_events_gives_the_same_machine_again():
    play = Play("on_close", "no_update", options=Options(deadline_s=5))
    play.start("w")
    play.want(at=1.5)
    play.create()
    play.want(WantBytes, upto=9, process="p", at=2.0)
    again = replay(workflow("on_close", "no_update"), json.loads(json.dumps(play.log)), Options(deadline_s=5))
    assert (again.who_waits(), again.files(), again.steps()) == (play.machine.who_waits(), play.machine.files(), play.machine.steps())
    assert again.next_deadline == 7.0
