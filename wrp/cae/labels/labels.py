"""Blobs that changed and have no label since: found, asked about, labelled. One pass by all ranks, or a thread of one rank that follows the store."""

import logging
import time
from typing import NamedTuple

from wrp.cae.labels.rules import SUFFIX
from wrp.cae.labels.server import NoAnswer, Server
from wrp.cte.background import Background
from wrp.errors import NoSuchBlob, NoSuchTag, WrpError

_log = logging.getLogger("wrp.cae")
_SILENCES = 3                           # questions without an answer after which a pass ends
_PERIOD_S = 0.5                         # between two looks at the store, which take a tenth of one rank's time at most
_PAUSE_S = 30.0                         # after silence
_SKEW_NS = 10_000_000_000               # by which clocks of nodes may differ


class Labelled(NamedTuple):
    """What a pass came to: blobs that have a label now, that got none, and that wait because the server is silent."""

    labelled: int
    failed: int
    left: int


def run(store, ranks, rules):
    """Label every blob that a rule matches and that has no label younger than itself, on all ranks. Labelled, the same on each. Collective.

    What fails for one blob, in the store too (no room for its label), is a line in the log and counted; an error of looking for them is raised.
    """
    changes = ranks.share_of(lambda: _wanted(store, rules, 0, {}), "looking for blobs without labels")
    labels = Labels(store, rules, min(rules.timeout_s, ranks.timeout_s / 2))
    found = ranks.gather_of(lambda: labels.work(changes[ranks.rank::ranks.size], ranks.tick), "labelling")
    return Labelled(*map(sum, zip(*found)))


class Labels:
    """Labels of a store by these Rules. A context manager that follows what is put, in a thread; leave it before the store is closed. Local: use it on one rank."""

    def __init__(self, store, rules, timeout_s=None):
        self._store, self._rules = store, rules
        self._server = Server(rules.endpoint, timeout_s or rules.timeout_s)
        self._tried, self._since = {}, 0        # (tag, blob): stamp of what was asked about; up to when all changes are known
        self._thread, self._is_closed = Background("wrp-labels"), False

    def catch_up(self):
        """Label what has changed since the last time. Labelled. Not while the thread follows."""
        changes = _wanted(self._store, self._rules, self._since, self._tried)
        found = self.work(changes)
        if changes and not found.left:
            self._since = max(self._since, max(change.stamp for change in changes) - _SKEW_NS)
        return found

    def work(self, changes, tick=lambda: None):
        """Label these blobs, [telemetry.Change]. Labelled."""
        labelled = failed = silent = in_a_row = 0
        for number, change in enumerate(changes):
            if in_a_row == _SILENCES or self._is_closed:
                return Labelled(labelled, failed, silent + len(changes) - number)
            is_silent = False
            try:
                labelled += self._label(change.tag, change.blob, tick)
            except (NoAnswer, WrpError) as error:
                is_silent = isinstance(error, NoAnswer) and error.is_silent
                failed += not is_silent
                if not self._is_closed:
                    _log.warning("no label for blob %r of tag %r: %s", change.blob, change.tag, error)
            silent, in_a_row = silent + is_silent, in_a_row + 1 if is_silent else 0
            tick()
        return Labelled(labelled, failed, silent)

    def __enter__(self):
        self._thread.start(self._follow)
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stop following; a question that waits for its answer is given up. Idempotent. WaitTimeout: see Background.stop."""
        self._is_closed = True
        self._server.close()
        self._thread.stop(self._store.ranks.timeout_s, "look whether the store's storage and the labels' server answer")

    def _follow(self):
        nap_s = 0.0
        while self._thread.naps(nap_s):
            began = time.monotonic()
            try:
                found = self.catch_up()
            except WrpError as error:
                _log.warning("labels: %s", error)
                found = Labelled(0, 0, 1)
            nap_s = _PAUSE_S if found.left else max(_PERIOD_S, 10 * (time.monotonic() - began) if found == (0, 0, 0) else 0)

    def _label(self, tag, blob, tick):
        """True when there is a label of the blob as it is now; False for a blob that went or changed meanwhile. NoAnswer."""
        try:
            before = self._store.info(tag, blob)
            data = bytes(self._store.get(tag, blob, 0, min(before.size, self._rules.max_bytes)))
            try:
                text = self._answer(tag, blob, data, tick)
            except NoAnswer as error:
                if not error.is_silent:
                    self._tried[tag, blob] = before.stamp       # not again before it changes
                raise
            if not self._is_still(tag, blob, before.stamp):
                return False
            self._store.put(tag, blob + SUFFIX, text.encode("utf-8", "replace"), score=before.score)
            if not self._is_still(tag, blob, before.stamp):
                self._store.delete(tag, blob + SUFFIX)          # or it would pass for one of what is there now
                return False
        except (NoSuchTag, NoSuchBlob):
            return False
        self._tried[tag, blob] = before.stamp
        return True

    def _is_still(self, tag, blob, stamp):
        return self._store.exists(tag, blob) and self._store.info(tag, blob).stamp == stamp

    def _answer(self, tag, blob, data, tick):
        """The answers about all parts of the bytes; of parts without one the log says why. NoAnswer when there is none at all."""
        match, found, failure = self._rules.match(tag, blob), [], None
        questions = self._rules.questions(match, data)
        for number, question in enumerate(questions, start=1):
            if self._is_closed:
                raise NoAnswer("closed", is_silent=True)
            tick()
            try:
                found.append(self._server.ask(match, question))
            except NoAnswer as error:
                failure = error
                if error.is_silent:
                    break
                if len(questions) > 1:
                    _log.warning("part %d of %d of blob %r of tag %r is missing in its label: %s", number, len(questions), blob, tag, error)
        if failure is not None and (failure.is_silent or not found):
            raise failure
        return "\n\n".join(found)


def _wanted(store, rules, since, tried):
    """[Change] of the blobs that want a label, the oldest first."""
    changes = store.changed(since)
    labels = {(change.tag, change.blob[:-len(SUFFIX)]): change.stamp for change in changes if change.blob.endswith(SUFFIX)}
    return [change for change in changes if labels.get((change.tag, change.blob), 0) < change.stamp
            and tried.get((change.tag, change.blob)) != change.stamp and rules.match(change.tag, change.blob)]
