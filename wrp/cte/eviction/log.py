"""Logs of what an eviction policy was asked and said, a JSON line each, so that it can be replayed. No store.

The first line names the policy; every other is {"blobs": [[name, size, stamp, read, reads, score], …], "order": [number in that list, …]}.
"""

from wrp.cte import policylog
from wrp.cte.eviction.contract import Blob
from wrp.cte.eviction.policies import make


class Recorder:
    """A policy that writes down what it is asked and says. `file`: a text file, open for writing."""

    def __init__(self, file, name):
        self._file, self._policy = file, make(name)
        self.name = self._policy.name
        policylog.write(self._file, {"policy": self.name})

    def order(self, blobs):
        """See `contract`."""
        blobs = list(blobs)
        places = {blob.name: number for number, blob in enumerate(blobs)}
        order = self._policy.order(blobs)
        policylog.write(self._file, {"blobs": [[getattr(blob, field) for field in Blob._fields] for blob in blobs], "order": [places[blob.name] for blob in order]})
        return order


def replay(lines, name=None):
    """[(order in the log, order now)], Blobs, of a log, by a policy of the same name or of this one. UsageError naming a damaged line."""
    def again(policy, value):
        blobs = [Blob(*fields) for fields in value["blobs"]]
        return [blobs[place] for place in value["order"]], policy.order(blobs)
    return policylog.replayed(lines, "an eviction", lambda value: make(name or value["policy"]), again)
