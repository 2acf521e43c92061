"""A workflow as its file says: `Workflow`, `Step`, `Rule`; and how all rules together decide about one path. Reads no file."""

from dataclasses import dataclass, field, replace

from wrp.capio.language.patterns import Pattern
from wrp.capio.language.plan import FILE_SYSTEM, ON_CLOSE, ON_FILE, ON_N_FILES, UPDATE, FilePlan, Home

MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit rule with what it needs."""

    rule: str
    closes: int = 1
    deps: tuple = ()
    n_files: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """One property of the paths that a pattern matches. `property`: kind ("file", "directory"), commit (a `Commit`), mode, storage, home,
    permanent, excluded, producer, consumer, or ruled (value: the step whose `streaming` it is). `where`: its JSON path."""

    pattern: Pattern
    property: str
    value: object
    step: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step and the patterns that it names: what it reads, what it writes, what its streaming rules are about."""

    name: str
    inputs: tuple = ()
    outputs: tuple = ()
    streams: tuple = ()


@dataclass(frozen=True)
class Workflow:
    """All that a CAPIO-CL file says. `rules` stand in the order of the file; `configuration`: {dotted key: value} of the TOML file of 1.1;
    `notes`: sentences about what was read leniently or has no effect. Never changed."""

    name: str
    capio_dir: str
    version: str = "1.0"
    source: str = ""
    steps: tuple = ()
    rules: tuple = ()
    configuration: dict = field(default_factory=dict)
    notes: tuple = ()
    _named: dict = field(default_factory=dict, init=False, repr=False, compare=False)
    _globs: dict = field(default_factory=dict, init=False, repr=False, compare=False)
    _tests: list = field(default_factory=list, init=False, repr=False, compare=False)          # (pattern, its test of a path), of each in _globs
    _alike: dict = field(default_factory=dict, init=False, repr=False, compare=False)
    _plans: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self):
        for order, rule in enumerate(self.rules):
            entry = ((*rule.pattern.rank, order), rule)
            if rule.pattern.is_glob:
                self._globs.setdefault(rule.pattern, []).append(entry)
            else:
                self._named.setdefault(rule.pattern.text, []).append(entry)
        self._tests.extend((pattern, pattern.test) for pattern in self._globs)

    def step(self, name):
        """The Step of this name, or None."""
        return next((step for step in self.steps if step.name == name), None)

    def look(self, path, is_directory=None):
        """FilePlan of a path, absolute or relative to CAPIO_DIR. `is_directory`: what it is, where that is known."""
        found = self._plans.get((path, is_directory))
        if found is None:
            if len(self._plans) >= MOST_REMEMBERED:
                self._plans.clear()
                self._alike.clear()
            found = self._plans[path, is_directory] = self._resolve(self._absolute(path), is_directory)
        return found

    def rules_of(self, path):
        """The rules whose pattern matches this path, or is it, the least specific first; of equals, the later in the file comes later."""
        found = [entry for pattern in self._matching(path) for entry in self._globs[pattern]] + self._named.get(path, [])
        return [rule for _, rule in sorted(found, key=lambda entry: entry[0])]

    def _matching(self, path):
        return [pattern for pattern, test in self._tests if pattern.text == path or test(path)]

    def _absolute(self, path):
        path = path if path.startswith("/") else f"{self.capio_dir}/{path}"
        return path.rstrip("/") or "/"

    def _resolve(self, path, is_directory):
        """The plan of a path. Those that the same patterns match, in the same folder, differ in their path alone, so that of
        thousands of files only the first is worked out. Files that others wait for always have a rule that names them."""
        if path in self._named:
            return self._worked_out(path, is_directory)
        key = tuple(map(id, self._matching(path))), _folder(path), is_directory         # to hash a pattern takes longer than to match it
        alike = self._alike.get(key)
        if alike is None:
            plan = self._worked_out(path, is_directory)
            self._alike[key] = tuple(getattr(plan, name) for name in FilePlan.__slots__[1:])
            return plan
        return FilePlan(path, *alike)

    def _worked_out(self, path, is_directory):
        rules = self.rules_of(path)
        plan = _Plan(path, rules, is_directory).plan() if rules else FilePlan(path, bool(is_directory))
        if not path.startswith(self.capio_dir.rstrip("/") + "/"):
            return plan
        above = self.look(_folder(path), True)
        return _inherited(plan, rules, above, self._ruler(path) if "commit" in above.origins else above)

    def _ruler(self, path):
        """The plan of the nearest folder above that a commit rule names."""
        path = _folder(path)
        while not any(rule.property == "commit" for rule in self.rules_of(path)):
            path = _folder(path)
        return self.look(path, True)


class _Plan:
    """Puts the rules of one path together, property by property."""

    def __init__(self, path, rules, is_directory):
        self.path, self.rules, self.is_directory = path, rules, is_directory
        self.origins = {}

    def plan(self):
        kind = self._last("kind", "file")
        is_directory = kind == "directory" if self.is_directory is None else self.is_directory
        commit = self._last("commit", None)
        producers = self._steps("producer") or self._steps("ruled", without=self._steps("consumer"))
        plan = FilePlan(self.path, is_directory, mode=self._last("mode", UPDATE),
                        permanent=self._last("permanent", False), excluded=self._last("excluded", False),
                        storage=self._last("storage", FILE_SYSTEM), home=self._last("home", Home()),
                        producers=producers, consumers=self._steps("consumer"), origins=self.origins)
        return plan if commit is None else _committed(plan, commit)

    def _last(self, name, default):
        rule = next((rule for rule in reversed(self.rules) if rule.property == name), None)
        if rule is None:
            return default
        self.origins[name] = rule.pattern.text, rule.where
        return rule.value

    def _steps(self, name, without=()):
        return tuple(sorted({rule.value for rule in self.rules if rule.property == name} - set(without)))


def _committed(plan, commit):
    """The plan with this commit rule. A plain file that a directory's rule meets can't count entries: it commits when it is closed."""
    rule, closes = commit.rule, commit.closes
    if rule == ON_N_FILES and not plan.is_directory:
        rule, closes = ON_CLOSE, 1
    return replace(plan, commit=rule, closes=closes, deps=commit.deps, n_files=commit.n_files if rule == ON_N_FILES else 0)


def _folder(path):
    return path.rpartition("/")[0] or "/"


def _inherited(plan, rules, above, ruler):
    """The plan, with what no rule says of the path itself taken from the folder it lies in, its commit from that which has a rule for it."""
    said = {rule.property for rule in rules}
    taken = {name: getattr(above, name) for name in ("mode", "storage", "home") if name not in said and name in above.origins}
    if "commit" not in said and "commit" in above.origins:
        taken |= _inherited_commit(plan, ruler)
    taken |= dict(producers=plan.producers or above.producers, consumers=plan.consumers or above.consumers)
    taken |= dict(permanent=plan.permanent or above.permanent, excluded=plan.excluded or above.excluded)
    origins = {name: origin for name, origin in above.origins.items() if name not in said and name != "kind"}
    if not origins and all(getattr(plan, name) == value for name, value in taken.items()):
        return plan
    return replace(plan, **taken, origins={**origins, **plan.origins})


def _inherited_commit(plan, above):
    """A folder's count of entries or closes is its own: below it a file commits when it is closed, as does one that the folder waits for."""
    if above.commit in (ON_N_FILES, ON_CLOSE) or above.commit == ON_FILE and plan.path in above.deps:
        return {} if plan.is_directory else dict(commit=ON_CLOSE, closes=1)
    return dict(commit=above.commit, deps=above.deps)
