"""Labels by a real HTTP server on this machine that speaks /api/generate: right answers, wrong ones, none; rules that can't be."""

import contextlib
import http.client
import http.server
import json
import logging
import threading
import time

import h5py
import numpy as np
import pytest
from harness.mpirun import needs_mpirun, run_python

from wrp.cae import cli as omni_cli
from wrp.cae import ingest, labels, omni
from wrp.cae.labels import labels as following
from wrp.cae.labels.rules import Match, Rules
from wrp.cae.labels.server import NoAnswer, Server
from wrp.cee import cli, export
from wrp.comm.ranks import world
from wrp.cte import Store
from wrp.errors import ConfigError


class Model(http.server.BaseHTTPRequestHandler):
    """Answers with the prompt's last line in capitals; what begins with a word of trouble gets it."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, asked))
        about = asked["prompt"].partition("\n\n")[2]
        word = about.split(" ")[0]
        if word == "hang":
            self.server.is_over.wait(20)
        elif word == "drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            with contextlib.suppress(OSError):
                while not self.server.is_over.wait(0.05):
                    self.wfile.write(b" ")
        elif word == "cut":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"{")
        elif word == "drop":
            self.connection.close()
        else:
            self.say(*{"fail": (500, b"out of memory"), "rubbish": (200, b"<html>"), "list": (200, b"[1]"), "number": (200, b'{"response": 5}'),
                       "empty": (200, b'{"response": " "}')}.get(word, (200, json.dumps({"response": about.upper()}).encode())))

    def say(self, status, data):
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Model)
    made.is_over, made.asked, made.daemon_threads = threading.Event(), [], False
    thread = threading.Thread(target=made.serve_forever, args=[0.05])
    thread.start()
    made.url = f"http://127.0.0.1:{made.server_address[1]}"
    yield made
    made.is_over.set()
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def store():
    with Store.open(None, world()) as opened:
        yield opened


def rules(server, timeout_s=20, **more):
    return Rules(server.url, {"short": "Say it short."}, (Match("m", "short", **more),), timeout_s)


def test_what_matches_gets_its_label_once(store, server):
    store.put("notes", "a", "grüße".encode(), score=0.25)
    store.put("notes", "b.bin", b"\xff\0")
    store.put("other", "a", b"no")
    wanted = rules(server, tag_re="not", blob_re="^a|bin$")
    assert labels.run(store, world(), wanted) == (2, 0, 0)
    assert store.get("notes", "a_label") == "GRÜSSE".encode() and store.get("notes", "b.bin_label") == "\ufffd\0".encode()
    assert store.info("notes", "a_label").score == 0.25 and len(store.blobs(".*")) == 5
    assert labels.run(store, world(), wanted) == (0, 0, 0) and len(server.asked) == 2       # no label of a label, none twice
    path, asked = server.asked[0]
    assert path == "/api/generate" and asked == {"model": "m", "prompt": "Say it short.\n\ngrüße", "stream": False, "options": {"num_ctx": 4096}}
    store.put("notes", "a", b"new")
    assert labels.run(store, world(), wanted) == (1, 0, 0) and store.get("notes", "a_label") == b"NEW"


def test_options_and_parts(store, server):
    store.put("t", "long", b"x" * 300 + b"y" * 300)
    assert labels.run(store, world(), rules(server, context_length=100, num_predict=7)) == (1, 0, 0)
    assert [asked["options"] for _, asked in server.asked] == [{"num_ctx": 100, "num_predict": 7}] * 3
    assert store.get("t", "long_label") == b"X" * 256 + b"\n\n" + b"X" * 44 + b"Y" * 212 + b"\n\n" + b"Y" * 88
    store.put("t", "most", b"z" * 5000)
    assert labels.run(store, world(), Rules(server.url, {"short": "p"}, (Match("m", "short", context_length=0),), max_bytes=1000)) == (1, 0, 0)
    assert store.get("t", "most_label") == b"Z" * 1000 and "options" not in server.asked[-1][1]


def test_each_part_is_progress_and_closing_ends_between_two(store, server):
    store.put("t", "b", b"x" * 1000)
    made, ticks = labels.Labels(store, rules(server, context_length=100)), []

    def tick():
        ticks.append(len(server.asked))
        if len(ticks) == 3:
            made.close()

    assert made.work(store.changed(0), tick) == (0, 0, 1)
    assert ticks[:3] == [0, 1, 2] and len(server.asked) <= 3 and not store.exists("t", "b_label")


def test_a_part_without_answer_is_missing_and_told(store, server, caplog):
    store.put("t", "b", b"a" * 256 + b"fail " + b"b" * 251 + b"c")
    assert labels.run(store, world(), rules(server, context_length=100)) == (1, 0, 0)
    assert store.get("t", "b_label") == b"A" * 256 + b"\n\n" + b"C"
    assert "part 2 of 3 of blob 'b' of tag 't' is missing in its label" in caplog.text


@pytest.mark.parametrize("word, sentence", [
    ("fail", "answers 500: out of memory"), ("rubbish", "answers what is none: b'<html>'"), ("list", "answers what is none"), ("number", "answers without a text"),
    ("empty", "answers without a text"),
])
def test_a_wrong_answer_is_one_line_and_no_label(store, server, caplog, word, sentence):
    store.put("t", "bad", f"{word} x".encode())
    store.put("t", "good", b"x")
    assert labels.run(store, world(), rules(server)) == (1, 1, 0)
    assert [blob for _, blob in store.blobs("t")] == ["bad", "good", "good_label"]
    line, = caplog.messages
    assert line.startswith("no label for blob 'bad' of tag 't': ") and sentence in line


@pytest.mark.parametrize("word, sentence", [("hang", "hasn't answered for 0.5 s"), ("drip", "hasn't answered for 0.5 s"), ("cut", "the answer is cut short"), ("drop", "can't be asked")])
def test_a_silent_server_ends_the_pass_in_time(store, server, caplog, word, sentence):
    for number in range(5):
        store.put("t", f"b{number}", f"{word} x".encode())
    began = time.monotonic()
    assert labels.run(store, world(), rules(server, 0.5)) == (0, 0, 5)
    assert time.monotonic() - began < 15 and len(server.asked) == 3 == len(caplog.messages)
    assert all(sentence in line for line in caplog.messages)
    assert len(store.blobs("t")) == 5


def test_nobody_is_there(store, server, caplog):
    store.put("t", "b", b"x")
    nobody = Rules("http://127.0.0.1:9", {"short": "p"}, (Match("m", "short"),))
    assert labels.run(store, world(), nobody) == (0, 0, 1)
    assert "http://127.0.0.1:9 can't be asked: Connection refused" in caplog.text


def test_secrets_of_the_endpoint_stand_in_no_message(store, server, caplog):
    for word in ("fail", "cut"):
        store.put("t", word, f"{word} x".encode())
    secret = server.url.replace("//", "//u:secret@") + "/base?key=secret"
    assert labels.run(store, world(), Rules(secret, {"short": "p"}, (Match("m", "short"),), 20)) == (0, 1, 1)
    assert len(caplog.messages) == 2 and "secret" not in caplog.text and f"{server.url}/base?... answers 500" in caplog.text


def test_connecting_that_lasts_too_long_ends_it(server, monkeypatch):
    """The timer finds no socket yet; what drips then must not live on."""
    asked = Server(server.url, 0.2)
    connect = http.client.HTTPConnection.connect
    monkeypatch.setattr(http.client.HTTPConnection, "connect", lambda self: (waited(lambda: asked._is_late), connect(self)))
    with pytest.raises(NoAnswer, match="hasn't answered for 0.2 s") as caught:
        asked.ask(Match("m", "short"), "p\n\ndrip x")
    assert caught.value.is_silent and not server.asked


def waited(condition):
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_follower_labels_what_is_put(store, server, monkeypatch):
    monkeypatch.setattr(following, "_PERIOD_S", 0.02)
    monkeypatch.setattr(following, "_PAUSE_S", 0.1)
    with labels.Labels(store, rules(server, 0.5)):
        for number in range(3):
            store.put("t", f"b{number}", b"x%d" % number)
        waited(lambda: all(store.exists("t", f"b{number}_label") for number in range(3)))
        store.put("t", "b1", b"again")
        waited(lambda: store.get("t", "b1_label") == b"AGAIN")
        # silence doesn't end it, and what waited is labelled then
        store.put("t", "b2", b"drop it")
        waited(lambda: sum("drop" in asked["prompt"] for _, asked in server.asked) > 1)
        store.put("t", "b2", b"back")
        waited(lambda: store.get("t", "b2_label") == b"BACK")
        count = len(server.asked)
        store.put("t", "bad", b"fail")
        waited(lambda: len(server.asked) > count)
    assert sum("fail" in asked["prompt"] for _, asked in server.asked) == 1     # an answer, if a wrong one
    assert not any(blob.endswith("_label_label") for _, blob in store.blobs("t"))


def test_a_follower_that_waits_is_given_up_at_once(store, server, caplog):
    store.put("t", "b", b"hang on")
    with caplog.at_level(logging.WARNING), labels.Labels(store, rules(server, 100)):
        waited(lambda: server.asked)
        assert any(thread.name == "wrp-labels" for thread in threading.enumerate())       # see wrp/comm/inside.py
        began = time.monotonic()
    assert time.monotonic() - began < 10 and not caplog.messages


def test_a_blob_that_changes_or_goes_meanwhile_gets_no_label_of_what_it_was(store, server, monkeypatch):
    for blob in ("changes", "goes"):
        store.put("t", blob, b"old")
    ask = following.Server.ask

    def meanwhile(self, match, prompt):
        if store.exists("t", "goes"):
            store.delete("t", "goes"), store.put("t", "changes", b"new")
        return ask(self, match, prompt)

    monkeypatch.setattr(following.Server, "ask", meanwhile)
    assert labels.run(store, world(), rules(server)) == (0, 0, 0)
    assert [blob for _, blob in store.blobs("t")] == ["changes"]
    assert labels.run(store, world(), rules(server)) == (1, 0, 0) and store.get("t", "changes_label") == b"NEW"
    # and in the moment in which the label is put
    put = store.put
    monkeypatch.setattr(store, "put", lambda tag, blob, *more, **named: (put(tag, blob, *more, **named), put("t", "changes", b"newest")))
    put("t", "changes", b"newer")
    assert labels.run(store, world(), rules(server)) == (0, 0, 0)
    assert [blob for _, blob in store.blobs("t")] == ["changes"]


def test_a_dataset_with_labels_is_exported_without_them(store, server, tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["x"] = np.arange(5.0)
    ingest.run(omni.Job((omni.Transfer(1, f"hdf5::{tmp_path}/f.h5", "iowarp::run", "hdf5"),)), store, world())
    assert labels.run(store, world(), rules(server, tag_re="/x$"))[0] == 2 == len([1 for _, blob in store.blobs("run/x") if blob.endswith("_label")])
    export.run(store, "run/x", tmp_path / "x", world())
    assert (tmp_path / "x").read_bytes() == np.arange(5.0).tobytes()


YAML = """label_endpoint: {url}
label_prompts: {{short: "Say it short."}}
label_matches:
  - {{tag_re: "^t$", blob_re: "^chunk_", model: "gemma3:1b", prompt: short}}
