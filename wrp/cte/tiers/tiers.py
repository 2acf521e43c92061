"""The targets of a store on one node: what they are (roster.py), come and go (coming.py), where new bytes go (space.py), bytes (content.py).

No names of blobs and no records here.
"""

import threading
from collections import deque

from wrp.comm.atomics import load
from wrp.comm.jit import direct
from wrp.comm.turn import Turn
from wrp.cte.records import RAM
from wrp.cte.targetnumbers import extra_number
from wrp.cte.targets import Pace
from wrp.cte.telemetry.counters import Counters
from wrp.cte.tiers.coming import Coming
from wrp.cte.tiers.content import Content
from wrp.cte.tiers.open import Open
from wrp.cte.tiers.space import Space


class Tiers(Coming, Space, Content):
    """Devices by target number. Making and closing it is collective over the ranks of the node.

    used : {target: names of tags} that have bytes in data files, on the first rank of the node
    Raises StoreError when such a file isn't there.
    """

    def __init__(self, runtime, folder, sizes, used=()):
        self._runtime = runtime
        self._folder = folder
        self._readers, self._other_readers = {}, {}     # by number: descriptors of files; what reads devices that aren't this node's
        self.open_files = Open()                    # the same descriptors for kernels
        self.away = deque()                         # extents of other nodes that are free now
        self.due, self._settling = deque(), Turn()  # lists of extents that are about to be given back; who does that
        self._wanted, self._devices = {}, {}        # by number: what takes new bytes; all that this node gives space out of
        self._leaving, self._gone = set(), set()    # numbers: take no new bytes any more; and hold none, whoever still has an old record
        self._lost = {}                             # number: why it takes no new bytes of this process for now
        self._changing = threading.RLock()          # who changes one of these, and what follows from it
        self.pace = Pace()
        self._next, self._token = len(sizes.targets), sizes.token
        self.read_elsewhere = None                  # set by a store of several nodes: (node, offset, out) of its first ram
        self.make_room = lambda nbytes: False       # set by the store: frees ram, True when some came back
        self.ram_bytes, self.ram_array, self.ram_address, self.blocks, self.views = None, None, 0, None, None
        self._refused, self._flushes = None, 0      # what Space remembers of the ram's last refusal; address of the number of flushes of the node
        self._load, self._ahead = direct(load, 1), 0
        self.counters = Counters(0, 0)              # set at opening: counts what pieces.py reads and writes
        writes = folder is None or folder.write
        for place, wanted in enumerate(sizes.targets):
            if not wanted.is_durable and wanted.capacity and (writes or not place):
                self._add(RAM if not place else extra_number(wanted.kind, place), wanted, sizes.token)
        self.ram = self._devices.get(RAM)
        if folder is not None and folder.write:
            self._own_files(runtime.ranks, [wanted for wanted in sizes.targets if wanted.is_durable], used)
