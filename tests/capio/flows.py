"""Random small workflows, the same for a seed: a CAPIO-CL document, and for each process of each step a script of plain file calls.

Used by the model test of the rules, and fit for real processes: `flow_program.py` runs a script. `specs` says of each path what the document
means, so that a test needn't ask the reader of the language. Paths are relative to the watched folder.
"""

import random
from dataclasses import dataclass, field


@dataclass
class Spec:
    """What the document says of one path (of all files of a folder where it ends with /*)."""

    commit: str = "on_termination"
    closes: int = 1
    deps: tuple = ()
    n_files: int = 0
    mode: str = "update"
    is_directory: bool = False
    producers: tuple = ()
    consumers: tuple = ()


@dataclass
class Flow:
    """`scripts`: {step: [script of each process]}; a script is a list of calls:
    ["open", path, d] ["write", d, nbytes] ["close", d] ["rename", path, path] ["mkdir", path] ["read", path] ["stat", path] ["list", path]
    and at its end ["exit", code] or ["die"] (SIGKILL to itself). `stale`: files of an earlier run."""

    seed: int
    document: dict
    specs: dict
    scripts: dict
    stale: tuple = ()
    launched: frozenset = field(default_factory=frozenset)

    def spec(self, path):
        """The Spec of a path, or None where nothing is declared."""
        return self.specs.get(path) or self.specs.get(f"{path.rpartition('/')[0]}/*")


def flow(seed, can_fail=True):
    """The Flow of a seed. Without `can_fail` every process does its part and ends with 0, though steps may still wait for each other."""
    dice = random.Random(seed)
    steps = [f"s{number}" for number in range(dice.randint(2, 4))]
    specs = _specs(dice, steps)
    scripts = {step: [[] for _ in range(dice.choice((1, 1, 2)))] for step in steps}
    _fill(dice, specs, scripts, can_fail)
    for script in (script for found in scripts.values() for script in found):
        _finish(dice, script, can_fail)
    stale = tuple(path for path in specs if dice.random() < 0.1 and not specs[path].is_directory and "*" not in path)
    return Flow(seed, _document(dice, steps, specs), specs, scripts, stale, frozenset(step for step in steps if dice.random() < 0.5))


def _specs(dice, steps):
    specs = {}
    for number in range(dice.randint(1, 5)):
        producers = tuple(sorted(dice.sample(steps, dice.choice((1, 1, 1, 2)))))
        others = [step for step in steps if step not in producers or dice.random() < 0.1]
        people = dict(producers=producers, consumers=tuple(sorted(dice.sample(others, min(len(others), dice.randint(1, 2))))))
        mode = dice.choice(("update", "no_update"))
        rules = ["on_close", "on_close", "on_termination"] + (["on_file"] if specs else []) + ["folder"]
        rule = dice.choice(rules)
        if rule == "folder":
            specs[f"d{number}"] = Spec(dice.choice(("on_n_files", "on_n_files", "on_termination")), n_files=dice.randint(1, 3), mode=mode, is_directory=True, **people)
            specs[f"d{number}/*"] = Spec("on_close", mode=dice.choice(("update", "no_update")), **people)
        elif rule == "on_file":
            plain = [path for path in specs if "*" not in path]
            specs[f"f{number}"] = Spec(rule, deps=tuple(dice.sample(plain, min(len(plain), dice.randint(1, 2)))), mode=mode, **people)
        else:
            specs[f"f{number}"] = Spec(rule, closes=dice.choice((1, 1, 2, 3)) if rule == "on_close" else 1, mode=mode, **people)
    return specs


def _document(dice, steps, specs):
    """The rules in any order, each below one of the producers."""
    apps = [{"name": step, "input_stream": [path for path, spec in specs.items() if step in spec.consumers],
             "output_stream": [path for path, spec in specs.items() if step in spec.producers], "streaming": []} for step in steps]
    for path, spec in specs.items():
        rule = {"dirname" if spec.is_directory else "name": [path], "committed": spec.commit + (f":{spec.closes}" if spec.closes > 1 else ""), "mode": spec.mode}
        if spec.deps:
            rule["file_deps"] = list(spec.deps)
        if spec.commit == "on_n_files":
            rule["n_files"] = spec.n_files
        dice.choice([app for app in apps if app["name"] in spec.producers])["streaming"].append(rule)
    dice.shuffle(apps)
    return {"name": "flow", "IO_Graph": apps}


def _fill(dice, specs, scripts, can_fail):
    """Give each path's making to its producers, its reading to its consumers, in any order."""
    jobs = []
    for path, spec in specs.items():
        if "*" in path:
            continue
        for step in spec.producers:
            if not (can_fail and dice.random() < 0.08):
                jobs.append((step, _making(dice, path, spec)))
        for step in spec.consumers:
            kinds = ["list", "stat"] if spec.is_directory else ["read", "read", "stat"]
            jobs.append((step, [[dice.choice(kinds), path]]))
    if dice.random() < 0.6:             # mostly what is made is made before its reading, else steps stop each other nearly always
        jobs.sort(key=lambda job: job[1][-1][0] in ("read", "stat", "list"))
    else:
        dice.shuffle(jobs)
    for step, calls in jobs:
        dice.choice(scripts[step]).extend(calls)


def _making(dice, path, spec):
    if spec.is_directory:
        calls = [["mkdir", path]]
        for number in range(spec.n_files + dice.randint(0, 1)):
            calls += _written(dice, f"{path}/e{number}")
        return calls
    if dice.random() < 0.15:
        name = f"tmp_{dice.randrange(10**6)}"       # two steps with one name would be another story
        return [*_written(dice, name), ["rename", name, path]]
    calls = []
    for _ in range(spec.closes):
        calls += _written(dice, path)
    return calls


def _written(dice, path):
    name = dice.randrange(10**6)
    return [["open", path, name], *(["write", name, dice.choice((1, 3, 100))] for _ in range(dice.randint(0, 3))), ["close", name]]


def _finish(dice, script, can_fail):
    chance = dice.random() if can_fail else 1
    if chance < 0.05:
        script[dice.randint(0, len(script)):] = [["die"]]
    elif chance < 0.12:
        script[dice.randint(0, len(script)):] = [["exit", dice.randint(1, 3)]]
    else:
        script.append(["exit", 0])
