"""kill -9 at random moments and at every call that reaches the disk: `python tests/cte/proof/crash.py --minutes 10` for long runs.

A forked writer runs a workload and is killed; a forked reader opens the store and checks it against the model of what was promised.
"""

import os
import shutil
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from cte.proof import workload
from cte.proof.calls import Calls
from cte.proof.children import Child, succeeded
from cte.proof.script import main, until
from wrp.cte import Store

COUNT = 60


class Crashes:
    """A folder with a store, one workload after the other. Makes forks: its process runs no thread."""

    def __init__(self, root, made):
        self._store, self._made = os.path.join(root, "store"), made
        self._config = workload.Configured(root)
        self.kills = self.whole = 0

    def warm(self):
        """Load the kernels here, so that no fork has to; counts the calls of one workload."""
        told = succeeded(lambda tell: self._work(0, Calls(), tell))
        shutil.rmtree(self._store)
        return int(told[-1].split()[1])

    def at_random(self):
        """Kill a workload a random time after it opened its store."""
        seed = self._made.randrange(1 << 30)
        child = Child(lambda tell: self._work(seed, Calls(), tell))
        child.spoken()
        time.sleep(self._made.uniform(0, 0.3))
        child.kill()
        self._look(seed, *child.ended())

    def at_call(self, number, how, seed=0):
        """Kill a workload at its Nth call."""
        self._look(seed, *Child(lambda tell: self._work(seed, Calls(number, how), tell)).ended())

    def _work(self, seed, calls, tell):
        config = self._config.of(seed)
        with calls:
            store = Store.open(self._store, config=config)
            tell("open")
            for operation in workload.operations(seed, COUNT):
                tell(f"begin {operation.number}")
                if operation.kind == "reopen":
                    store.close()
                    store = Store.open(self._store, config=config)
                else:
                    workload.run(store, operation)
                tell(f"end {operation.number}")
            store.close()
        tell(f"calls {calls.count}")

    def _look(self, seed, code, told):
        """Check the store that a workload of `seed` has left, and begin with an empty one."""
        assert code in (0, -9), told[-1].replace("\r", "\n")
        self.kills += code == -9
        self.whole += code == 0
        model, operations = workload.Model(), workload.operations(seed, COUNT)
        for line in told:
            what, _, number = line.partition(" ")
            if what in ("begin", "end"):
                getattr(model, {"begin": "begun", "end": "ended"}[what])(operations[int(number)])
        if code == 0:
            model.ended(workload.Operation(COUNT, "flush", "", "", 0))
        succeeded(lambda tell: self._check(seed, model))
        shutil.rmtree(self._store, ignore_errors=True)

    def _check(self, seed, model):
        if not os.path.isdir(self._store):
            return
        with Store.open(self._store, config=self._config.of(seed)) as store:
            model.check(workload.content(store))
            store.put("after", "it", b"works")
            store.flush()


def prove(root, made, minutes):
    """Kill workloads for so many minutes."""
    crashes = Crashes(root, made)
    calls = crashes.warm()
    for _ in until(minutes):
        crashes.at_random()
        crashes.at_call(made.randrange(1, calls), made.choice(("killed", "torn", "killed behind it")), made.randrange(1 << 30))
    return f"{crashes.kills} kills, {crashes.whole} workloads that ended before; every promise kept"


if __name__ == "__main__":
    main(__doc__, prove)
