"""The rules of a running workflow: `Machine`, told of events, says what is to be done. No clock, no files, no processes, no threads."""

import errno
from dataclasses import dataclass

from wrp.capio.language.plan import ON_CLOSE, ON_TERMINATION
from wrp.capio.rules import events, sentences
from wrp.capio.rules.actions import Committed, Delete, Fetch, Go, Note, Refuse
from wrp.capio.rules.judging import Judge
from wrp.capio.rules.steps import Ending, StepState
from wrp.capio.rules.stuck import stuck_steps
from wrp.capio.rules.table import Files
from wrp.capio.rules.waits import BYTES, ENTRIES, OPEN, STAT, Wait, Waiting, Waits


@dataclass(frozen=True, slots=True)
class Options:
    """`on_failure`: what a reader gets of a file that can't be committed any more: "error" (EIO) or "eof" (what there is, then its end).
    `deadline_s`: seconds after which a wait ends with ETIMEDOUT, None: never."""

    on_failure: str = "error"
    deadline_s: float | None = None


class Machine:
    """One running workflow. Not for several threads at once; the same events give the same actions."""

    def __init__(self, workflow, options=Options()):
        self.workflow, self.options = workflow, options
        self._steps, self._files, self._waits = {}, Files(workflow), Waits()
        self._judge = Judge(self._step, self._files.get)
        self._is_over, self._actions = False, []
        self._handlers = {kind: getattr(self, f"_on_{name}") for name, kind in _HANDLED.items()}
        for step in workflow.steps:
            self._step(step.name)

    def handle(self, event):
        """Take an event in; returns the actions it leads to, in their order."""
        self._actions = actions = []
        self._handlers[type(event)](event)
        return actions

    # views

    def is_complete(self, path):
        """True if whoever wants to open this file, or to look at it, needn't wait: it is committed, and its bytes are here (node 0)."""
        file = self._files.find(path)
        return file is not None and file.is_committed and (file.is_removed or file.is_whole_on(0))

    def is_committed(self, path):
        """True for a file that is complete."""
        file = self._files.find(path)
        return file is not None and file.is_committed

    def who_waits(self):
        """[Waiting], oldest first."""
        found = []
        for wait in self._waits:
            file = self._files.get(wait.path)
            makers = self._judge.makers(file)
            found.append(Waiting(wait.waiter, wait.step, wait.process, wait.node, wait.path, wait.what, wait.since, makers,
                                 sentences.waiting(wait, file, makers, self._step)))
        return found

    def files(self):
        """[FileView] of the declared files that something was told of, by path."""
        return [file.view(self._failure(file)) for file in sorted(self._files, key=lambda file: file.path) if file.is_declared]

    def steps(self):
        """[StepView], those of the workflow first."""
        return [step.view() for step in self._steps.values()]

    @property
    def next_deadline(self):
        """When a `Clock` is due, or None."""
        if self.options.deadline_s is None or not len(self._waits):
            return None
        return min(wait.since for wait in self._waits) + self.options.deadline_s

    @property
    def waits_since(self):
        """Since when the oldest waiter waits, or None."""
        return self._waits.oldest

    def _failure(self, file):
        return sentences.through(file, self._judge.culprit(file), self._step) if self._judge.is_lost(file) and file.plan.producers else ""

    # steps and processes

    def _step(self, name):
        step = self._steps.get(name)
        if step is None:
            step = self._steps[name] = StepState(name)
        return step

    def _on_step_started(self, event):
        self._awake(event.step).start(event.parts)

    def _on_step_ended(self, event):
        step = self._awake(event.step)
        if step.end(Ending(event.code, event.signal)):
            self._step_is_over(step, event.at)
        else:
            self._break_circles(event.at)

    def _on_process_joined(self, event):
        self._awake(event.step).join(event.process, event.parent)

    def _on_process_left(self, event):
        for wait in self._waits.of_process(event.process):
            self._waits.drop(wait.waiter)
        step = next((step for step in self._steps.values() if event.process in step.processes), None)
        if step is None:
            return
        step.is_stalled = False
        if step.leave(event.process, Ending(event.code, event.signal)):
            self._step_is_over(step, event.at)
        else:
            self._break_circles(event.at)

    def _on_stalled(self, event):
        self._step(event.step).is_stalled = True
        self._break_circles(event.at)

    def _awake(self, name):
        step = self._step(name)
        step.is_stalled = False
        return step

    def _step_is_over(self, step, at):
        for file in self._files:
            if step.name in file.plan.producers and file.plan.commit == ON_TERMINATION:
                self._commit_if_due(file, at)
        self._answer_all(at)
        self._break_circles(at)

    # files

    def _on_created(self, event):
        file = self._files.get(event.path, event.is_directory)
        if file.is_directory != event.is_directory:
            self._files.turn(file, event.is_directory)
        self._made(file, event.step, event.node, event.at, is_new=True)

    def _on_opened(self, event):
        file = self._files.get(event.path)
        if event.is_truncated:
            file.size = 0
        is_known = file.is_born and event.step in file.wrote       # `Created` has told all that there is to tell, as of every new file
        self._files.open(event.description, file, event.step)
        if event.step not in file.plan.producers:
            return
        if is_known:
            self._awake(event.step)
        else:
            self._made(file, event.step, event.node, event.at)

    def _made(self, file, step, node, at, is_new=False):
        """The file exists in this run."""
        if step:
            self._awake(step)
            file.wrote.add(step)
        if not file.is_declared:
            self._entry(file.path, at)
            return
        file.be_born(node, is_new and step in file.plan.producers)
        self._entry(file.path, at)
        self._changed(file, at)

    def _on_closed(self, event):
        found = self._files.close(event.description)
        if found is None or event.is_lost:
            return
        file, step = found
        self._awake(step)
        if self._files.find(file.path) is not file:
            return                      # its name is gone, or another file's
        self._count_close(file, step, event.at)

    def _count_close(self, file, step, at):
        folder = self._files.folder(file.path)
        for state in filter(None, (file, folder)):
            if step in state.plan.producers:
                state.closes += 1
                if state.plan.commit == ON_CLOSE:
                    self._changed(state, at)

    def _on_written(self, event):
        file = self._files.get(event.path, False)
        if file.is_directory:
            self._files.turn(file, False)
        file.size = max(file.size, event.nbytes)
        self._made(file, event.step, event.node, event.at, is_new=True)
        if file.is_declared:
            file.wrote.add(event.step)
            self._count_close(file, event.step, event.at)
        else:
            self._files.forget_undeclared(file)

    def _on_grown(self, event):
        file = self._files.find(event.path)
        if file is not None and event.nbytes > file.size:
            file.size = event.nbytes
            self._answer(file, event.at)

    def _on_truncated(self, event):
        file = self._files.find(event.path)
        if file is not None:
            file.size = event.nbytes
            self._answer(file, event.at)

    def _on_renamed(self, event):
        below = self._files.below(event.source) if event.source else []
        self._leave_folder(event.source)
        self._move(event.source, event)
        for path in below:
            self._move(path, event)

    def _move(self, source, event):
        path = event.path + source[len(event.source):]
        file = self._files.move(source, path, event.step)
        if source == event.source:
            file.size = max(file.size, event.nbytes)
        if source and self._files.find(source):
            self._answer(self._files.get(source), event.at)
        self._made(file, event.step, event.node, event.at, is_new=True)

    def _on_removed(self, event):
        self._leave_folder(event.path)
        if self._files.remove(event.path) is not None:
            self._answer(self._files.get(event.path), event.at)

    def _on_entry_appeared(self, event):
        self._entry(f"{event.path.rstrip('/')}/{event.name}", event.at)

    def _entry(self, path, at):
        """The folder of this path holds it."""
        folder = self._files.folder(path)
        if folder is None:
            return
        name, is_new = path.rpartition("/")[2], not folder.is_born
        if is_new:
            folder.be_born(folder.home)
        if is_new or name not in folder.entries:
            folder.entries.add(name)
            self._changed(folder, at)

    def _leave_folder(self, path):
        folder = self._files.find(path.rpartition("/")[0]) if path else None
        if folder is not None:
            folder.entries.discard(path.rpartition("/")[2])

    def _changed(self, file, at):
        self._commit_if_due(file, at)
        self._answer(file, at)

    def _commit_if_due(self, file, at):
        if file.is_committed or not file.is_declared or not file.is_due(self._step, self.is_committed):
            return
        file.is_committed = True
        self._actions.append(Committed(file.path, file.extent))
        self._answer(file, at)
        for other in self._files.dependents(file.path):
            self._changed(other, at)

    # nodes

    def _on_arrived(self, event):
        file = self._files.get(event.path)
        file.copies[event.node] = event.nbytes
        self._answer(file, event.at)

    def _on_housed(self, event):
        self._fetch(self._files.get(event.path), event.node)

    def _on_copy_lost(self, event):
        file = self._files.get(event.path)
        file.lost[event.node] = event.reason
        self._answer(file, event.at)

    def _fetch(self, file, node):
        if file.is_born and not file.is_directory and node != file.home and node not in file.asked:
            file.asked.add(node)
            self._actions.append(Fetch(file.path, file.home, node))

    # waits

    def _want(self, event, what, upto, found=""):
        plan = self.workflow.look(event.path)
        if what == ENTRIES or found == "directory":
            plan = self.workflow.look(event.path, True)
        if self._is_over or not plan.waits or event.step not in plan.consumers or event.step in plan.producers:
            self._actions.append(Go(event.waiter))
            return
        file = self._files.get(event.path)
        if (what == ENTRIES or found == "directory") and not file.is_born:
            self._files.turn(file, True)
            file.be_born(event.node)    # a folder that was there before the run is as good as a new one
            self._changed(file, event.at)
        wait = Wait(event.waiter, event.step, event.path, what, upto, event.process, event.node, event.threads, event.at, found)
        self._waits.add(wait)
        self._fetch(file, event.node)
        self._answer_one(wait, file, event.at)
        if event.waiter in self._waits:
            self._break_circles(event.at)

    def _on_want_open(self, event):
        self._want(event, OPEN, 0, event.found)

    def _on_want_stat(self, event):
        self._want(event, STAT, 0, event.found)

    def _on_want_bytes(self, event):
        self._want(event, BYTES, event.upto)

    def _on_want_entries(self, event):
        self._want(event, ENTRIES, event.upto)

    def _on_cancelled(self, event):
        wait = self._waits.drop(event.waiter)
        if wait is not None:
            self._awake(wait.step).waited_s += event.at - wait.since

    def _on_clock(self, event):
        limit = self.options.deadline_s
        for wait in self._waits if limit is not None else ():
            if event.at - wait.since >= limit:
                file = self._files.get(wait.path)
                why = sentences.waiting(wait, file, self._judge.makers(file), self._step)
                self._end(wait, Refuse(wait.waiter, errno.ETIMEDOUT, f"{why}; gave up after {limit:g} s"), event.at)

    def _on_workflow_ended(self, event):
        for wait in self._waits:
            file = self._files.get(wait.path)
            self._end(wait, Refuse(wait.waiter, errno.EIO, f"the workflow has ended; {sentences.failed(file, self._step)}"), event.at)
        self._is_over = True
        gone = [file.path for file in self._files if file.is_ours and file.is_born and file.is_declared and not file.plan.permanent]
        self._actions += [Delete(path) for path in sorted(gone, reverse=True)]      # a folder after what lies in it

    def _answer_all(self, at):
        for path in self._waits.paths():
            self._answer(self._files.get(path), at)

    def _answer(self, file, at):
        for wait in self._waits.of_path(file.path):
            self._fetch(file, wait.node)
            self._answer_one(wait, file, at)

    def _answer_one(self, wait, file, at):
        if self._judge.is_ready(wait, file):
            is_final = file.is_committed and (file.is_removed or file.is_whole_on(wait.node))
            self._end(wait, Go(wait.waiter, file.extent_on(wait.node), is_final), at)
        elif wait.node in file.lost:
            sentence = f"{file.path} can't come to node {wait.node}: {file.lost[wait.node]}"
            self._end(wait, Refuse(wait.waiter, errno.EIO, sentence), at)
        elif self._judge.is_hopeless(wait, file):
            self._end(wait, self._given_up(wait, file), at)

    def _given_up(self, wait, file):
        """The answer to a wait that nobody can end well. That producers, all of which ended well, never made a file is no failure."""
        culprit = self._judge.culprit(file)
        is_failure = file.is_born or culprit is not file or any(self._step(name).has_failed for name in file.plan.producers)
        is_as_before = not is_failure and wait.found and file.plan.commit == ON_TERMINATION
        if is_as_before or file.is_born and self.options.on_failure == "eof":
            return Go(wait.waiter, file.extent_on(wait.node))
        number = errno.EIO if is_failure and self.options.on_failure == "error" else errno.ENOENT
        is_missed = is_failure or any(not rule.pattern.is_glob for rule in self.workflow.rules_of(file.path))
        return Refuse(wait.waiter, number, sentences.through(file, culprit, self._step) if is_missed else "")      # nobody has promised just this name

    def _end(self, wait, answer, at):
        self._waits.drop(wait.waiter)
        step = self._awake(wait.step)
        step.waited_s += at - wait.since
        self._actions.append(answer)

    def _break_circles(self, at):
        """End the waits of steps that wait for each other: EDEADLK, and a word to the user."""
        if len(self._waits):
            names = stuck_steps(self._steps.values(), self._waits, self._files.get, self._judge)
            waits = [wait for name in names for wait in self._waits.of_step(name)]
            for number, wait in enumerate(waits):
                sentence = sentences.circle(names, waits)
                if not number:
                    self._actions.append(Note(sentence))
                self._end(wait, Refuse(wait.waiter, errno.EDEADLK, sentence), at)


def _snake(name):
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


_HANDLED = {_snake(name): kind for name, kind in events.KINDS.items()}
