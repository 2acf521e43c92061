"""Post: what a runtime over several nodes has of the others: the window over their segments, and on its first rank the postman."""

from wrp.comm.mailbox import Knocker, Mailboxes
from wrp.comm.notes import Notes
from wrp.comm.remote import RemoteWindow
from wrp.comm.shipments import Shipments
from wrp.runtime.postman.postman import Postman


class Post:
    """Making and closing it is collective over `ranks`. `modules`: class of a user's module by its pool's slot.

    Attributes: window; postman, the loop of its thread, None but on the first rank of a node.
    """

    def __init__(self, ranks, node, config, modules):
        self.window = RemoteWindow(ranks, node.segment)
        places = ranks.gather(node.layout.mail if ranks.local_rank == 0 else None, "where the mail of the nodes lies")
        offsets = [place for place in places if place is not None]
        self.window.knocker, self.window.shipments = Knocker(self.window, ranks.rank, offsets), Shipments(ranks, node.segment)
        self.postman = None
        if ranks.local_rank == 0:
            mail = Mailboxes(self.window, node.segment, offsets, ranks.size, config.get("networking.mailbox_depth"))
            self.postman = Postman(node, self.window, mail, Notes(self.window), config, modules)
            node.driver, self.window.at_ease = self.postman.driver, self.postman.rest
        ranks.barrier("the mailboxes of all nodes are open")

    def close(self):
        """Collective, once the postman's thread has ended."""
        if self.postman is not None:
            self.postman.close()
        self.window.close()
