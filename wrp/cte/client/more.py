"""Calls that users of the reference's client miss there, by names that go with its own. What they do is said in wrp.cte.Store."""

from wrp.comm.sizes import whole
from wrp.cte.client.deferred import BUDGET, Deferred
from wrp.cte.client.results import Capacity
from wrp.cte.client.searching import Searching
from wrp.cte.given import text


class More:
    """See client.Client."""

    _directory = _searching = None

    def exists_tag(self, tag_name):
        return self.store.exists(tag_name)

    def exists_blob(self, tag_id, blob_name):
        return self.store.exists(self._directory.name_of(tag_id), text(blob_name, "the name of a blob"))

    def get_child_tags(self, folder=""):
        """[Child(name, is_tag, is_folder)] of a folder of tags, whose names have `/` between them; "": of the store."""
        return self.store.children(folder)

    def rename_folder(self, folder, new_folder):
        """Let all tags in a folder be in another one, all at once. Changed when a name there is taken."""
        self.store.rename_folder(folder, new_folder)

    def list_blobs(self, tag_id, prefix=""):
        """Names of the tag's blobs that begin with `prefix`, in natural order."""
        return self.store.list(self._directory.name_of(tag_id), prefix)

    def copy_blob(self, tag_id, blob_name, new_tag_id, new_blob_name):
        """Store the bytes and the score of a blob under another name as well."""
        self.store.copy(self._directory.name_of(tag_id), blob_name, self._directory.name_of(new_tag_id), new_blob_name)

    def rename_blob(self, tag_id, blob_name, new_blob_name, new_tag_id=None):
        """Give a blob another name, and another tag where one is given. Changed when the name is taken."""
        self.store.rename(self._directory.name_of(tag_id), blob_name, new_blob_name, self._directory.name_of(new_tag_id) if new_tag_id is not None else None)

    def snapshot_tag(self, tag_id, new_name):
        """Store all blobs of a tag, as they are at one moment, in a new tag as well: its id."""
        self.store.snapshot(self._directory.name_of(tag_id), new_name)
        return self._directory.id_of(new_name)

    def checkpoint_tag(self, tag_id, new_name):
        """Make a tag that shows the blobs of this one, its source, wherever it hasn't got one itself: its id."""
        self.store.checkpoint(new_name, self._directory.name_of(tag_id))
        return self._directory.id_of(new_name)

    def get_blob_generation(self, tag_id, blob_name):
        """A number that grows with every change of the blob; 0: it isn't there."""
        tag = self._directory.name_of(tag_id)
        return self.store.info(tag, blob_name).stamp if self.store.exists(tag, blob_name) else 0

    def put_blob_if(self, tag_id, blob_name, generation, data, score=1.0):
        """Store a whole blob if it has this generation (0: isn't there); else Changed, and nothing has happened."""
        self.store.put(self._directory.name_of(tag_id), blob_name, data, score=score, if_generation=whole(generation, "a generation of"))

    def wait_blob(self, tag_id, blob_name, timeout_s=None):
        """Wait until the blob is there: its size. WaitTimeout."""
        return self.store.wait(self._directory.name_of(tag_id), blob_name, timeout_s).size

    def get_residency(self, tag_id, blob_name, offset, size):
        """True when the blob has all bytes of a range: what lies between what was put are zeros that are there."""
        offset, size = whole(offset, "the begin of a range:"), whole(size, "the size of a range:")
        return 0 <= offset and 0 <= size and offset + size <= self.store.size(self._directory.name_of(tag_id), blob_name)

    def get_capacity(self):
        """Capacity of this node's targets together."""
        targets = self.store.targets()
        return Capacity(sum(target.capacity for target in targets), sum(target.remaining for target in targets))

    def emulate_get(self, tag_id, blob_name, offset=0, size=None):
        """Modelled(seconds, places) of a get of a range of a blob from where it lies now: nothing is read. Of a put: Context.emulate."""
        return self.store.modelled_get(self._directory.name_of(tag_id), blob_name, offset, size)

    def evict(self, target_name, nbytes):
        """Take blobs of the lowest scores from a target of this node to slower ones until so many bytes are free of them: how many there are."""
        return self.store.evict(target_name, nbytes)

    def semantic_search(self, question, tag_regex=".*", blob_regex=".*", max_blobs=0):
        """[Found(score, tag, blob)] of blobs that have words of the question, best first (BM25 over those whose names match as a whole)."""
        if self._searching is None:
            self._searching = Searching(self.store)
        return self._searching.search(question, tag_regex, blob_regex, max_blobs)

    def deferred(self, budget=BUDGET):
        """A Deferred: puts that are taken at once and stored soon, at most `budget` bytes of them waiting; read back from there meanwhile."""
        return Deferred(self, budget)
