"""One question to an Ollama-style server, with a deadline for the whole of it. Knows no blobs."""

import http.client
import json
import socket
import threading
from contextlib import closing, suppress
from urllib.parse import urlsplit

from wrp.cae.url import shown

_MOST = 16 << 20                        # bytes of an answer
_CONNECT_S = 5.0


class NoAnswer(Exception):
    """Why there is no text; `is_silent`: nobody is there, or he says nothing in time."""

    def __init__(self, text, is_silent=False):
        super().__init__(text)
        self.is_silent = is_silent


class Server:
    """At a URL. One question at a time; `close` from another thread ends the one that waits. Proxies aren't asked."""

    def __init__(self, endpoint, timeout_s):
        self._endpoint, self._shown, self._timeout_s = endpoint, shown(endpoint), timeout_s
        self._socket, self._is_late, self._is_closed = None, False, False

    def ask(self, match, prompt):
        """The text that the model of a rules.Match answers. NoAnswer."""
        options = {name: value for name, value in (("num_ctx", match.context_length), ("num_predict", match.num_predict)) if value}
        body = {"model": match.model, "prompt": prompt, "stream": False, **({"options": options} if options else {})}
        status, data = self._posted(json.dumps(body).encode())
        if status != 200:
            raise NoAnswer(f"{self._shown} answers {status}: {' '.join(data[:200].decode('utf-8', 'replace').split())}")
        try:
            text = json.loads(data)["response"]
        except (ValueError, LookupError, TypeError, RecursionError):
            raise NoAnswer(f"{self._shown} answers what is none: {data[:80]!r}") from None
        if not isinstance(text, str) or not text.strip():
            raise NoAnswer(f"{self._shown} answers without a text")
        return text

    def close(self):
        """Any thread; idempotent."""
        self._is_closed = True
        self._cut()

    def _posted(self, body):
        """(status, body of the answer)."""
        url = urlsplit(self._endpoint)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(url.hostname, url.port, timeout=min(_CONNECT_S, self._timeout_s))
        self._is_late = False
        # a server that sends a byte now and then would outlive the deadline of each read
        timer = threading.Timer(self._timeout_s, self._late)
        timer.daemon = True
        timer.start()
        try:
            connection.connect()
            self._socket = connection.sock          # which the connection forgets when the answer is to be the last
            self._socket.settimeout(self._timeout_s)
            if self._is_closed or self._is_late:        # while there was no socket to cut
                raise OSError("closed")
            connection.request("POST", f"{url.path}/api/generate", body, {"Content-Type": "application/json"})
            with closing(connection.getresponse()) as answer:
                data = answer.read(_MOST + 1)
                if answer.length or len(data) > _MOST or self._is_late:
                    raise OSError(f"the answer has more than {_MOST} bytes" if len(data) > _MOST else "the answer is cut short")
                return answer.status, data
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"hasn't answered for {self._timeout_s:g} s" if self._is_late or isinstance(error, TimeoutError) else \
                f"can't be asked: {getattr(error, 'strerror', None) or error or type(error).__name__}"
            raise NoAnswer(f"{self._shown} {reason}", is_silent=True) from error
        finally:
            timer.cancel()
            timer.join()                # before the descriptor may be somebody else's
            self._socket = None
            connection.close()

    def _late(self):
        self._is_late = True
        self._cut()

    def _cut(self):
        with suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
