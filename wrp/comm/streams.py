"""Streams: TCP connections from rank to rank of a group, one way each, for bytes that the kernel moves from file to file. Knows no frames and no MPI.

Both ends prove that they belong to the group, by a key that its ranks have shared. What is sent isn't encrypted, as what MPI sends over TCP isn't.
"""

import fcntl
import hmac
import os
import secrets
import socket
import struct
import threading
import time

_CONNECT_S = 3.0                # of all addresses of a rank together
_PROVE_S = 2.0
_MOST_KEEPALIVE_S, _MOST_TIMEOUT_MS = 32767, 2**31 - 1     # of TCP
_STRANGERS = 64                 # who is let in at once without having proved anything
_NONCE_NBYTES, _PROOF_NBYTES = 16, 32
_RANK = struct.Struct("=I")
_GET_ADDRESS, _GET_MASK = 0x8915, 0x891B        # SIOCGIFADDR, SIOCGIFNETMASK
_FABRICS = ("/sys/class/infiniband", "/sys/class/cxi")


def has_fabric():
    """True on a machine whose MPI most likely has something faster than TCP."""
    return any(os.path.isdir(path) and os.listdir(path) for path in _FABRICS)


class Streams:
    """Making is collective, all else local. Nobody is heard before `listen`. `are_everywhere`: every rank can be. A connection whose other end doesn't
    answer, or takes nothing, for `silent_s` breaks."""

    def __init__(self, ranks, silent_s=60.0):
        self._rank = ranks.rank
        try:
            self._listener = socket.create_server(("", 0), backlog=128)
            port = self._listener.getsockname()[1]
        except OSError:
            self._listener, port = None, None
        self._key = ranks.share(secrets.token_bytes(_PROOF_NBYTES), "the key of streams")
        self._contacts = ranks.gather((port, _networks(), ranks.host), "where streams are heard")
        self.are_everywhere = all(contact[0] for contact in self._contacts)
        self._lock, self._open, self._threads, self._is_closing = threading.Lock(), set(), [], False
        self._silent_s, self._found, self._are_found = silent_s, {}, threading.Event()
        threading.Thread(target=self._find, args=({contact[2] for contact in self._contacts},), name="wrp-streams-names", daemon=True).start()

    def listen(self, heard):
        """From now on heard(rank, socket) is called in a thread of its own for each connection of another rank; afterwards the socket is closed."""
        self._begin(self._accept, heard)

    def connect(self, rank):
        """A socket that what is sent to this rank goes into, or None where it can't be reached."""
        until = time.monotonic() + _CONNECT_S
        for address in self._addresses(rank, until):
            left = until - time.monotonic()
            if left <= 0:
                break
            try:
                found = socket.create_connection((address, self._contacts[rank][0]), timeout=min(left, _PROVE_S))
            except OSError:
                continue
            try:
                if self._proves(found, rank):
                    found.settimeout(None)
                    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._bound(found)
                    return found
            except OSError:
                pass                # somebody else's, who has hung up
            found.close()
        return None

    def _bound(self, sock):
        """It breaks when the other end is silent."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            sock.setsockopt(socket.IPPROTO_TCP, option, int(min(max(1.0, self._silent_s / 4), _MOST_KEEPALIVE_S)))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(min(max(1.0, self._silent_s * 1000), _MOST_TIMEOUT_MS)))

    def _addresses(self, rank, until):
        """Where a rank may be reached, those in networks of this machine first; by the name of its host only when that has an address by then."""
        _, networks, host = self._contacts[rank]
        own = {network for _, network in _networks()}
        near = [address for address, network in networks if network in own]
        yield from near
        self._are_found.wait(max(0.0, until - time.monotonic()))
        named = self._found.get(host, [])
        yield from (address for address in named if address not in near)
        yield from (address for address, network in networks if network not in own and address not in named)

    def _find(self, hosts):
        """A thread of its own, which nobody waits for: asking for an address has no deadline."""
        self._found = {host: _resolved(host) for host in hosts}
        self._are_found.set()

    def _proves(self, sock, rank):
        """Prove who this is; True when the other end proves that it is the rank."""
        theirs, mine = _exactly(sock, _NONCE_NBYTES), secrets.token_bytes(_NONCE_NBYTES)
        said = _RANK.pack(self._rank) + _RANK.pack(rank) + theirs + mine
        sock.sendall(_RANK.pack(self._rank) + mine + self._proof(b"from" + said))
        return hmac.compare_digest(_exactly(sock, _PROOF_NBYTES), self._proof(b"to" + said))

    def _is_proved(self, sock):
        """The rank that has connected and proved it, or None."""
        mine = secrets.token_bytes(_NONCE_NBYTES)
        sock.sendall(mine)
        rank, theirs, proof = _exactly(sock, _RANK.size), _exactly(sock, _NONCE_NBYTES), _exactly(sock, _PROOF_NBYTES)
        said = rank + _RANK.pack(self._rank) + mine + theirs
        if not hmac.compare_digest(proof, self._proof(b"from" + said)):
            return None
        sock.sendall(self._proof(b"to" + said))
        return _RANK.unpack(rank)[0]

    def _proof(self, said):
        return hmac.digest(self._key, said, "sha256")

    # threads

    def _begin(self, function, *what):
        thread = threading.Thread(target=function, args=what, name="wrp-streams", daemon=True)
        with self._lock:
            if self._is_closing:
                return False
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()
        return True

    def _accept(self, heard):
        strangers = threading.BoundedSemaphore(_STRANGERS)
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                if self._is_closing:
                    return
                time.sleep(0.1)     # no descriptor is free, perhaps
                continue
            if not strangers.acquire(blocking=False) or not self._begin(self._hear, sock, heard, strangers):
                sock.close()

    def _hear(self, sock, heard, strangers):
        with self._lock:
            self._open.add(sock)
        try:
            try:
                sock.settimeout(_PROVE_S)
                rank = self._is_proved(sock)
                sock.settimeout(None)
                self._bound(sock)
            finally:
                strangers.release()
            if rank is not None and not self._is_closing:
                heard(rank, sock)
        except OSError:
            pass                        # it has hung up
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def close(self):
        """Hang up, and wait for those who hear. Idempotent."""
        with self._lock:
            self._is_closing = True
            for sock in self._open | ({self._listener} if self._listener else set()):
                _hang_up(sock)
        for thread in self._threads:
            thread.join()
        if self._listener is not None:
            self._listener.close()


def _hang_up(sock):
    """Wake who waits for this socket."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass                            # it is closed, or was never connected


def _resolved(host):
    try:
        return list(dict.fromkeys(found[4][0] for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)))
    except OSError:
        return []                       # it has none that this machine knows


def _exactly(sock, nbytes):
    """So many bytes; ConnectionError where there are fewer."""
    found = sock.recv(nbytes, socket.MSG_WAITALL)
    while len(found) < nbytes:
        more = sock.recv(nbytes - len(found))
        if not more:
            raise ConnectionResetError("the other end has hung up")
        found += more
    return found


def _networks():
    """[(address, its network)] of this machine, IPv4, without those that lead to itself."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                address, mask = (fcntl.ioctl(asked, what, request)[20:24] for what in (_GET_ADDRESS, _GET_MASK))
            except OSError:
                continue                # it has none
            if address[0] != 127:
                found.append((socket.inet_ntoa(address), bytes(one & other for one, other in zip(address, mask)) + mask))
    return found
