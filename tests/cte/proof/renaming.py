"""kill -9 at every call that reaches the disk while tags get and lose names: `python tests/cte/proof/renaming.py --minutes 10` for long runs.

A forked writer makes, renames and destroys names and is killed; a forked reader opens the store: it shows the names of before the call or of after it.
"""

import json
import os
import random
import shutil
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from cte.proof import workload
from cte.proof.calls import Calls
from cte.proof.children import Child, succeeded
from cte.proof.script import main, until
from wrp.cte import Store
from wrp.cte.naming import changing
from wrp.errors import Changed, NoSuchTag, UsageError

COUNT = 12
NAMES = ("a", "b", "d/x", "d/y", "d/y/z", "e/x")
FOLDERS = ("d", "e", "d/y", "f")


class Tags:
    """What a store has: {name: bytes of the one blob of its tag}; names of one tag have the same list."""

    def __init__(self):
        self.now = {}

    def do(self, call, first, second, number):
        if call == "put":
            self.now.setdefault(first, [b""])[0] = b"%d" % number
        elif call == "alias" and first in self.now and second not in self.now:
            self.now[second] = self.now[first]
        elif call == "rename_tag" and first in self.now and second not in self.now:
            self.now[second] = self.now.pop(first)
        elif call == "destroy":
            self.now.pop(first, None)
        elif call in ("rename_folder", "destroy_folder"):
            inside = [name for name in self.now if name == first or name.startswith(first + "/")]
            moved = {name: second + name[len(first):] for name in inside}
            if call == "destroy_folder" or not (second + "/").startswith(first + "/") and not set(moved.values()) & set(self.now):
                blobs = {name: self.now.pop(name) for name in inside}
                if call == "rename_folder":
                    self.now.update((moved[name], blobs[name]) for name in inside)

    @property
    def content(self):
        """What `content_of` gives."""
        return sorted([name, blob[0].decode(), sorted(other for other in self.now if self.now[other] is blob)] for name, blob in self.now.items())


def calls_of(seed):
    """[(call, name, name)] of a seed."""
    made, found = random.Random(seed), [("put", name, "") for name in NAMES[:4]]
    for _ in range(COUNT):
        call = made.choice(("put", "alias", "alias", "rename_tag", "destroy", "rename_folder", "rename_folder", "destroy_folder"))
        found.append((call, *(made.choice(FOLDERS if call.endswith("folder") else NAMES) for _ in range(2))))
    return found


def run(store, call, first, second, number):
    """Do it; it is durable when it returns."""
    try:
        if call == "put":
            store.put(first, "b", b"%d" % number)
        elif call.startswith("destroy"):
            store.destroy(first, recursive=call == "destroy_folder")
        else:
            getattr(store, call)(first, second)
    except (Changed, NoSuchTag, UsageError):
        pass
    if call in ("put", "destroy", "destroy_folder"):
        store.flush()


def content_of(store):
    return sorted([name, b"".join(store.get_many(name, store.list(name))).decode(), sorted(store.aliases(name))] for name in store.tags())


class Renamings:
    """A folder with a store, one workload after the other. Makes forks: its process runs no thread."""

    def __init__(self, root):
        self._store, self._config = os.path.join(root, "store"), workload.Configured(root).of(0)     # with journals that are written anew often
        self.kills, changing._UNUSED = 0, 1         # names of destroyed tags are used again soon

    def calls(self, seed):
        """How many calls that reach the disk the workload of a seed makes."""
        told = succeeded(lambda tell: self._work(seed, Calls(), tell))
        shutil.rmtree(self._store)
        return int(told[-1].split()[1])

    def at_call(self, number, how, seed):
        code, told = Child(lambda tell: self._work(seed, Calls(number, how), tell)).ended()
        assert code in (0, -9), told[-1].replace("\r", "\n")
        self.kills += code == -9
        last, calls = sum(line.startswith("end") for line in told), calls_of(seed)
        tags = Tags()
        for at, call in enumerate(calls[:last]):
            tags.do(*call, at)
        states = [tags.content]
        if calls[last:] and calls[last][0] == "put" and calls[last][1] not in tags.now:
            tags.now[calls[last][1]] = [b""]
            states.append(tags.content)         # a tag is flushed before its blobs
        for call in calls[last:last + 1]:
            tags.do(*call, last)
        states.append(tags.content)
        succeeded(lambda tell: self._check(states, f"seed {seed}, call {number} {how}, after {calls[:last + 1]}"))
        shutil.rmtree(self._store, ignore_errors=True)

    def _work(self, seed, calls, tell):
        with calls:
            store = Store.open(self._store, config=self._config)
            for number, call in enumerate(calls_of(seed)):
                run(store, *call, number)
                tell(f"end {number}")
                if number == len(NAMES) + 3:
                    store.close()
                    store = Store.open(self._store, config=self._config)
            store.close()
        tell(f"calls {calls.count}")

    def _check(self, states, what):
        if not os.path.isdir(self._store):
            return
        for _ in range(2):                      # the opening itself tidies up: the next one sees the same
            with Store.open(self._store, config=self._config) as store:
                found = content_of(store)
                assert found in states, f"{what}: {json.dumps(found)} is none of {json.dumps(states)}"


def prove(root, made, minutes):
    renamings, seeds = Renamings(root), 0
    for _ in until(minutes):
        seed = made.randrange(1 << 30)
        seeds += 1
        count, ways = renamings.calls(seed), ("killed", "torn", "killed behind it")
        for number in sorted(made.sample(range(1, count + 1), min(count, 25))):
            renamings.at_call(number, made.choice(ways), seed)
    return f"{renamings.kills} kills in {seeds} workloads, every name where it was or where it was to be"


if __name__ == "__main__":
    main(__doc__, prove)
