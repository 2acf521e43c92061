"""Lines of logs of what a policy was asked and said, JSON each, so that it can be replayed: the first says which policy it was. Knows no kind of policy."""

import json

from wrp.errors import UsageError


def write(file, value):
    """A line more."""
    file.write(json.dumps(value) + "\n")


def replayed(lines, kind, make, again):
    """[again(policy, value)] of all lines but the first, with which `make(value)` makes the policy. UsageError naming a damaged line; `kind`: of policy, for people."""
    policy, found = None, []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if policy is None:
                policy = make(value)
            else:
                found.append(again(policy, value))
        except UsageError:
            raise                   # a name that no policy has
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise UsageError(f"line {number} of the log of {kind} policy can't be read: {line.strip():.80}") from error
    if policy is None:
        raise UsageError(f"the log of {kind} policy is empty")
    return found
