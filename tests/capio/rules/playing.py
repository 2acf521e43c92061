"""A workflow played by hand: events in a few words, answers by waiter."""

from wrp.capio import language
from wrp.capio.rules import Machine, Options, actions, events

FOLDER = "/d"


def at(name):
    return f"{FOLDER}/{name}"


def workflow(commit="on_termination", mode="update", name="f", producers=("w",), consumers=("r",), dirname=False, more=(), **rest):
    """One file `f` (or directory) with one rule, its producers and consumers, and more rules of the first producer."""
    rule = {"dirname" if dirname else "name": [name], "committed": commit, "mode": mode, **rest}
    apps = [{"name": step, "output_stream": [name], "streaming": [rule, *more]} for step in producers[:1]]
    apps += [{"name": step, "output_stream": [name]} for step in producers[1:]]
    apps += [{"name": step, "input_stream": [name]} for step in consumers]
    return language.parse({"name": "flow", "IO_Graph": apps}, FOLDER)


class Play:
    """A Machine, its answers kept by waiter and its commits in their order."""

    def __init__(self, *arguments, options=Options(), found=None, **rule):
        self.machine = Machine(found or workflow(*arguments, **rule), options)
        self.answers, self.committed, self.other, self.log = {}, [], [], []
        self._waiters = iter(range(1, 1_000_000))

    def tell(self, event):
        self.log.append(events.to_record(event))
        for action in self.machine.handle(event):
            if isinstance(action, (actions.Go, actions.Refuse)):
                assert action.waiter not in self.answers, "answered twice"
                self.answers[action.waiter] = action
            elif isinstance(action, actions.Committed):
                self.committed.append(action.path.removeprefix(FOLDER + "/"))
            else:
                self.other.append(action)

    def start(self, *steps, parts=1):
        for step in steps:
            self.tell(events.StepStarted(step, parts))

    def end(self, step, code=0, signal=None):
        self.tell(events.StepEnded(step, code, signal))

    def create(self, name="f", step="w", node=0, is_directory=False):
        self.tell(events.Created(at(name), step, is_directory, node))

    def open(self, description=1, name="f", step="w"):
        self.tell(events.Opened(at(name), step, description))

    def close(self, description=1, is_lost=False):
        self.tell(events.Closed(description, is_lost))

    def write(self, nbytes, name="f"):
        self.tell(events.Grown(at(name), nbytes))

    def make(self, name="f", nbytes=0, step="w", description=1):
        """Create, open, write and close."""
        self.create(name, step)
        self.open(description, name, step)
        self.write(nbytes, name)
        self.close(description)

    def want(self, kind=events.WantOpen, name="f", step="r", **fields):
        """The waiter of a request."""
        waiter = next(self._waiters)
        self.tell(kind(waiter, step, at(name), **fields))
        return waiter

    def answer(self, waiter):
        """"go", "final", an errno, or None while it waits."""
        found = self.answers.get(waiter)
        if found is None:
            return None
        return found.errno if isinstance(found, actions.Refuse) else "final" if found.is_final else "go"
