"""Encryption at rest: where a key comes from, what a store keeps to know it again, and sealing bytes. AES-256-GCM by the package cryptography.

A store never uses a user's key itself: with a random salt of its own, HKDF-SHA256 derives the key that seals, an id, and a check value; salt, id
and check lie in the store's folder, so a wrong key is refused when the store is opened. Every sealed piece has a nonce of 96 random bits:
ranks and jobs share no counter, and one that starts again after a crash would repeat; with random ones a repeat is expected only after some 2**48
pieces, and below one in 2**32 up to 2**32 pieces (of 4 MiB at most) of a store. What a piece belongs to is sealed with it, so one
piece can't stand for another. What stays readable: names, sizes, times, and which codec was used.
"""

import hmac
import os
import stat
from dataclasses import dataclass

from wrp.comm import installing
from wrp.comm.lasting import sync_names
from wrp.errors import Corrupt, StoreError, UsageError

KEY_NBYTES = 32
OVERHEAD = 28                       # nonce and tag of a piece
KEY_VARIABLE, FILE_VARIABLE = "WRP_KEY", "WRP_KEY_FILE"
_SALT, _ID, _CHECK, _NONCE = 16, 8, 16, 12


class Key:
    """32 secret bytes. Never shown: its repr and errors don't hold them."""

    def __init__(self, secret, origin):
        if len(secret) != KEY_NBYTES:
            raise UsageError(f"the key in {origin} has {len(secret)} bytes; a key has {KEY_NBYTES}, as they are or as "
                             f"{2 * KEY_NBYTES} hexadecimal digits")
        self._secret, self.origin = bytes(secret), origin

    def __repr__(self):
        return f"<Key from {self.origin}>"

    def __reduce__(self):
        raise TypeError("a key isn't pickled")

    @classmethod
    def from_file(cls, path):
        """The key in a file that its owner alone may read (mode 0600 or 0400). UsageError says what is wrong with it."""
        if not isinstance(path, (str, os.PathLike)) or _is_hexadecimal(os.fspath(path)) and not os.path.exists(path):
            raise UsageError("a key is a crypt.Key or the path of its file, and what was given is neither: Key(secret, origin) has the bytes of a key")
        path = os.fspath(path)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise UsageError(f"the key file {path} can't be opened: {error.strerror}") from None
        try:
            _check_private(path, os.fstat(descriptor))
            return cls(_plain(os.read(descriptor, 4096)), path)
        finally:
            os.close(descriptor)

    @classmethod
    def from_environment(cls, environ=os.environ):
        """The key that WRP_KEY holds in hexadecimal digits, or in the file that WRP_KEY_FILE names; None where neither is set."""
        if environ.get(FILE_VARIABLE):
            return cls.from_file(environ[FILE_VARIABLE])
        if environ.get(KEY_VARIABLE):
            return cls(_plain(environ[KEY_VARIABLE].encode()), KEY_VARIABLE)
        return None

    @classmethod
    def make(cls, path):
        """A new random key in a new file of mode 0600. UsageError, and no file, where there is one, or the package that would use the key is missing."""
        _check_package()
        secret = os.urandom(KEY_NBYTES)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"the key file {path} can't be made: {error.strerror}") from None
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(secret.hex().encode() + b"\n")
            file.flush()
            os.fsync(descriptor)
        sync_names(os.path.dirname(os.path.abspath(path)))
        return cls(secret, os.fspath(path))

    def derived(self, salt):
        """(sealing key, id, check value) for a store with this salt."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        made = HKDF(SHA256(), KEY_NBYTES + _ID + _CHECK, salt, b"wrp store, version 1").derive(self._secret)
        return made[:KEY_NBYTES], made[KEY_NBYTES:KEY_NBYTES + _ID], made[KEY_NBYTES + _ID:]


@dataclass(frozen=True)
class Lock:
    """What a store keeps of its key: nothing of it is secret. `plain` and `from_plain` are its form in the folder."""

    salt: bytes
    key_id: bytes
    check: bytes

    @classmethod
    def made_for(cls, key):
        """For a new store: a random salt."""
        salt = os.urandom(_SALT)
        _, key_id, check = _derived(key, salt)
        return cls(salt, key_id, check)

    def plain(self):
        return {"cipher": "AES-256-GCM", "salt": self.salt.hex(), "key_id": self.key_id.hex(), "check": self.check.hex()}

    @classmethod
    def from_plain(cls, plain):
        try:
            if plain["cipher"] != "AES-256-GCM":
                raise StoreError(f"the store is encrypted by {plain['cipher']}, which this wrp doesn't know")
            return cls(*(bytes.fromhex(plain[name]) for name in ("salt", "key_id", "check")))
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"what the store keeps about its key can't be read: {error}") from None

    def opened(self, key):
        """The Cipher of the store. StoreError without a key, or with another one than it was made with."""
        if key is None:
            raise StoreError(f"the store is encrypted: name its key's file in {FILE_VARIABLE} (or give the key in {KEY_VARIABLE})")
        sealing, key_id, check = _derived(key, self.salt)
        if not hmac.compare_digest(check, self.check):
            raise StoreError(f"the key from {key.origin} is not the one that the store was encrypted with")
        return Cipher(sealing, key_id)


class Cipher:
    """Seals and opens pieces of bytes under one store's key; threads may share it."""

    def __init__(self, sealing, key_id):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.key_id = key_id
        self._aes = AESGCM(sealing)

    def __repr__(self):
        return f"<Cipher of key {self.key_id.hex()}>"

    def __reduce__(self):
        raise TypeError("a cipher isn't pickled")

    def seal(self, piece, about):
        """The nonce, then `piece` encrypted, then the tag, which covers `about` too. At most 2**31 - 1 bytes."""
        nonce = os.urandom(_NONCE)
        return nonce + self._aes.encrypt(nonce, piece, about)

    def open(self, sealed, about):
        """What was sealed. Corrupt when it was changed, belongs elsewhere, or was sealed with another key."""
        from cryptography.exceptions import InvalidTag

        view = memoryview(sealed)
        if len(view) < OVERHEAD:
            raise Corrupt("an encrypted piece is cut")
        try:
            return self._aes.decrypt(bytes(view[:_NONCE]), view[_NONCE:], about)
        except InvalidTag:
            raise Corrupt("its encrypted bytes were changed, or belong to another blob") from None


def _check_private(path, status):
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"the key file {path} is not a regular file")
    if status.st_mode & 0o077:
        raise UsageError(f"the key file {path} has mode {status.st_mode & 0o777:04o}, so others may use it: chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(f"the key file {path} belongs to another user")


def _is_hexadecimal(text):
    """True for what may be a key itself, which no sentence is to show."""
    return len(text) == 2 * KEY_NBYTES and set(text) <= set("0123456789abcdefABCDEF")


def _plain(text):
    """The bytes of a key file or variable: raw, or hexadecimal digits with white space around them."""
    digits = text.strip()
    if len(digits) == 2 * KEY_NBYTES:
        try:
            return bytes.fromhex(digits.decode("ascii"))
        except (UnicodeDecodeError, ValueError):
            pass
    return text if len(text) == KEY_NBYTES else digits


def _derived(key, salt):
    _check_package()
    return key.derived(salt)


def _check_package():
    try:
        import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
        import cryptography.hazmat.primitives.kdf.hkdf      # noqa: F401
    except ImportError as error:
        raise UsageError(f"encryption wants the package cryptography ({error}): {installing.extra('crypt')}") from None