"""


@pytest.fixture
def job(tmp_path, monkeypatch, server):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.bin").write_bytes(b"words")
    (tmp_path / "jobs.yaml").write_text("transfers:\n  - {src: 'file::data.bin', dst: 'iowarp::t', format: binary}\n")
    (tmp_path / "labels.yaml").write_text(YAML.format(url=server.url))
    return tmp_path


def test_commands(job, capsys, server):
    assert omni_cli.main(["jobs.yaml", "--store", "s", "--labels", "labels.yaml"]) == 0
    assert "labels: 1 made, 0 failed, 0 left" in capsys.readouterr().err
    assert cli.main(["label", "labels.yaml", "--store", "s"]) == 0 and capsys.readouterr().out == "0 labels made\n"
    with Store.open("s", world()) as store:
        assert store.get("t", "chunk_0_label") == b"WORDS"
        export.run(store, "t", "again", world())
        store.put("t", "chunk_1", b"fail")
    assert (job / "again").read_bytes() == b"words"
    assert cli.main(["label", "labels.yaml", "--store", "s"]) == 1
    assert "0 of 1 blobs got their label, 1 failed, 0 wait" in capsys.readouterr().err
    # a failure is nothing to the transfer
    (job / "data.bin").write_bytes(b"fail")
    assert omni_cli.main(["jobs.yaml", "--store", "s", "--labels", "labels.yaml"]) == 0
    assert "labels: 0 made, 1 failed, 0 left" in capsys.readouterr().err
    assert omni_cli.main(["jobs.yaml", "--store", "new", "--labels", "none.yaml"]) == 3 and not (job / "new").exists()


@needs_mpirun
@pytest.mark.parametrize("ranks, nodes", [(3, {"WRP_RANKS_PER_NODE": "1"})])
def test_on_several_ranks(job, server, ranks, nodes):
    code = """
