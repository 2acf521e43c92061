"""Who: one participant of meetings over a pool, and the sentences about it. Waits for nobody."""

from dataclasses import dataclass

from wrp.errors import UsageError, WaitTimeout


@dataclass(frozen=True)
class Who:
    """Participant number `participant` of `participants` of the meeting `key` over a Pool."""

    pool: object
    key: int
    participant: int
    participants: int

    def limit_s(self, timeout_s):
        """The seconds to wait."""
        return self.pool._node.timeout_s if timeout_s is None else timeout_s

    def late(self, number, timeout_s):
        """The error of a round that others haven't come to."""
        return WaitTimeout(f"participant {self.participant} of {self.participants} waited {timeout_s:g} s in {self._round(number)}: not all have come")

    def other(self, number):
        """The error of a round that isn't what this participant came for."""
        return UsageError(f"{self._round(number)}: other participants do something else, or are of another number")

    def no_room(self, number, timeout_s):
        """The error of a round that found no room."""
        return WaitTimeout(f"participant {self.participant} of {self.participants} found no place for {timeout_s:g} s for {self._round(number)}: too "
                           "many rounds are open at once over this pool; let fewer groups meet at a time, or give them pools of their own")

    def _round(self, number):
        return f"round {number} of meeting {self.key} over pool {self.pool.name!r}"
