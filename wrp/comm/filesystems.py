"""File systems of fsspec, asked with a deadline, and what the errors of their services say. Which objects there are is for others to know."""

import asyncio
import concurrent.futures
import threading
from functools import partial

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
CHANGED = ("PreconditionFailed", "412")             # codes: the object isn't as the question wants it
BEYOND = ("InvalidRange", "416")                    # what was asked for begins behind its end
LATE = (TimeoutError, asyncio.TimeoutError, concurrent.futures.TimeoutError)       # one and the same from Python 3.11 on
_LOOKS, _LOOK_S = 100, 0.05


def begin(fs, work):
    """Have a coroutine run in the thread of an asynchronous file system: what `ended` takes."""
    return asyncio.run_coroutine_threadsafe(work, fs.loop)


def ended(begun, timeout_s):
    """The result of what was begun. One of LATE after `timeout_s`; with any error, Ctrl-C too, it is given up."""
    try:
        return begun.result(timeout_s)
    finally:
        begun.cancel()


def run(fs, work, timeout_s):
    """The result of a coroutine, as `begin` and `ended`; it has come to its end, too, when this raises."""
    is_over, task = threading.Event(), []

    async def watched():
        task.append(asyncio.current_task())
        try:
            return await work
        finally:
            is_over.set()

    def give_up():
        if task:
            task.pop().cancel()
    try:
        return begin(fs, watched()).result(timeout_s)
    except BaseException:
        for _ in range(_LOOKS):         # Ctrl-C may come before it has begun
            fs.loop.call_soon_threadsafe(give_up)
            if is_over.wait(_LOOK_S):
                break
        raise


def within(timeout_s, call, *arguments, **named):
    """The result of a call that may take for ever, made by a thread of its own. One of LATE after `timeout_s`: the thread goes on then, and keeps no process from ending."""
    begun = concurrent.futures.Future()

    def made(call):
        try:
            begun.set_result(call())
        except BaseException as error:
            begun.set_exception(error)
    threading.Thread(target=made, args=(partial(call, *arguments, **named),), name="wrp-filesystem", daemon=True).start()
    return begun.result(timeout_s)


def code(error):
    """The code that a service's answer had, S3's own or that of HTTP, as text; "" where the error is of something else."""
    for each in (error.__cause__, error):
        response = getattr(each, "response", None)
        found = response.get("Error", {}).get("Code") if isinstance(response, dict) else getattr(each, "status", None) or getattr(each, "code", None)
        if found:
            return str(found)
    return ""
