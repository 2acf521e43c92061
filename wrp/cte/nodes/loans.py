"""Loans: space of this node that it has leased for calls of other nodes, until one of them takes it over. Who asks may be cut off anywhere between the two."""

import threading

from wrp.errors import WrpError

_MOST_GONE = 4096               # tickets that are remembered once they were given up: a lease that comes after so many others stays taken until the store is closed


class Loans:
    """give_back(extents): makes them free. Tickets are numbers that whoever asks has chosen, each once. Any thread that answers."""

    def __init__(self, give_back):
        self._give_back, self._lock = give_back, threading.Lock()
        self._open, self._tickets = {}, {}      # {ticket: extents}; {(target, offset) of the first of them: ticket}
        self._gone = {}                         # tickets of which nothing was known when they were given up: their space may come yet

    def open(self, ticket, extents):
        """These were leased for a ticket: the extents. WrpError where it was given up meanwhile; they are free again then."""
        if not extents:
            return extents
        with self._lock:
            is_wanted = ticket not in self._gone
            if is_wanted:
                self._open[ticket], self._tickets[tuple(extents[0][:2])] = extents, ticket
            self._gone.pop(ticket, None)
        if not is_wanted:
            self._give_back(extents)
            raise WrpError("this space was leased for a call that has ended since")
        return extents

    def take(self, extents):
        """A call has these now: the extents. WrpError where its ticket was given up: they may be others' by now."""
        with self._lock:
            ticket = self._tickets.pop(tuple(extents[0][:2]), None)
            if self._open.pop(ticket, None) is None:
                raise WrpError("the space of these bytes was given up by whoever leased it: the call that leased it had ended")
        return extents

    def close(self, ticket, is_kept):
        """No call will take what was leased for a ticket: it goes back, or belongs to whoever asked where `is_kept`."""
        with self._lock:
            extents = self._open.pop(ticket, None)
            if extents is not None:
                first = tuple(extents[0][:2])
                if self._tickets.get(first) == ticket:      # else it was kept, became free, and is leased for another call already
                    del self._tickets[first]
            elif not is_kept:
                self._gone[ticket] = None       # or it was taken: then this is one number too many
                if len(self._gone) > _MOST_GONE:
                    del self._gone[next(iter(self._gone))]
        if extents is not None and not is_kept:
            self._give_back(extents)
