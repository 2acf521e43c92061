"""Staying awake for a moment between questions that come in quick succession: who sleeps on a core that sleeps too is woken late. Serves nothing."""

import os
import time

_OFTEN_S = 0.001                # questions that come within this of each other are worth it
_AWAKE_S = 0.0005               # after the last one
_ELSEWHERE_S = 300e-6           # a look that takes so long: others want this core, and who sleeps is let in before who yields
_BACK_OFF_S = 0.02


class Eager:
    """`poll(0)` says what there is to do; `clock()` gives seconds."""

    def __init__(self, poll, clock=time.monotonic):
        self._poll, self._clock, self._last, self._until, self._not_before = poll, clock, 0.0, 0.0, 0.0

    def asked(self, at):
        """A question was received at this moment."""
        if at - self._last < _OFTEN_S and at > self._not_before:
            self._until = at + _AWAKE_S
        self._last = at

    def comes(self):
        """True as soon as there is something to do; False when it is better to sleep until there is."""
        if not self._until:
            return False
        now = self._clock()
        while now < self._until:
            if self._poll(0):
                return True
            os.sched_yield()
            before, now = now, self._clock()
            if now - before > _ELSEWHERE_S:
                self._not_before = now + _BACK_OFF_S
                break
        self._until = 0.0
        return False
