"""Logs of an organizer's events and actions, a JSON line each, so that what it did can be replayed.

The first line names the organizer, its tiers and settings; every other is {"event": [kind, field, …], "actions": [[kind, blob, …], …]}.
"""

import json
import logging
import os
from contextlib import contextmanager

from wrp.comm.refusals import is_refusal
from wrp.cte.organizer.contract import EVENTS, Action, Tier
from wrp.cte.organizer.registry import make
from wrp.errors import UsageError

_log = logging.getLogger("wrp.cte")


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


class Logs:
    """Files `PREFIX-NUMBER.jsonl`, new ones each, for the organizers that a driver makes one after the other. One that can't be written is told once, and ends."""

    def __init__(self, prefix):
        self._prefix, self._file = prefix, None

    def made(self, name, tiers, **settings):
        """A Recorder into the next file."""
        self.close()
        number = 0
        with self._telling():
            while os.path.exists(f"{self._prefix}-{number}.jsonl"):
                number += 1
            self._file = open(f"{self._prefix}-{number}.jsonl", "x", encoding="utf-8")
        return Recorder(self, name, tiers, **settings)

    def write(self, text):
        """Add to the file; others see it after `flush`."""
        if self._file is not None:
            with self._telling():
                self._file.write(text)

    def flush(self):
        """What was written is in the file for others."""
        if self._file is not None:
            with self._telling():
                self._file.flush()

    def close(self):
        """Idempotent."""
        file, self._file = self._file, None
        if file is not None:
            with self._telling():
                file.close()

    @contextmanager
    def _telling(self):
        try:
            yield
        except OSError as error:
            if not is_refusal(error):
                raise
            self._file = None
            _log.error("the log %s of an organizer can't be written, and ends: %s", self._prefix, error.strerror)


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
