"""When a file commits: each rule of the language, alone."""

import errno

import pytest
from capio.rules.playing import Play, at

from wrp.capio import language
from wrp.capio.rules import actions, events
from wrp.capio.rules.events import Removed, Renamed, WantBytes, WantEntries, WantOpen


def test_on_close_is_the_last_close_of_a_description_by_a_producer():
    play = Play("on_close")
    play.start("w", "r")
    waiter = play.want()
    play.create()
    play.open(1)
    play.write(10)
    assert play.committed == [] and play.answer(waiter) is None
    play.close(1)
    assert play.committed == ["f"] and play.answer(waiter) == "final"
    assert play.answers[waiter].size == 10


def test_a_close_by_another_step_does_not_commit():
    play = Play("on_close")
    play.create(step="x")
    play.open(1, step="x")
    play.close(1)
    assert play.committed == []
    play.open(2)
    play.close(2)
    assert play.committed == ["f"]


def test_closes_count_by_description_over_all_producers():
    play = Play("on_close:3", producers=("w", "v"))
    play.create()
    for number, step in enumerate(("w", "v", "w")):
        assert play.committed == []
        play.open(number, step=step)
        play.close(number)
        play.close(number)              # a description closes once
    assert play.committed == ["f"]


def test_a_description_that_a_kill_closed_does_not_commit():
    play = Play("on_close")
    play.create()
    play.open(1)
    play.close(1, is_lost=True)
    assert play.committed == []


@pytest.mark.parametrize(("code", "signal", "is_committed"), [(0, None, True), (1, None, False), (None, 9, False), (None, None, False)])
def test_on_termination_is_the_good_end_of_the_whole_step(code, signal, is_committed):
    play = Play()
    play.start("w", parts=2)
    play.tell(events.ProcessJoined("w", 7))
    play.make()
    waiter = play.want()
    play.end("w")
    play.tell(events.StepStarted("w", 2))
    play.end("w", code, signal)
    assert play.committed == [] and play.answer(waiter) is None     # a process is left
    play.tell(events.ProcessLeft(7, 3))
    assert play.committed == (["f"] if is_committed else [])
    assert play.answer(waiter) == ("final" if is_committed else errno.EIO)


@pytest.mark.parametrize(("endings", "is_committed"), [
    ([(1, None, 0), (2, 1, 5)], True), ([(1, None, 5), (2, 1, 0)], False), ([(2, 1, 0), (1, None, 0)], True), ([(1, None, None)], False)])
def test_without_a_launcher_a_step_is_its_processes_and_the_first_ones_decide(endings, is_committed):
    play = Play()
    for process, parent, _ in sorted(endings):
        play.tell(events.ProcessJoined("w", process, parent))
    play.make()
    for process, _, code in endings:
        assert play.committed == []
        play.tell(events.ProcessLeft(process, code))
    assert play.committed == (["f"] if is_committed else [])


def test_on_termination_waits_for_all_producers_and_fails_with_the_one_that_wrote():
    for failing, expected in (("w", errno.EIO), ("v", "final")):
        play = Play(producers=("w", "v"))
        play.start("w", "v")
        play.make(step="w")
        waiter = play.want()
        play.end("w", code=int(failing == "w"))
        assert play.answer(waiter) == (errno.EIO if failing == "w" else None)
        play.end("v", code=int(failing == "v"))
        assert play.answer(waiter) == expected


def test_on_file_commits_with_all_its_files_transitively():
    more = [{"name": ["g"], "committed": "on_file", "file_deps": ["h"], "mode": "update"}, {"name": ["h", "i"], "committed": "on_close", "mode": "update"}]
    play = Play("on_file", file_deps=["g", "i"], more=more)
    play.make("f")
    play.make("g")
    waiter = play.want()
    play.make("i")
    assert play.committed == ["i"] and play.answer(waiter) is None
    play.make("h")
    assert play.committed == ["i", "h", "g", "f"] and play.answer(waiter) == "final"


def test_on_file_of_a_file_that_comes_after_those_it_waits_for():
    play = Play("on_file", file_deps=["g"], more=[{"name": ["g"], "committed": "on_close", "mode": "update"}])
    play.make("g")
    waiter = play.want()
    assert play.answer(waiter) is None
    play.create()
    assert play.committed == ["g", "f"] and play.answer(waiter) == "final"


def test_on_n_files_is_the_number_of_different_entries():
    play = Play("on_n_files", name="out", dirname=True, n_files=3)
    waiter = play.want(WantEntries, "out")
    play.create("out", is_directory=True)
    for name in ("a", "b", "b"):
        play.create(f"out/{name}", step="anybody")
    play.tell(Removed(at("out/a")))
    play.create("out/c")
    assert play.committed == [] and play.answer(waiter) is None
    play.tell(events.EntryAppeared(at("out"), "d"))
    assert play.committed == ["out"] and play.answer(waiter) == "final" and play.answers[waiter].size == 3