import dataclasses
from contextlib import nullcontext
from wrp.cae import labels
from wrp.cae.labels.rules import Match
from wrp.comm.ranks import world
from wrp.cte import Store
ranks = world()
with Store.open(None, ranks) as store:
    store.put("t", f"chunk_{ranks.rank}", f"words {ranks.rank}".encode())
    store.put("t", f"chunk_bad{ranks.rank}", b"fail")
    ranks.barrier("all have put")
    found = labels.run(store, ranks, labels.load("labels.yaml"))
    assert found == (ranks.size, ranks.size, 0), found
    assert store.get("t", f"chunk_{ranks.size - 1}_label") == f"WORDS {ranks.size - 1}".encode()
    # and by one rank that follows what all put
    rules = dataclasses.replace(labels.load("labels.yaml"), matches=(Match("m", "short", "^followed"),))
    with labels.Labels(store, rules) if ranks.rank == 0 else nullcontext():
        for number in range(5):
            store.put(f"followed{number}", f"by{ranks.rank}", b"words")
        for number in range(5):
            store.wait(f"followed{number}", f"by{ranks.rank}_label", 20)
        ranks.barrier("all are followed")
"""
    done = run_python(code, ranks, env=nodes)
    assert done.returncode == 0 and done.stderr.count("no label for blob 'chunk_bad") == ranks, done.stderr
    assert len(server.asked) == 7 * ranks


def test_rules_of_the_reference(tmp_path):
    (tmp_path / "a.yaml").write_text(YAML.format(url="http://h:1/"))
    found = labels.load(tmp_path / "a.yaml")
    assert found == Rules("http://h:1", {"short": "Say it short."}, (Match("gemma3:1b", "short", "^t$", "^chunk_"),), 120.0, 1 << 20)
    composed = YAML.format(url="http://h:1/").replace("\n", "\n    ")
    (tmp_path / "b.yaml").write_text(f"runtime: {{num_threads: 4}}\ncompose:\n  - mod_name: bdev\n  - mod_name: clio_cae_summarizer\n    pool_id: '401.0'\n    {composed}")
    assert labels.load(tmp_path / "b.yaml") == found
    assert found.match("t", "chunk_0") is found.matches[0] and found.match("t", "chunk_0_label") is None is found.match("tt", "chunk_0")


@pytest.mark.parametrize("old, new, sentence", [
    ("label_endpoint: http://h:1", "", "label_endpoint must be there"), ("http://h:1", "h:1", "label_endpoint must be a URL like http://127.0.0.1:11434, not 'h:1'"),
    ("http://h:1", "http://h:x", "must be a URL"), ("label_endpoint: http://h:1", "label_endpoint: 5", "label_endpoint must be text, not 5"), ("http://h:1", "http://u:sec/ret@h:x", "11434, not 'h:x'"), ("label_prompts", "label_promts", "the key 'label_promts' is not known; did you mean 'label_prompts'?"),
    ("prompt: short", "prompt: long", "label_matches[0]: there is no prompt 'long' in label_prompts"), ("tag_re: \"^t$\"", "tag_re: '('", "'(' is not a regular expression"),
    ("model: \"gemma3:1b\"", "modle: x", "the key 'modle' is not known; did you mean 'model'?"), ("prompt: short", "prompt: short, context_length: -1", "context_length must be an integer of 0 or more"),
    ("label_matches:", "label_timeout_s: 0\nlabel_matches:", "label_timeout_s must be a number above 0"), ("label_matches:", "colour: 1\nlabel_matches:", "the key 'colour' is not known"),
    ("label_prompts: {short: \"Say it short.\"}", "label_prompts: [a]", "label_prompts must be a mapping"), ("label_endpoint", "[", "can't be read as rules of labels"),
])
def test_rules_that_can_not_be(tmp_path, old, new, sentence):
    text = YAML.format(url="http://h:1")
    assert old in text
    (tmp_path / "a.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        labels.load(tmp_path / "a.yaml")
    assert sentence in str(caught.value) and "a.yaml" in str(caught.value) and "\n" not in str(caught.value)
