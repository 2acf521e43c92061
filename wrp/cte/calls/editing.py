"""Calls that change what there is under which name, and how it is kept: tags, names, scores, copies, compression. They move no bytes by themselves."""

from wrp.cte import given, names
from wrp.cte.calls.base import Calls
from wrp.cte.records import full_name
from wrp.cte.telemetry import Op
from wrp.errors import UsageError, WrpError


class Editing(Calls):
    """See store.Store."""

    def create(self, tag):
        """Make an empty tag: True; nothing happens when it is there: False. Of several who make one at once one has True."""
        self._writable()
        tag = self._own(tag)
        is_new = self._changes.create(names.checked("tag", tag))
        self._noted.note(Op.CREATE_TAG, tag)
        return is_new

    def delete(self, tag, blob):
        """Take a blob out. NoSuchBlob when it isn't there. Durable after `flush`."""
        self._writable()
        tag = self._own(tag)
        names.checked("tag", tag), names.checked("blob", blob)
        if not self._changes.remove([full_name(tag, blob)]):
            raise self._absent(tag, blob)
        self._noted.note(Op.DELETE_BLOB, tag, blob)

    def destroy(self, tag, recursive=False):
        """Take a tag and all its blobs out, durable after `flush`; of a tag that has other names only this one, durable when it returns. NoSuchTag. Local.

        One rank calls it, and the tag is gone for all ranks of all nodes when it returns; of several that call it at once one destroys, the others get NoSuchTag. For ranks
        that destroy together, and only if all of them do, there is `remove` of a `batch`.

        Other blobs may take the space in files after a flush; the disk has it back after the next opening for writing.

        recursive : also all tags in the folder of that name, whether it is a tag itself or not; all at once
        """
        self._writable()
        names.checked("tag", tag)
        with self._naming.held():
            self._naming.begin()
            try:
                gone = self._naming.drop(tag, recursive)
                self._changes.remove_tags(gone)
            except BaseException:               # of a handler of a signal
                self._changes.remove_tags(self._naming.finish())
                raise
            self._tag_names.gone(gone)
        for own in gone:
            self._noted.note(Op.DELETE_TAG, own)

    def copy(self, tag, blob, new_tag, new_blob):
        """Store the bytes and the score of a blob under another name as well; one of that name is replaced."""
        tag = self._own(tag)
        record = self._record(tag, blob)
        self.put(new_tag, new_blob, self.get(tag, blob), score=record.score)

    def rename(self, tag, blob, new_blob, new_tag=None, replace=False):
        """Give a blob another name, and another tag where one is given. Changed when that name is taken.

        replace : the blob of that name goes, at the same moment
        """
        self._writable()
        new_tag = tag if new_tag is None else new_tag
        tag, new_tag = self._own(tag), self._own(new_tag)
        names.checked("tag", new_tag), names.checked("blob", new_blob)
        self._record(tag, blob)
        if not self._edits.rename(full_name(tag, blob), new_tag, new_blob, replace):
            raise self._absent(tag, blob)

    # names of tags

    def alias(self, tag, name):
        """Give a tag one more name, which is as good as the others; nothing happens where it has it. Changed when another tag has it; NoSuchTag.

        Durable when it returns, as far as the tag is. So are the next two.
        """
        self._name("link", names.checked("tag", tag), names.checked("tag", name))

    def rename_tag(self, tag, new_tag):
        """Give a tag another name; what is in it stays where it is, and what it is. Changed when that is taken."""
        self._name("move", names.checked("tag", tag), names.checked("tag", new_tag), False)

    def rename_folder(self, folder, new_folder):
        """Let all tags in a folder, and the tag of its own name where there is one, be in another folder, all at once. Changed when a name there is taken."""
        self._name("move", names.checked("folder", folder), names.checked("folder", new_folder), True)

    def snapshot(self, tag, new_tag):
        """Store all blobs of a tag, as they are at one moment, in a new tag as well. Changed when that is there."""
        self._writable()
        self._refuse_checkpoint(names.checked("tag", tag))
        if not self._edits.snapshot(self._own(tag), self._own(names.checked("tag", new_tag))):
            raise names.no_tag(tag)

    def _refuse_checkpoint(self, tag):
        if self._own(tag) in self._tag_names.sources:
            raise UsageError(f"tag {tag!r} is a checkpoint, part of which is in its source: a snapshot would be of two tags; take one of the source")

    def checkpoint(self, tag, source):
        """Make a tag that shows the blobs of another one, its source, wherever it hasn't got one itself. Changed when the tag is there; NoSuchTag.

        No bytes are copied: reads and lists of the tag look at the source, as that is then. A put into the tag stays there; the first change of a part of a
        blob copies it. What the tag has itself, `delete` takes out, and the source's is seen again. `info` gives generation 0 of what is the source's.
        The source can't be destroyed as long as the tag is there. Durable as far as the tag is.
        """
        self._writable()
        self._name("checkpoint", names.checked("tag", tag), names.checked("tag", source))
        try:
            self.create(tag)
        except WrpError:
            self._name("forget", str(self._own(tag)))
            raise

    def _name(self, *args):
        """A change of names, see Naming.run."""
        self._writable()
        self._naming.run(*args)

    # how blobs are kept

    def score(self, tag, blob, score=None):
        """The score of a blob; with `score`, set it first, which is a change with a new generation. Durable after `flush`."""
        tag = self._own(tag)
        if score is not None:
            self._writable()
            score = given.score_of(score, f"blob {blob!r:.80}")
            if self._tag_names.sources:
                self._bring(tag, blob)
            if not self._edits.score(full_name(tag, blob), score):
                raise self._absent(tag, blob)
            return score
        return self._record(tag, blob).score

    def set_compression(self, tag, compression):
        """How blobs that are put into the tag from now on are compressed: what codecs.Compression.of takes, "none" for not at all.

        The store keeps it for the tag, under whatever name, also while there is no tag. Collective; durable when it returns.
        """
        with self.ranks.agreed(f"the compression of tag {tag!r}"):
            self._writable()
            tag = str(self._own(names.checked("tag", tag)))
            from wrp.cte.codecs import Compression

            wanted, framing = Compression.of(compression), self._framing()
            tags = {**framing.tags, tag: wanted}
            if wanted.mode == "none":
                del tags[tag]
            if self._parts.folder is not None and self.ranks.rank == 0:
                self._parts.folder.change_header(codecs={name: tags[name].get_config() for name in sorted(tags)})
        framing.tags = tags
        self._parts.framing = framing if framing.is_needed else None
        self.ranks.barrier(f"tag {tag!r} has its compression")

    def compression(self, tag):
        """The codecs.Compression of a tag, or None."""
        return self._framing().tags.get(self._own(tag))
