"""Logs of an organizer's events and actions, a JSON line each, so that what it did can be replayed.

The first line names the organizer, its tiers and settings; every other is {"event": [kind, field, …], "actions": [[kind, blob, …], …]}.
"""

import json

from wrp.cte.organizer.contract import EVENTS, Action, Tier
from wrp.cte.organizer.registry import make
from wrp.errors import UsageError


class Recorder:
    """An organizer that writes down what it sees and does. `file`: a text file, open for writing."""

    def __init__(self, file, name, tiers, **settings):
        self._file, self.name = file, name
        self._organizer = make(name, tiers, **settings)
        self._write({"organizer": name, "tiers": [list(tier) for tier in tiers], "settings": settings})

    def on(self, event):
        """See `contract`."""
        actions = self._organizer.on(event)
        self._write({"event": [type(event).__name__.lower(), *event], "actions": [list(action) for action in actions]})
        return actions

    def _write(self, value):
        self._file.write(json.dumps(value) + "\n")


def read(lines):
    """(organizer's name, tiers, settings, [(event, actions)]) of a log. UsageError naming the line that is damaged."""
    header, steps = None, []
    for number, line in enumerate(lines, 1):
        try:
            value = json.loads(line)
            if header is None:
                header = (value["organizer"], [Tier(*tier) for tier in value["tiers"]], value["settings"])
                continue
            kind, *fields = value["event"]
            steps.append((EVENTS[kind](*fields), tuple(Action(*action) for action in value["actions"])))
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"line {number} of the log of an organizer can't be read: {line.strip():.80}") from error
    if header is None:
        raise UsageError("the log of an organizer is empty")
    return (*header, steps)


def replay(lines):
    """[(event, actions in the log, actions now)] of a log, by a new organizer with the same settings."""
    name, tiers, settings, steps = read(lines)
    organizer = make(name, tiers, **settings)
    return [(event, actions, organizer.on(event)) for event, actions in steps]
