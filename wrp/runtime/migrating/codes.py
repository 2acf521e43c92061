"""Method numbers and return codes of migrations. Below 0 stand methods that one worker asks of another: they go where a container was made, not where it is."""

MIGRATE = 4                                                     # as the reference numbers it
BEGIN, PIECE, LOAD, COMMIT, ABORT, ROUTE = -11, -12, -13, -14, -15, -16

NOT_MOVABLE, NO_SUCH_NODE, BUSY, PERIODIC, SAVE_FAILED, LOAD_FAILED, NO_ROOM, OCCUPIED, BROKEN = range(20, 29)
MEANINGS = {NOT_MOVABLE: "its module has no `save` and `load`",
            NO_SUCH_NODE: "the pool has no containers on that node: a container goes to nodes that its pool was made on",
            BUSY: "its tasks haven't ended within the deadline: give them longer, or cancel them",
            PERIODIC: "it has a periodic task, which never ends: cancel it first",
            SAVE_FAILED: "its `save` raised, or gave no bytes: see the messages of its worker",
            LOAD_FAILED: "its class or its `load` raised on that node: see the messages of the worker there",
            NO_ROOM: "its node, or that one, has no room to note another container that moves, or for the bytes on their way: see their messages",
            OCCUPIED: "that node is just taking another container in: try again",
            BROKEN: "the bytes didn't get there: see whether that node answers"}


class Coded(tuple):
    """(return code, values): what a coroutine that serves a task gives where the code is part of it."""

    def __new__(cls, code, values=()):
        return super().__new__(cls, (code, values))
