"""The key of a store when it is opened: which one, whether it fits, and the lock of a new store. Collective where it says so."""

import os

from wrp.errors import UsageError

_VARIABLES = ("WRP_KEY_FILE", "WRP_KEY")


def cipher_of(folder, ranks, key, is_new):
    """The Cipher of an encrypted store, else None. Collective.

    key : a Key, the path of its file, or None: what WRP_KEY_FILE or WRP_KEY say
    is_new : a store without records that is opened for writing: it is encrypted when there is a key
    StoreError for no key or a wrong one, UsageError for a key given to a store that isn't encrypted.
    """
    with ranks.agreed(f"the key of store {folder.path}"):
        given, key = key is not None, _key(key)
        if is_new and ranks.rank == 0 and key is not None and "key" not in folder.header:
            from wrp.cte.crypt import Lock

            folder.change_header(key=Lock.made_for(key).plain())
    plain = folder.header.get("key")
    if is_new:
        plain = ranks.share(plain, "the lock of the store")
    with ranks.agreed(f"opening the lock of store {folder.path}"):
        if plain is not None:
            from wrp.cte.crypt import Lock

            return Lock.from_plain(plain).opened(key)
        if given:
            raise UsageError(f"store {folder.path} isn't encrypted, and only a new one can be: leave the key out")
    return None


def _key(key):
    if key is None and not any(map(os.environ.get, _VARIABLES)):
        return None
    from wrp.cte.crypt import Key

    if key is None:
        return Key.from_environment()
    return key if isinstance(key, Key) else Key.from_file(key)
