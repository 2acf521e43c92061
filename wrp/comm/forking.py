"""Forking: objects of this process that have to know when they are in a forked child, where what they stand for is the parent's. What they do is theirs."""

import os
import weakref

_listeners = set()


def listen(method):
    """A bound method is called in children that are forked from now on, as long as somebody has its object. It raises nothing."""
    _listeners.add(weakref.WeakMethod(method, _listeners.discard))


def _in_child():
    for listener in list(_listeners):
        method = listener()
        if method is not None:
            method()


os.register_at_fork(after_in_child=_in_child)
