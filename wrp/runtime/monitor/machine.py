"""Machine: how busy the host of a node is, one sample after the other. Linux; what it doesn't say is 0."""

import os
import socket
import time
from collections import deque
from pathlib import Path

MOST = 1024                     # samples that are kept
_PROC = Path("/proc")
_NOWHERE = "192.0.2.1", 9       # an address of documentation: a connected socket sends it nothing


class Machine:
    """Samples of one host, the newest MOST. `node`: number of the node it holds."""

    def __init__(self, node):
        self._node, self.host, self.ip = node, os.uname().nodename, _own_ip()
        self._samples, self._count, self._before = deque(maxlen=MOST), 0, _ticks()

    def sample(self):
        """Take one more."""
        now = _ticks()
        busy, whole = (new - old for new, old in zip(now, self._before))
        self._before = now
        memory = _memory()
        total = memory.get("MemTotal", 0)
        self._samples.append({"event_id": self._count, "time": time.time(), "hostname": self.host, "ip": self.ip, "node_id": self._node,
                              "is_leader": self._node == 0, "cpu_usage_percent": round(100 * busy / whole, 1) if whole > 0 else 0.0,
                              "ram_total_bytes": total, "ram_available_bytes": memory.get("MemAvailable", 0)})
        self._count += 1

    def since(self, event_id):
        """List of the samples from this number on."""
        return [sample for sample in self._samples if sample["event_id"] >= event_id]


def _ticks():
    """(ticks of all cores that were at work, ticks of all) since the machine began."""
    try:
        fields = [int(word) for word in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return sum(fields) - fields[3] - fields[4], sum(fields)         # idle, and waiting for storage


def _memory():
    """{name: bytes} of /proc/meminfo."""
    try:
        return {name: int(rest.split()[0]) * 1024 for name, rest in (line.split(":") for line in (_PROC / "meminfo").read_text().splitlines())}
    except (OSError, ValueError):
        return {}


def _own_ip():
    """The address that this host would send from; no name is looked up, nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(_NOWHERE)
            return sock.getsockname()[0]
    except OSError:
        return "127.0.0.1"