def test_a_directory_on_close_counts_the_files_closed_in_it():
    play = Play("on_close:2", name="out", dirname=True)
    for number, name in enumerate(("out/a", "out/b")):
        assert "out" not in play.committed
        play.make(name, description=number)
    assert play.committed == ["out/a", "out/b", "out"]


def test_a_commit_is_not_taken_back_by_another_opening():
    play = Play("on_close")
    play.make(nbytes=5)
    play.tell(events.Opened(at("f"), "w", 2, is_truncated=True))
    assert play.answer(play.want()) == "final" and play.committed == ["f"]


def test_a_name_given_to_a_whole_file_commits():
    play = Play("on_close")
    waiter = play.want()
    play.tell(Renamed(at("f.tmp"), at("f"), "w"))
    assert play.committed == ["f"] and play.answer(waiter) == "final"


def test_a_name_given_to_a_file_that_is_still_open_commits_at_its_close():
    play = Play("on_close")
    play.create("f.tmp")
    play.open(1, "f.tmp")
    play.write(7, "f.tmp")
    play.tell(Renamed(at("f.tmp"), at("f"), "w"))
    assert play.committed == []
    play.close(1)
    waiter = play.want()
    assert play.committed == ["f"] and play.answers[waiter].size == 7


def test_a_name_given_by_somebody_else_does_not_commit():
    play = Play("on_close")
    play.tell(Renamed(at("f.tmp"), at("f"), "x"))
    assert play.committed == [] and play.answer(play.want()) is None


def test_a_committed_file_that_is_replaced_stays_committed():
    play = Play("on_close")
    play.make()
    play.tell(Renamed(at("f.new"), at("f"), "w"))
    assert play.committed == ["f"] and play.answer(play.want()) == "final"


def test_a_removed_file_is_waited_for_again_if_it_was_not_committed():
    play = Play("on_close:2")
    play.make()
    play.tell(Removed(at("f")))
    waiter = play.want()
    play.make()
    assert play.committed == [] and play.answer(waiter) is None     # a new file's closes begin anew
    play.open(2)
    play.close(2)
    assert play.committed == ["f"] and play.answer(waiter) == "final"


def test_a_removed_file_that_was_committed_is_not_waited_for_until_it_is_made_again():
    play = Play("on_close")
    play.make()
    play.tell(Removed(at("f")))
    assert play.answer(play.want()) == "final"          # the kernel says that it isn't there
    play.create()
    waiter = play.want()
    assert play.answer(waiter) is None
    play.open(2)
    play.close(2)
    assert play.committed == ["f", "f"] and play.answer(waiter) == "final"


def test_a_close_after_the_removal_commits_nothing():
    play = Play("on_close")
    play.create()
    play.open(1)
    play.tell(Removed(at("f")))
    play.create()
    play.close(1)
    assert play.committed == []


def test_a_folder_takes_its_files_along():
    play = Play("on_close", name="new/*")
    play.create("old", is_directory=True)
    play.create("old/a")
    play.open(1, "old/a")
    play.tell(Renamed(at("old"), at("new"), "w"))
    waiter = play.want(WantOpen, "new/a")
    assert play.answer(waiter) is None
    play.close(1)
    assert play.committed == ["new/a"] and play.answer(waiter) == "final"


def test_what_the_run_made_and_is_not_permanent_goes_at_its_end():
    found = language.parse({"name": "w", "IO_Graph": [{"name": "w", "output_stream": ["a", "b", "c", "d", "dir"]}, {"name": "r", "input_stream": ["a", "in"]}],
                            "permanent": ["b"], "exclude": ["c"]}, "/d")
    play = Play(found=found)
    for name in ("a", "b", "c", "undeclared"):
        play.make(name)
    play.open(5, "d")                   # was there before the run
    play.create("in", step="x")         # nobody's product
    play.create("dir", is_directory=True)
    play.make("dir/x")
    play.make("gone")
    play.tell(Removed(at("gone")))
    play.tell(events.WorkflowEnded())
    assert play.other == [actions.Delete(at("dir/x")), actions.Delete(at("dir")), actions.Delete(at("a"))]


def test_a_step_that_comes_back_can_still_write_what_it_had_not():
    play = Play("on_close")
    play.start("w")
    play.end("w", 1)
    assert play.answer(play.want()) == errno.EIO
    play.start("w")
    waiter = play.want()
    assert play.answer(waiter) is None
    play.make(nbytes=1)
    assert play.answer(waiter) == "final"
    assert play.answer(play.want(WantBytes, upto=9)) == "final"
