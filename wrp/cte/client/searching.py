"""Searching blobs by words: BM25 over the blobs whose names match, with figures of those alone. Uses the public calls of a store only."""

import math
import re
from collections import Counter, OrderedDict
from typing import NamedTuple

from wrp.comm.sizes import whole
from wrp.cte.given import text
from wrp.cte.names import matcher
from wrp.errors import NoSuchBlob, NoSuchTag, UsageError

K1, B = 1.5, 0.75
_WORD = re.compile(rb"[a-z0-9]{2,}")
_KNOWN = 1 << 14                # blobs whose words are remembered


class Found(NamedTuple):
    """One blob that has a word of the question; the highest `score` is the best."""

    score: float
    tag: str
    blob: str


class Words(NamedTuple):
    """What is counted of a blob in one generation."""

    stamp: int
    counts: Counter
    total: int


def _encoded(question):
    """Its bytes; what has none, half of a surrogate pair, is no letter."""
    return question.encode(errors="replace")


def words_of(data):
    """The words of bytes: runs of two or more ASCII letters and digits, in lower case."""
    return [word.decode() for word in _WORD.findall(bytes(data).lower())]


def ranked(question, documents):
    """[(score, key)] of the documents {key: Words} with a word of the question, best first, then by key. Okapi BM25 (Robertson, Zaragoza 2009)."""
    wanted = dict.fromkeys(words_of(_encoded(question)))
    if not documents:
        return []
    mean = sum(words.total for words in documents.values()) / len(documents) or 1.0
    having = {word: sum(word in words.counts for words in documents.values()) for word in wanted}
    weights = {word: math.log(1 + (len(documents) - number + 0.5) / (number + 0.5)) for word, number in having.items()}
    scores = []
    for key, (_, counts, total) in documents.items():
        length = K1 * (1 - B + B * total / mean)
        score = sum(weights[word] * counts[word] * (K1 + 1) / (counts[word] + length) for word in wanted if word in counts)
        if score:
            scores.append((score, key))
    return sorted(scores, key=lambda found: (-found[0], found[1]))


class Searching:
    """Of one store, in one process: remembers the words of blobs by their generation, so a search sees every put that has returned."""

    def __init__(self, store):
        self._store, self._known = store, OrderedDict()

    def search(self, question, tag_regex=".*", blob_regex=".*", limit=0):
        """[Found] of the blobs whose names match as a whole, best first; at most `limit` unless it is 0. Reads what has changed since the last search."""
        if not words_of(_encoded(text(question, "a question"))):
            raise UsageError(f"the question {question!r} has no word: words are two or more letters or digits")
        limit = whole(limit, "a limit of", 0)
        documents, tags = {}, {self._store.own_name(tag): tag for tag in reversed(self._store.tags(tag_regex))}
        for tag in tags.values():           # each once, by the first of its names that match
            documents.update(self._of_tag(tag, blob_regex))
        found = [Found(score, *key) for score, key in ranked(question, documents)]
        return found[:limit] if limit else found

    def _of_tag(self, tag, blob_regex):
        """{(tag, blob): Words} of a tag's blobs."""
        try:
            infos = self._store.infos(tag)
        except NoSuchTag:
            return {}
        matches, found = matcher("blob", blob_regex), {}
        for blob, info in infos.items():
            if matches(blob) and (words := self._words(tag, blob, info.stamp)) is not None:
                found[tag, blob] = words
        return found

    def _words(self, tag, blob, stamp):
        known = self._known.get((tag, blob))
        if known is None or known.stamp != stamp or not stamp:              # 0: what is seen through a checkpoint tag
            try:
                found = words_of(self._store.get(tag, blob))
            except NoSuchBlob:
                return None             # removed meanwhile
            # of a blob that was put again since, the bytes may be newer than the stamp: it is read again next time
            known = self._known[tag, blob] = Words(stamp, Counter(found), len(found))
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return known
