"""Logs of what an eviction policy was asked and said, a JSON line each, so that it can be replayed. No store.

The first line names the policy; every other is {"blobs": [[name, size, stamp, read, reads, score], …], "order": [number in that list, …]}.
"""

import json

from wrp.cte.eviction.contract import Blob
from wrp.cte.eviction.policies import make
from wrp.errors import UsageError


class Recorder:
    """A policy that writes down what it is asked and says. `file`: a text file, open for writing."""

    def __init__(self, file, name):
        self._file, self._policy = file, make(name)
        self.name = self._policy.name
        self._write({"policy": self.name})

    def order(self, blobs):
        """See `contract`."""
        blobs = list(blobs)
        places = {blob.name: number for number, blob in enumerate(blobs)}
        order = self._policy.order(blobs)
        self._write({"blobs": [[getattr(blob, field) for field in Blob._fields] for blob in blobs], "order": [places[blob.name] for blob in order]})
        return order

    def _write(self, value):
        self._file.write(json.dumps(value) + "\n")


def replay(lines, name=None):
    """[(order in the log, order now)], Blobs, of a log, by a policy of the same name or of this one. UsageError naming a damaged line."""
    policy, found = None, []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if policy is None:
                policy = make(name or value["policy"])
                continue
            blobs = [Blob(*fields) for fields in value["blobs"]]
            found.append(([blobs[place] for place in value["order"]], policy.order(blobs)))
        except UsageError:
            raise                   # a name that no policy has
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UsageError(f"line {number} of the log of an eviction policy can't be read: {line.strip():.80}") from error
    if policy is None:
        raise UsageError("the log of an eviction policy is empty")
    return found
