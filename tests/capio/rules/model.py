"""Plays a Flow against a Machine, call by call in an order drawn from the seed, and holds every answer against the naive world."""

import errno
import random

from capio.rules.naive import World
from wrp.capio import language
from wrp.capio.rules import Machine, actions, events

FOLDER = "/d"
PIECE = 7


class Process:
    """One process of a step: its script and what it waits for. `request`: (step, kind, path, upto) as the naive world takes it."""

    def __init__(self, name, step, script):
        self.name, self.step, self.script = name, step, list(script)
        self.request, self.waiter, self.answer = None, None, None
        self.descriptions, self.got, self.is_over = {}, 0, False


class Model:
    """One run. `reads`: (step, path, size of the file, what was read) of each whole reading."""

    def __init__(self, flow):
        self.flow, self.dice = flow, random.Random(flow.seed)
        self.machine, self.world = Machine(language.parse(flow.document, FOLDER)), World(flow)
        self.processes = [Process(f"{step}.{number}", step, script) for step, scripts in flow.scripts.items() for number, script in enumerate(scripts)]
        self.waiters, self.answers, self.numbers, self.log = {}, {}, iter(range(10**9)), []
        self.told, self.reads, self.circles, self.failures, self.waited = [], [], 0, 0, 0

    def run(self):
        """Play to the end; AssertionError where the machine and the naive world differ."""
        for process in self.processes:
            if process.step in self.flow.launched:
                self.tell(events.StepStarted(process.step, len(self.flow.scripts[process.step])))
        for process in self.processes:
            self.tell(events.ProcessJoined(process.step, process.name))
        while any(not process.is_over for process in self.processes):
            able = [process for process in self.processes if not process.is_over and process.waiter is None]
            assert able, f"nobody can go on: {[(process.name, process.request) for process in self.processes if not process.is_over]}"
            self.step(self.dice.choice(able))
        assert not self.machine.who_waits()
        return self

    def tell(self, event, is_half=False):
        """Tell the machine, and hold its answers, and who still waits, against the world. `is_half`: the other half of what happened follows."""
        self.log.append(events.to_record(event))
        found = self.machine.handle(event)
        self.world.settle()
        circle = None
        for action in found:
            if isinstance(action, actions.Refuse) and action.errno == errno.EDEADLK:
                circle = self.circle_now() if circle is None else circle      # all of one circle are told at once
                self.hold(action, circle)
            elif isinstance(action, (actions.Go, actions.Refuse)):
                self.hold(action)
            elif isinstance(action, actions.Committed):
                self.told.append(action.path.removeprefix(FOLDER + "/"))
        assert set(self.told) == {path for path in self.world.committed} and len(self.told) == len(set(self.told)), (self.told, self.world.committed)
        if not is_half:
            self.look_at_those_that_wait(isinstance(event, (events.StepEnded, events.ProcessLeft)) or self.dice.random() < 0.1)

    def hold(self, answer, circle=()):
        """An answer must be what the naive world says."""
        process = self.waiters.pop(answer.waiter)
        process.waiter, process.answer = None, answer
        request = process.request
        if isinstance(answer, actions.Refuse):
            self.failures += 1
            assert not self.world.may_go(request), (request, answer)
            if answer.errno == errno.EDEADLK:
                self.circles += 1
                assert request[0] in circle
            else:
                assert self.world.must_fail(request) and not self.world.is_as_before(request), (request, answer)
                assert FOLDER + "/" + request[2] in answer.sentence
        else:
            assert self.world.may_go(request) or self.world.must_fail(request) and self.world.is_as_before(request), (request, answer)
            if answer.is_final and self.world.may_go(request):
                spec = self.flow.spec(request[2])
                waits = spec is not None and request[0] in spec.consumers and request[0] not in spec.producers
                assert not waits or request[2] in self.world.committed, "the end of a file before its commit"

    def look_at_those_that_wait(self, thoroughly):
        for process in self.waiters.values():
            assert not self.world.may_go(process.request), f"waits needlessly: {process.request}"
            assert not thoroughly or not self.world.must_fail(process.request), f"waits for ever: {process.request}"
        assert {found.waiter for found in self.machine.who_waits()} == set(self.waiters) if thoroughly else True
        if thoroughly or len(self.waiters) > 1:
            assert not self.circle_now(), "steps wait for each other and nobody noticed"

    def circle_now(self):
        waiting = {}
        for step in self.flow.scripts:
            own = [process for process in self.processes if process.step == step and not process.is_over]
            if own and all(process.waiter is not None for process in own):
                waiting[step] = [process.request for process in own]
        return self.world.circle(waiting) if waiting else ()

    # calls

    def step(self, process):
        if process.answer is not None:
            answer, process.answer = process.answer, None
            return self.go_on(process, answer)
        call, *arguments = process.script[0]
        if call in ("read", "stat", "list"):
            return self.ask(process, "stat" if call == "stat" else "open", arguments[0], 0)
        process.script.pop(0)
        getattr(self, f"do_{call}")(process, *arguments)

    def ask(self, process, kind, path, upto):
        """Send a request."""
        process.request, process.waiter = (process.step, kind, path, upto), next(self.numbers)
        self.waiters[process.waiter] = process
        sort = {"open": events.WantOpen, "stat": events.WantStat, "bytes": events.WantBytes, "entries": events.WantEntries}[kind]
        more = {"upto": upto} if kind in ("bytes", "entries") else {"found": self.found(path)}
        event = sort(process.waiter, process.step, f"{FOLDER}/{path}", process=process.name, **more)
        self.tell(event)
        self.waited += process.waiter is not None

    def found(self, path):
        return "directory" if path in self.world.entries else "file" if path in self.world.files or path in self.flow.stale else ""

    def go_on(self, process, answer):
        call, path = process.script[0]
        if isinstance(answer, actions.Refuse) or answer.is_final or call == "stat":
            if call == "read" and not isinstance(answer, actions.Refuse):
                self.reads.append((process.step, path, self.world.files[path]["size"] if path in self.world.files else None, answer.size))
            process.script.pop(0)
            process.got = 0
            if isinstance(answer, actions.Refuse) or not self.found(path):      # ENOENT: of its own files a step isn't made to wait
                self.do_exit(process, 1)
            return
        process.got = process.got + PIECE if call == "read" else process.got + 1
        self.ask(process, "bytes" if call == "read" else "entries", path, process.got)

    def do_open(self, process, path, name):
        description = f"{process.name}:{name}"
        is_new = path not in self.world.files
        self.world.opened(path, process.step, description)
        process.descriptions[description] = path
        if is_new and path not in self.flow.stale:
            # two facts of one call: the world has both before the machine has the second
            self.tell_created(path, process.step)
        self.tell(events.Opened(f"{FOLDER}/{path}", process.step, description))

    def tell_created(self, path, step, is_directory=False):
        self.tell(events.Created(f"{FOLDER}/{path}", step, is_directory))

    def do_write(self, process, name, nbytes):
        path = process.descriptions[f"{process.name}:{name}"]
        self.world.files[path]["size"] += nbytes
        self.tell(events.Grown(f"{FOLDER}/{path}", self.world.files[path]["size"]))

    def do_close(self, process, name, is_lost=False):
        description = name if isinstance(name, str) else f"{process.name}:{name}"
        del process.descriptions[description]
        self.world.closed(description, is_lost)
        self.tell(events.Closed(description, is_lost))

    def do_mkdir(self, process, path):
        if path not in self.world.files:
            self.world.made(path, process.step, True)
            self.tell_created(path, process.step, True)

    def do_rename(self, process, source, path):
        self.world.renamed(source, path, process.step)
        self.tell(events.Renamed(f"{FOLDER}/{source}", f"{FOLDER}/{path}", process.step, self.world.files[path]["size"]))

    def do_exit(self, process, code):
        for description in list(process.descriptions):
            self.do_close(process, description)
        self.leave(process, code, None)

    def do_die(self, process):
        for description in list(process.descriptions):
            self.do_close(process, description, is_lost=True)
        self.leave(process, None, 9)

    def leave(self, process, code, signal):
        process.is_over = True
        own = [other for other in self.processes if other.step == process.step]
        own_ended = all(other.is_over for other in own)
        process.code = code
        is_launched = process.step in self.flow.launched
        if own_ended and not is_launched:
            self.world.ended[process.step] = all(other.code == 0 for other in own)
        self.tell(events.ProcessLeft(process.name, code, signal), is_half=is_launched)
        if is_launched:
            if own_ended:
                self.world.ended[process.step] = all(other.code == 0 for other in own)
            self.tell(events.StepEnded(process.step, code, signal))
