"""Logs of a policy's requests and orders, a JSON line each, so that what it decided can be replayed. No devices.

The first line names the policy and its seed; every other is {"request": [nbytes, score, …], "targets": [[number, name, …], …], "order": [number, …]}.
"""

import json

from wrp.cte.placement.contract import Request, Target
from wrp.cte.placement.registry import make
from wrp.errors import UsageError


class Recorder:
    """A policy that writes down what it is asked and says. `file`: a text file, open for writing."""

    def __init__(self, file, name, seed=0):
        self._file, self._policy = file, make(name, seed)
        self.name = self._policy.name
        self._write({"policy": self.name, "seed": seed})

    def order(self, request, targets):
        """See `contract`."""
        order = self._policy.order(request, targets)
        self._write({"request": list(request), "targets": [list(target) for target in targets], "order": list(order)})
        return order

    def _write(self, value):
        self._file.write(json.dumps(value) + "\n")


def replay(lines, name=None):
    """[(Request, order in the log, order now)] of a log, by a new policy of the same name and seed, or by another one of this name. UsageError naming a damaged line."""
    policy, found = None, []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if policy is None:
                policy = make(name or value["policy"], value["seed"])
                continue
            request = Request(*value["request"])
            found.append((request, value["order"], policy.order(request, [Target(*target) for target in value["targets"]])))
        except UsageError:
            raise                   # a name that no policy has
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"line {number} of the log of a placement policy can't be read: {line.strip():.80}") from error
    if policy is None:
        raise UsageError("the log of a placement policy is empty")
    return found
