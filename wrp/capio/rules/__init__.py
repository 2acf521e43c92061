"""The rules of a running workflow as a pure state machine: events in, actions out. No clock, no files, no processes."""

from wrp.capio.rules import actions, events
from wrp.capio.rules.machine import Machine, Options
from wrp.capio.rules.replay import replay

__all__ = ["Machine", "Options", "actions", "events", "replay"]
