"""Edits over several nodes: rename of a blob to another home, and snapshot. Made of puts and deletes under generations."""

from contextlib import suppress

from wrp.cte import names
from wrp.errors import Changed, NoSuchBlob, NoSuchTag, WaitTimeout, WrpError

_TRIES = 100


class NodesEdits:
    """store: the NodesStore."""

    def __init__(self, store):
        self._store = store

    def rename(self, tag, blob, new_tag, new_blob, replace):
        """The bytes under the new name, then the old one goes; where it has changed meanwhile, again. Changed when the new name is taken, unless `replace`.

        What was flushed is so under the new name before the old one goes: its home may write that down at any moment.
        """
        store, made = self._store, None if replace else 0
        for _ in range(_TRIES):
            try:
                before = store.info(tag, blob)
                data = store.get(tag, blob)
                if not before.stamp:
                    raise NoSuchBlob(f"there is no blob {blob!r} in tag {tag!r} itself, but in its source")
            except (NoSuchBlob, NoSuchTag):
                if made:
                    store.delete_still(new_tag, new_blob, made)
                raise
            if store.info(tag, blob).stamp != before.stamp:
                continue
            store.put(new_tag, new_blob, data, score=before.score, if_generation=made)
            made = store.info(new_tag, new_blob).stamp
            is_gone = store.delete_still(tag, blob, before.stamp, False)
            if is_gone is None:
                self._flush(new_tag, new_blob, None if replace else made)
                is_gone = store.delete_still(tag, blob, before.stamp)
            if is_gone:
                return
        raise _no_pause(tag, "renamed")

    def _flush(self, tag, blob, made):
        """A blob is durable; where it can't be, it goes, if it has the generation `made`."""
        try:
            self._store.flush_blob(tag, blob)
        except WrpError:
            if made is not None:
                with suppress(WrpError):
                    self._store.delete_still(tag, blob, made)
            raise

    def snapshot(self, tag, new_tag):
        """Copy blobs until all copies are of one moment: nothing has changed between the end of one look and the begin of the next."""
        store, copied = self._store, {}
        stamps = self._stamps(tag)
        if store.exists(new_tag):
            raise Changed(f"tag {new_tag!r} is there: a snapshot needs a new name")
        store.create(new_tag)
        for _ in range(_TRIES):
            for blob in sorted(stamps, key=names.natural):
                if copied.get(blob) != stamps[blob]:
                    copied[blob] = self._copy(tag, blob, new_tag)
            for blob in copied.keys() - stamps.keys():
                with suppress(NoSuchBlob):
                    store.delete(new_tag, blob)
                del copied[blob]
            before, stamps = stamps, self._stamps(tag)
            if before == stamps == copied:
                return
        raise _no_pause(tag, "copied")

    def _stamps(self, tag):
        return {blob: info.stamp for blob, info in self._store.infos(tag).items()}

    def _copy(self, tag, blob, new_tag):
        """Copy a blob as it is now: its stamp, 0 when it changed meanwhile or is gone."""
        store = self._store
        try:
            before = store.info(tag, blob)
            store.put(new_tag, blob, store.get(tag, blob), score=before.score)
            return before.stamp if store.info(tag, blob).stamp == before.stamp else 0
        except NoSuchBlob:
            return 0


def _no_pause(tag, what):
    return WaitTimeout(f"blobs of tag {tag!r} changed {_TRIES} times while they were {what}; their writers don't pause")
