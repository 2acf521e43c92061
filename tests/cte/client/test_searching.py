"""Search by words: the formula against a plain one, what is a word, puts that are seen at once."""

import math
import random

import pytest

from wrp.cte.client.searching import B, K1, words_of
from wrp.errors import UsageError

TEXTS = {"a": "The quick brown fox", "b": "quick quick fox", "c": "a lazy dog sleeps the whole long day and the night", "d": "nothing of it"}


def plain(question, texts):
    """BM25 as its formula stands in the papers."""
    words = {name: words_of(text.encode()) for name, text in texts.items()}
    mean = sum(map(len, words.values())) / len(words)

    def score(name):
        total = 0.0
        for word in set(words_of(question.encode())):
            having, count = sum(word in found for found in words.values()), words[name].count(word)
            total += math.log(1 + (len(words) - having + 0.5) / (having + 0.5)) * count * (K1 + 1) / (count + K1 * (1 - B + B * len(words[name]) / mean))
        return total
    return sorted(((score(name), name) for name in texts if score(name)), key=lambda pair: (-pair[0], pair[1]))


def found(client, *args):
    return [(pytest.approx(hit.score), hit.blob) for hit in client.semantic_search(*args)]


def test_words():
    assert words_of(b"A fox, 7 DOGS42 caf\xc3\xa9 \0x1") == ["fox", "dogs42", "caf", "x1"]


def test_the_formula(client, tag):
    for name, text in TEXTS.items():
        client.put_blob(tag, name, 0, None, text.encode())
    for question in ("quick fox", "the day", "FOX", "dog dog", "elephant"):
        assert found(client, question) == plain(question, TEXTS)
    made = random.Random(1)
    texts = {f"r{number}": " ".join(made.choices("alpha beta gamma delta omega".split(), k=made.randint(1, 40))) for number in range(60)}
    other = client.get_or_create_tag("u")
    for name, text in texts.items():
        client.put_blob(other, name, 0, None, text.encode())
    assert found(client, "alpha omega", "u") == plain("alpha omega", texts)
    some = {name: text for name, text in texts.items() if name.endswith("1")}
    assert found(client, "beta", "u", ".*1") == plain("beta", some)             # figures are those of the blobs that match
    assert found(client, "beta", "u", ".*1", 2) == plain("beta", some)[:2]


def test_every_put_is_seen_by_the_next_search(client, tag):
    client.put_blob(tag, "b", 0, None, b"old words")
    assert [hit.blob for hit in client.semantic_search("old")] == ["b"] and client.semantic_search("new") == []
    client.put_blob(tag, "b", 0, None, b"new words")
    assert client.semantic_search("old") == [] and [hit.blob for hit in client.semantic_search("new")] == ["b"]
    client.del_blob(tag, "b")
    assert client.semantic_search("new") == []


def test_refusals(client):
    for args in (("",), ("a ! ?",), ("word", ".*", ".*", -1), ("word", "(")):
        with pytest.raises(UsageError):
            client.semantic_search(*args)
