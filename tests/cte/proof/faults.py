"""The Nth call that reaches the disk fails, for every N: `python tests/cte/proof/faults.py --minutes 5` walks through all of them.

Those of Python and of kernels, in every other workload also those that read. Whatever fails, the store's call raises an error of wrp or succeeds, the store goes on
with the next call or says why not, and a store opened afterwards shows nothing that was not promised.
"""

import os
import shutil
import sys

if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", ".."))

from cte.proof import workload
from cte.proof.calls import Calls
from cte.proof.children import succeeded
from cte.proof.script import main, until
from wrp.cte import Store
from wrp.errors import WrpError

COUNT = 40
WAYS = ("ENOSPC", "EIO", "short")


class Faults:
    """Workloads on a store in `root`, each in a fork of its own."""

    def __init__(self, root):
        self._root, self._store = root, os.path.join(root, "store")
        self._config = workload.Configured(root)
        self.done = self.refused = 0

    def calls(self, seed):
        """How many calls the workload of a seed makes."""
        return int(self._succeeded(seed, 0, "EIO", False)[-1].split()[1])

    def once(self, seed, number, how, lasting):
        """Let the Nth call of a workload fare ill; `lasting`: and all of its kind after it."""
        told = self._succeeded(seed, number, how, lasting)
        self.done += 1
        self.refused += sum(line.startswith("refused") for line in told)

    def _succeeded(self, seed, number, how, lasting):
        shutil.rmtree(self._store, ignore_errors=True)
        try:
            return succeeded(lambda tell: self._work(seed, Calls(number, how, lasting, seed % 2 == 1), tell))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, call {number} {how}{', lasting' if lasting else ''}: {error}") from error

    def _work(self, seed, calls, tell):
        model, operations = workload.Model(), workload.operations(seed, COUNT)
        config, store = self._config.of(seed), None
        with calls:
            for operation in operations:
                try:
                    if store is None:
                        store = Store.open(self._store, config=config)
                        self._see(store, model, calls)
                    model.begun(operation)
                    if operation.kind == "reopen":
                        closing, store = store, None
                        closing.close()
                    else:
                        workload.run(store, operation)
                    model.ended(operation)
                except WrpError as error:
                    tell(f"refused {operation.number} {operation.kind}: {error}".replace("\n", " "))
                    if store is not None:
                        self._see(store, model, calls)
            tell(f"calls {calls.count}")
        self._end(store, model, config)

    @staticmethod
    def _see(store, model, calls):
        with calls.resting():
            model.seen(workload.content(store))

    def _end(self, store, model, config):
        """The disk is well again: what is there is what the model allows, now and in a store opened afterwards."""
        if store is not None:
            try:
                store.close()
                model.ended(workload.Operation(COUNT, "flush", "", "", 0))
            except WrpError:
                pass                    # its journal was torn: only what was promised before is there
        with Store.open(self._store, config=config) as store:
            model.check(workload.content(store))
            store.put("after", "it", b"works")
            store.flush()


def prove(root, made, minutes):
    """Workloads of random seeds, each with a fault at every call in turn, for so many minutes."""
    faults, numbers = Faults(root), iter(())
    for _ in until(minutes):
        number = next(numbers, None)
        if number is None:
            seed = made.randrange(1 << 30)
            numbers = iter(range(1, faults.calls(seed) + 1))
        else:
            faults.once(seed, number, made.choice(WAYS), made.random() < 0.3)
    return f"{faults.done} workloads with one fault each, {faults.refused} calls refused; nothing lost, nothing half done"


if __name__ == "__main__":
    main(__doc__, prove)
