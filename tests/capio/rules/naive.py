"""What readers may see, defined the slow way, from the facts of a run alone: the yardstick of the model test. Shares nothing with wrp.capio.

A *world* is what is on disk and who has ended. A request may go if the world says so now. It must fail if it wouldn't go in the best of all
futures: every step that hasn't ended makes all that it may make, as often as it is asked for, and ends well.
"""

import copy
import itertools


class World:
    """The facts so far, of a Flow."""

    def __init__(self, flow):
        self.flow = flow
        self.files = {}                 # path -> {"size", "closes": [step], "wrote": {step}, "open": {description}}
        self.entries = {}               # folder -> {name}
        self.descriptions = {}          # description -> (file, step)
        self.ended = {}                 # step -> did it end well
        self.committed = set()

    def future(self, able):
        """The best that the steps in `able` can do."""
        world = copy.copy(self)
        world.files = {path: {"size": file["size"], "closes": list(file["closes"]), "wrote": set(file["wrote"])} for path, file in self.files.items()}
        world.entries = {path: set(names) for path, names in self.entries.items()}
        world.ended, world.committed = dict(self.ended), set(self.committed)
        for path, spec in self.flow.specs.items():
            for step in set(spec.producers) & able:
                if "*" in path:
                    continue
                world.made(path, step, spec.is_directory)
                world.files[path]["closes"] += [step] * spec.closes
                world.files[path]["size"] = 10**9
                if spec.is_directory:
                    world.entries[path] |= {f"future{number}" for number in range(10**3)}
        for path in self.files:         # files of folders have no names of their own in the document
            spec = self.flow.spec(path)
            for step in set(spec.producers) & able if spec else ():
                world.files[path]["closes"].append(step)
                world.files[path]["size"] = 10**9
        world.ended |= dict.fromkeys(able, True)
        world.settle()
        return world

    # facts

    def made(self, path, step, is_directory=False):
        self.files.setdefault(path, {"size": 0, "closes": [], "wrote": set()})["wrote"].add(step)
        if is_directory:
            self.entries.setdefault(path, set())
        if "/" in path:
            folder, name = path.split("/")
            self.entries[folder].add(name)

    def opened(self, path, step, description):
        self.made(path, step)
        self.descriptions[description] = self.files[path], step

    def closed(self, description, is_lost=False):
        file, step = self.descriptions.pop(description)
        file["closes"] += [] if is_lost else [step]

    def renamed(self, source, path, step):
        file, old = self.files.pop(source), self.files.get(path)
        file["closes"] = (file["closes"] or [step]) + (old["closes"] if old else [])
        self.files[path] = file
        file["wrote"].add(step)

    def settle(self):
        """Commit all that the rules commit now. A commit stays."""
        for _ in self.flow.specs:
            self.committed |= {path for path in self.files if self.is_due(path)}

    def is_due(self, path):
        spec, file = self.flow.spec(path), self.files[path]
        if spec is None:
            return False
        if spec.commit == "on_close":
            return len([step for step in file["closes"] if step in spec.producers]) >= spec.closes
        if spec.commit == "on_n_files":
            return len(self.entries[path]) >= spec.n_files
        if spec.commit == "on_file":
            return set(spec.deps) <= self.committed
        touching = spec.producers if spec.is_directory else [step for step in spec.producers if step in file["wrote"]]
        return set(spec.producers) <= set(self.ended) and all(self.ended[step] for step in touching)

    # questions

    def may_go(self, request):
        """True if the request, a (step, kind, path, upto), needn't wait, or needn't wait any longer."""
        step, kind, path, upto = request
        spec = self.flow.spec(path)
        if spec is None or step in spec.producers or step not in spec.consumers or path in self.committed:
            return True
        if path not in self.files or spec.mode == "update":
            return False
        there = len(self.entries[path]) if spec.is_directory else self.files[path]["size"]
        return kind in ("open", "stat") or there >= upto

    def must_fail(self, request, without=frozenset()):
        """True if even the best future without these steps doesn't let the request go."""
        return not self.may_go(request) and not self.future({step for step in self.flow.scripts if step not in self.ended} - without).may_go(request)

    def is_as_before(self, request):
        """True if a file of an earlier run may stand for one that steps, all ended well, haven't made."""
        spec = self.flow.spec(request[2])
        return request[1] in ("open", "stat") and request[2] in self.flow.stale and request[2] not in self.files and spec.commit == "on_termination" \
            and all(self.ended.get(step) for step in spec.producers)

    def circle(self, waiting):
        """The largest set of steps that only wait for each other. `waiting`: {step: requests} of steps in which everything waits."""
        for size in range(len(waiting), 0, -1):
            for names in itertools.combinations(sorted(waiting), size):
                if all(self.must_fail(request, frozenset(names)) for name in names for request in waiting[name]):
                    return names
        return ()
