"""`string::NAME` sources: bytes that stand in the job itself (`src_data`) become the blob NAME of the tag, which keeps its other blobs."""

from dataclasses import dataclass

from wrp.cae import url
from wrp.cae.assimilator import Item, Survey
from wrp.errors import JobFileError, SourceError


class Inline:
    """The assimilator of `string::NAME`."""

    def survey(self, transfer):
        name, tag, data = name_of(transfer), url.tag_of(transfer.dst), transfer.src_data
        item = Item(tag, "", len(data), len(data), len(data), Payload(data), names=Name(name))
        return Survey(tag, (item,), replaces=False)


def name_of(transfer):
    """The name of the transfer's blob; JobFileError when it names none, or none that can be one, or there is nothing to put into it."""
    name = url.parse(transfer.src)[1]
    if not name or url.has_control(name):
        raise JobFileError(f"source {transfer.src!r} names no blob, or has a control character in its name; write string::name")
    if not transfer.src_data:
        raise JobFileError(f"{transfer.src} has no 'src_data', the bytes that are to be its blob")
    return name


def bytes_of(data):
    """The bytes of `src_data`: text as UTF-8; JobFileError for half of a character."""
    try:
        return data.encode("utf-8") if isinstance(data, str) else data
    except UnicodeEncodeError as error:
        raise JobFileError(f"'src_data' has half of a character at {error.start}; give bytes (in YAML !!binary)") from None


@dataclass(frozen=True)
class Name:
    """The name of the only blob."""

    text: str

    def __call__(self, _):
        return self.text


@dataclass(frozen=True)
class Payload:
    """Bytes that are there already."""

    data: bytes

    def open(self):
        return PayloadReader(self.data)


class PayloadReader:
    def __init__(self, data):
        self._data = data

    def read_into(self, buffer, start):
        if self._data is None:
            raise SourceError("the reader of src_data is closed")
        view = memoryview(buffer).cast("B")
        view[:] = self._data[start:start + len(view)]

    def close(self):
        self._data = None
