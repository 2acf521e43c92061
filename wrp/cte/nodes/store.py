"""NodesStore: the Store of a job with several nodes. Each name has a home; calls for names of other nodes are made there.

What lies on this node is left to a plain Store, `_here`. Where a call goes says routes.py, the calls themselves are in calls/.
"""

from wrp.comm import forking
from wrp.comm.refusals import let_out
from wrp.cte import ending, names
from wrp.cte.naming import SameNames
from wrp.cte.nodes.answering import Answering
from wrp.cte.nodes.batch import NodesBatch
from wrp.cte.nodes.calls import NodesEditing, NodesListing, NodesObserving, NodesReading, NodesWriting
from wrp.cte.nodes.edits import NodesEdits
from wrp.cte.nodes.keepers import Keepers
from wrp.cte.nodes.loans import Loans
from wrp.cte.nodes.naming import NodesNaming
from wrp.cte.nodes.net import Net
from wrp.cte.nodes.originals import Originals
from wrp.cte.nodes.routes import Routes
from wrp.cte.records import BLOB, full_name
from wrp.cte.store import Store
from wrp.errors import Corrupt, WaitTimeout


class NodesStore(NodesWriting, NodesEditing, NodesReading, NodesListing, NodesObserving, Store):
    """As Store. What one rank puts, all ranks of all nodes see when the call returns.

    Calls that concern a whole tag are made on every node: each node's part is as it is at one moment, the parts are not of the same moment.
    """

    def __init__(self, parts):
        self._parts, self._tiers = parts, parts.tiers
        self.ranks, self.config, self.folder = parts.ranks, parts.config, parts.folder.path if parts.folder else None
        self._here = Store(parts, SameNames(parts.tag_names))
        self._tag_names, self._own = parts.tag_names, parts.tag_names.own
        loans = Loans(parts.tiers.give_back)
        answers = Answering(self._here, parts, self._flush_here, loans).table()
        if parts.copies is not None:
            answers.update({**parts.copies.table(loans), **Originals(parts, self._here._moves, loans).table()})
        self._naming = naming = NodesNaming(parts)
        answers.update(naming.table())
        self._net = Net(parts, answers, naming)
        self._routes = Routes(self._net, Keepers(self._net, parts, parts.config.get("targets.replicas")) if parts.copies is not None else None)
        self._edits, self._cache = NodesEdits(self), parts.cache
        if parts.runtime.is_alone:
            forking.listen(self._in_child)

    # targets

    def targets(self):
        """As Store.targets: of this node."""
        return self._here.targets()

    def lasting(self):
        """As Store.lasting: of this node."""
        self._check_open()
        return self._here.lasting()

    def recover(self, target, member, path=None, tick=None):
        """As Store.recover: of this node."""
        self._writable()
        return self._here.recover(target, member, path, tick)

    def add_target(self, name, kind, capacity, score=-1.0, persistence=None):
        """As Store.add_target: on every node."""
        self._writable()
        return self._here.add_target(name, kind, capacity, score, persistence)

    def remove_target(self, name):
        """As Store.remove_target: on every node."""
        self._writable()
        self._here.remove_target(name)

    def target_name(self, number):
        """As Store.target_name."""
        return self._here.target_name(number)

    def move(self, tag, blob, target):
        """As Store.move: at the blob's home."""
        self._writable()
        return self._routes.change("move", self._own(tag), blob, target)

    def evict(self, target, nbytes):
        """As Store.evict: of this node."""
        self._writable()
        return self._here.evict(target, nbytes)

    def organize(self):
        """As Store.organize."""
        self._writable()
        return self._here.organize()

    # what lasts

    def batch(self, label):
        """As Store.batch."""
        self._writable()
        return NodesBatch(self._parts, label, self._net, self._routes.keepers)

    def flush(self):
        """What this rank has put anywhere, and what has its home on this node, is durable when it returns. Local; no effect without a folder."""
        self._check_open()
        if self._parts.folder is None or not self._parts.write:
            return
        with self._routes.unflushed.flushing() as nodes:
            _, under_way = self._net.begin_each((node, "flush") for node in nodes)
            self._flush_here()
            self._net.answers(under_way)

    def _flush_here(self):
        try:
            self._here.flush()
        except Corrupt as error:
            let_out(error)
            if self._routes.keepers is None or not self._routes.keepers.mend_all(self._parts.catalog.scan(kind=BLOB, dirty=True)):
                raise
            self._here.flush()
        self._net.send_away()

    def flush_all(self):
        """Collective: everything that any rank has put is durable."""
        self._check_open()
        # what a rank has changed on another node is flushed there by the ranks of that node: not before it has come here
        with self._routes.unflushed.flushing():
            self.ranks.barrier("every rank flushes the store")
            with self.ranks.agreed("flushing the store"):
                if self._parts.folder is not None and self._parts.write:
                    self._flush_here()

    def replicate(self, tag=None, blob=None):
        """As Store.replicate."""
        self._writable()
        keepers = self._routes.keepers
        if tag is not None or blob is not None:
            tag = names.checked("tag", self._own(tag))
        if blob is not None:
            self._routes.look("info", tag, blob)
        if keepers is None:
            return
        self._routes.settle_rest()
        if blob is not None:
            home, name = self._routes.home(tag, blob), full_name(tag, blob)
            keepers.changed(home, [name])
            keepers.bring(lambda each: each == name)
        elif tag is not None:
            keepers.bring(lambda each: each.startswith(full_name(tag, "")))
        else:
            keepers.bring(lambda each: True)

    # ending

    def close(self):
        """Flush and close. Collective; idempotent."""
        if self._parts is None:
            return
        parts = self._parts
        try:
            self._stop()
        except WaitTimeout:
            self._let_go()
            parts.drop()
            raise
        try:
            self.flush_all()
        finally:
            self._let_go()
            parts.close()

    @property
    def _threads(self):
        keepers = self._routes.keepers
        sweeping = [keepers.sweeping] if keepers is not None and keepers.sweeping is not None else []
        return [self._naming, *sweeping, *self._here._threads]

    def _in_child(self):
        """As Store._in_child."""
        self._here._in_child()
        super()._in_child()

    @property
    def _organizing(self):
        return self._here._organizing

    def _let_go(self):
        self._here._let_go()
        self._parts = None
        ending.forget(self)
        self._net = self._routes = self._edits = self._cache = self._tiers = self._tag_names = self._own = self._here._catalog
