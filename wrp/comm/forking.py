"""Forking: objects of this process that have to know when they are in a forked child, where what they stand for is the parent's. What they do is theirs."""

import os
import weakref

_listeners = weakref.WeakKeyDictionary()


def listen(method):
    """A bound method, one of each object, is called in children that are forked from now on, as long as somebody has its object. It raises nothing."""
    _listeners[method.__self__] = method.__func__


def _in_child():
    for listener, function in list(_listeners.items()):
        function(listener)


os.register_at_fork(after_in_child=_in_child)
