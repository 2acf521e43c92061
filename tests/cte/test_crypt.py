"""Keys: where they come from, which are refused, and that none is ever shown; a store's lock; sealed pieces."""

import os
import pickle
import sys

import pytest

from wrp.cte import Store, crypt
from wrp.errors import Corrupt, StoreError, UsageError

pytest.importorskip("cryptography", reason="the package cryptography isn't installed")


def file_of(tmp_path, content, mode=0o600):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def lock_and_cipher(key):
    lock = crypt.Lock.made_for(key)
    return lock, lock.opened(key)


def test_a_made_key_is_private_and_read_again(tmp_path):
    path = tmp_path / "key"
    made = crypt.Key.make(path)
    assert path.stat().st_mode & 0o777 == 0o600
    lock, _ = lock_and_cipher(made)
    lock.opened(crypt.Key.from_file(path))
    with pytest.raises(UsageError, match="can't be made"):
        crypt.Key.make(path)


def test_no_key_file_is_made_without_the_package_that_uses_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(UsageError, match=r"encryption wants the package cryptography .*python.* -m pip install -e '\.\[crypt\]' in the clone of wrp"):
        crypt.Key.make(tmp_path / "key")
    assert not (tmp_path / "key").exists()


def test_raw_bytes_and_digits_are_the_same_key(tmp_path):
    secret = bytes(range(32))
    lock, _ = lock_and_cipher(crypt.Key(secret, "here"))
    for content in (secret, secret.hex().encode(), secret.hex().upper().encode() + b"\n"):
        lock.opened(crypt.Key.from_file(file_of(tmp_path, content)))
    lock.opened(crypt.Key.from_environment({"WRP_KEY": secret.hex()}))
    lock.opened(crypt.Key.from_environment({"WRP_KEY_FILE": str(file_of(tmp_path, secret)), "WRP_KEY": "ignored"}))
    assert crypt.Key.from_environment({}) is None


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o602])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    with pytest.raises(UsageError, match="so others may use it: chmod 600"):
        crypt.Key.from_file(file_of(tmp_path, bytes(32), mode))


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 31, b"x" * 33, b"zz" * 32, b"ab" * 31], ids=range(6))
def test_a_key_of_another_length_is_refused_without_showing_it(tmp_path, content):
    with pytest.raises(UsageError, match="a key has 32") as caught:
        crypt.Key.from_file(file_of(tmp_path, content))
    assert len(content) < 5 or content.decode() not in str(caught.value)


def test_no_file_and_no_regular_file(tmp_path):
    for path, sentence in ((tmp_path / "none", "can't be opened"), (tmp_path, "not a regular file")):
        with pytest.raises(UsageError, match=sentence):
            crypt.Key.from_file(path)


def test_a_key_is_never_shown():
    secret = os.urandom(32)
    key = crypt.Key(secret, "WRP_KEY")
    lock, cipher = lock_and_cipher(key)
    shown = repr(key) + str(key) + repr(cipher) + repr(lock) + str(lock.plain())
    assert secret.hex() not in shown and repr(secret) not in shown
    for held in (key, cipher):
        with pytest.raises(TypeError):
            pickle.dumps(held)


def test_a_wrong_or_missing_key_is_a_sentence():
    lock, _ = lock_and_cipher(crypt.Key(bytes(32), "here"))
    with pytest.raises(StoreError, match="not the one that the store was encrypted with"):
        lock.opened(crypt.Key(bytes(31) + b"x", "there"))
    with pytest.raises(StoreError, match="WRP_KEY_FILE"):
        lock.opened(None)


def test_a_lock_comes_back_from_its_plain_form():
    key = crypt.Key(bytes(32), "here")
    lock, cipher = lock_and_cipher(key)
    again = crypt.Lock.from_plain(lock.plain())
    assert again == lock and again.opened(key).open(cipher.seal(b"data", b"about"), b"about") == b"data"
    assert crypt.Lock.made_for(key) != lock             # a salt of its own
    for wrong in ({}, {**lock.plain(), "salt": "no digits"}, {**lock.plain(), "cipher": "ROT13"}, None):
        with pytest.raises(StoreError):
            crypt.Lock.from_plain(wrong)


def test_sealed_pieces():
    _, cipher = lock_and_cipher(crypt.Key(bytes(32), "here"))
    sealed = cipher.seal(b"data" * 100, b"about")
    assert len(sealed) == 400 + crypt.OVERHEAD and b"data" not in sealed and cipher.seal(b"data" * 100, b"about") != sealed
    assert cipher.open(memoryview(sealed), b"about") == b"data" * 100
    for wrong, about in ((sealed, b"other"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), b"about"), (sealed[:10], b"about"), (b"", b"about")):
        with pytest.raises(Corrupt):
            cipher.open(wrong, about)
    _, other = lock_and_cipher(crypt.Key(bytes(32), "here"))
    with pytest.raises(Corrupt):
        other.open(sealed, b"about")                    # the same key, another store's salt


@pytest.mark.parametrize("secret", [bytes(range(65, 97)), bytearray(b"abcdefgh" * 4), "0123456789abcdef" * 4])
def test_a_key_given_for_its_file_is_refused_and_not_shown(tmp_path, secret):
    with pytest.raises(UsageError, match="a key is a crypt.Key or the path of its file") as refused:
        Store.open(tmp_path / "store", key=secret)
    shown = secret if isinstance(secret, str) else bytes(secret).decode()
    assert shown not in str(refused.value) + repr(refused.value.__cause__) + repr(refused.value.__context__)
