"""The reference's Tag: one tag and its blobs, by its names."""

from wrp.cte.client.client import Client
from wrp.cte.client.ids import UniqueId
from wrp.errors import UsageError


class Tag:
    """A tag by name, made if it isn't there, or by its id. `store`: an opened Store or a Client of it. Calls as those of Client, local."""

    def __init__(self, tag, store):
        if not isinstance(store, Client) and not hasattr(store, "tag_stamp"):
            raise UsageError(f"a Tag is of an opened Store or a Client of it, not of {type(store).__name__}")
        self._client = store if isinstance(store, Client) else Client(store)
        self._id = tag if isinstance(tag, UniqueId) else self._client.get_or_create_tag(tag)
        self.name = self._client.get_tag_name(self._id)

    def get_tag_id(self):
        return self._id

    def put_blob(self, blob_name, data, offset=0, score=1.0, context=None, flags=0):
        """Store `data` (not empty) as the blob, or with an offset as a range of it. Score 0 to 1; -1: a blob that is there keeps its own."""
        return self._client.put_blob(self._id, blob_name, offset, None, data, score, context, flags)

    def async_put_blob(self, blob_name, data, offset=0, score=1.0, context=None, flags=0):
        """The same later: a Future."""
        return self._client.later.put_blob(self._id, blob_name, offset, None, data, score, context, flags)

    def get_blob(self, blob_name, size=None, offset=0, out=None, dtype=None, shape=None):
        """Bytes of the blob (`size` None: to its end), see Client.get_blob."""
        return self._client.get_blob(self._id, blob_name, offset, size, 0, out, dtype, shape)

    def get_blob_score(self, blob_name):
        return self._client.get_blob_score(self._id, blob_name)

    def get_blob_size(self, blob_name):
        return self._client.get_blob_size(self._id, blob_name)

    def get_contained_blobs(self):
        return self._client.get_contained_blobs(self._id)

    def reorganize_blob(self, blob_name, new_score):
        return self._client.reorganize_blob(self._id, blob_name, new_score)
