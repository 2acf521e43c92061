"""Logs of a policy's requests and orders, a JSON line each, so that what it decided can be replayed. No devices.

The first line names the policy and its seed; every other is {"request": [nbytes, score, …], "targets": [[number, name, …], …], "order": [number, …]}.
"""

from wrp.cte import policylog
from wrp.cte.placement.contract import Request, Target
from wrp.cte.placement.registry import make


class Recorder:
    """A policy that writes down what it is asked and says. `file`: a text file, open for writing."""

    def __init__(self, file, name, seed=0):
        self._file, self._policy = file, make(name, seed)
        self.name = self._policy.name
        policylog.write(self._file, {"policy": self.name, "seed": seed})

    def order(self, request, targets):
        """See `contract`."""
        order = self._policy.order(request, targets)
        policylog.write(self._file, {"request": list(request), "targets": [list(target) for target in targets], "order": list(order)})
        return order


def replay(lines, name=None):
    """[(Request, order in the log, order now)] of a log, by a new policy of the same name and seed, or by another one of this name. UsageError naming a damaged line."""
    def again(policy, value):
        request = Request(*value["request"])
        return request, value["order"], policy.order(request, [Target(*target) for target in value["targets"]])
    return policylog.replayed(lines, "a placement", lambda value: make(name or value["policy"], value["seed"]), again)
