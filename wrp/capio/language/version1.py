"""The language 1.0 and 1.1, and the dialects before them: `IO_Graph` and the lists beside it, made into steps and rules."""

from wrp.capio.language import streaming
from wrp.capio.language.patterns import Pattern
from wrp.capio.language.plan import FILE_SYSTEM, MEMORY, Home
from wrp.capio.language.values import nearest
from wrp.capio.language.workflow import Rule, Step

KEYS = ("name", "version", "configuration", "aliases", "IO_Graph", "permanent", "exclude", "storage", "home_node_policies")
OLD_KEYS = ("home_node_policy",)


def aliases(members):
    """{group: [Value]} of `aliases`."""
    found = {}
    for item in members["aliases"].items() if "aliases" in members else ():
        keys = item.members(("group_name", "files"), ("group_name", "files"))
        group = keys["group_name"].text()
        if group in found:
            raise keys["group_name"].wrong(f"is {group!r} a second time")
        found[group] = keys["files"].items()
    return found


class Reader:
    """Reads the members of one document. `rules`, `steps` and `notes` fill up in the order of the file."""

    def __init__(self, names, notes):
        self.names, self.notes = names, notes
        self.rules, self.parts = [], {}

    def read(self, members):
        """(steps, rules) of the document."""
        for item in members["IO_Graph"].items():
            self._application(item)
        for key, name in (("permanent", "permanent"), ("exclude", "excluded")):
            if key in members:
                self._add(self.names.patterns(members[key]), name, True)
        if "storage" in members:
            self._storage(members["storage"])
        for key in ("home_node_policies", *OLD_KEYS):
            if key in members:
                self._homes(members[key])
        steps = [Step(name, *map(tuple, lists)) for name, lists in self.parts.items()]
        return steps, self.rules

    def _application(self, item):
        members = item.members(("name", "input_stream", "output_stream", "streaming"), ("name",))
        step = members["name"].text()
        if step in self.parts:
            self.notes.append(f"{item.where} goes on with the step {step!r}")
        inputs, outputs, streams = self.parts.setdefault(step, ([], [], []))
        for key, name, patterns in (("input_stream", "consumer", inputs), ("output_stream", "producer", outputs)):
            if key in members:
                patterns += self._add(self.names.patterns(members[key], is_one_allowed=True), name, step, step)
        for rule in members["streaming"].items() if "streaming" in members else ():
            found, properties, is_directory = streaming.read(rule, self.names, self.notes)
            streams += self._add(found, "ruled", step, step)
            self._add(found, "kind", "directory" if is_directory else "file", step, folders=False)
            for name, value in properties.items():
                self._add(found, name, value, step)
            self._add_deps(properties.get("commit"), step, rule.where)

    def _add(self, patterns, name, value, step="", folders=True):
        """Append a rule for each pattern; a name with a slash at its end says, too, that it is a directory. Returns the patterns."""
        for pattern, where in patterns:
            self.rules.append(Rule(pattern, name, value, step, where))
            if folders and pattern.is_folder:
                self.rules.append(Rule(pattern, "kind", "directory", step, where))
        return [pattern for pattern, _ in patterns]

    def _add_deps(self, commit, step, where):
        """What a rule waits for is made by its step, unless somebody has it in an output_stream."""
        self._add([(Pattern(path, path, path), where) for path in (commit.deps if commit else ())], "ruled", step, step)

    def _storage(self, value):
        members = value.members(("memory", "fs"))
        self._disjoint([(key, self.names.patterns(item)) for key, item in members.items()], "storage", {"memory": MEMORY, "fs": FILE_SYSTEM}, value)

    def _homes(self, value):
        members = value.members(("create", "hashing", "manual"))
        groups, homes = [], {}
        for key in ("create", "hashing"):
            if key in members:
                groups.append((key, self.names.patterns(members[key])))
                homes[key] = Home(key)
        for item in members["manual"].items() if "manual" in members else ():
            keys = item.members(("name", "app_node"), ("name", "app_node"))
            app = keys["app_node"].text()
            if app not in self.parts:
                raise keys["app_node"].wrong(f"is {app!r}, which is no step of IO_Graph{nearest(app, self.parts)}")
            groups.append((item.where, self.names.patterns(keys["name"], is_one_allowed=True)))
            homes[item.where] = Home("manual", app)
        self._disjoint(groups, "home", homes, value)

    def _disjoint(self, groups, name, values, whole):
        """Rules of lists that exclude each other: a name may stand in one only."""
        first = {}
        for key, patterns in groups:
            for pattern, where in patterns:
                if first.setdefault(pattern.text, key) != key:
                    raise whole.wrong(f"names {pattern.given!r} twice, in {first[pattern.text]} and at {where}; a file can be in one of them only")
            self._add(patterns, name, values[key])

