"""The assimilator of `hdf5::file[:/selector]`: which datasets there are, which are asked for, and the streams they become."""

import difflib
from fnmatch import fnmatchcase

import h5py
import numpy as np
from h5py import h5o

from wrp.cae import source, url
from wrp.cae.assimilator import Item, Survey
from wrp.cae.binary import Span
from wrp.cae.hdf5 import datatypes, image, layout, library, scales, storage
from wrp.cae.hdf5.chunked import ChunkedStream
from wrp.cae.hdf5.walk import Walk
from wrp.errors import NothingMatched, SourceError, WrpError

BLOB_NBYTES = 1536 << 10
_DECODING = 4                           # inflating a byte costs about as much as reading this many


class Hdf5:
    """One item per dataset asked for, and one for the image of the file, which carries the layout."""

    def survey(self, transfer):
        path, selector = url.split_selector(url.parse(transfer.src)[1])
        return survey(transfer, source.Stamp.of(path), selector)


def survey(transfer, stamp, selector):
    """The Survey of the file that the stamp was taken of, or of the part below `selector`. SourceError, NothingMatched."""
    tag = url.tag_of(transfer.dst)
    prefix = tag.rstrip("/")
    with stamp.reading(), library.opened(stamp) as file:
        try:
            return _survey(file, stamp, tag, prefix, _Choice(transfer, selector))
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            if isinstance(error, WrpError):
                raise
            raise SourceError(f"{stamp.path}: its structure can't be read ({error}); the file is damaged") from error


class _Choice:
    """Which dataset paths a transfer asks for: below the selector, not excluded, and included."""

    def __init__(self, transfer, selector):
        self._below = selector.rstrip("/")
        self._include, self._exclude = transfer.include, transfer.exclude
        self.is_all = not (self._below or self._include or self._exclude)

    def resolve(self, walk):
        """Take the selector's object under the name that the walk gives it: soft links lead there too."""
        name = walk.name_of(self._below.encode("utf-8", "surrogateescape")) if self._below else None
        if name is not None:
            self._below = name.decode("utf-8", "backslashreplace")

    def __contains__(self, path):
        if self._below and path != self._below and not path.startswith(self._below + "/"):
            return False
        if any(fnmatchcase(path, glob) for glob in self._exclude):
            return False
        return not self._include or any(fnmatchcase(path, glob) for glob in self._include)

    def refusal(self, path, datasets):
        asked = [f"below {self._below}"] if self._below else []
        asked += [f"including {', '.join(self._include)}"] if self._include else []
        asked += [f"excluding {', '.join(self._exclude)}"] if self._exclude else []
        wanted = self._below or (self._include or ("",))[0]
        near = difflib.get_close_matches(wanted, datasets, n=1, cutoff=0.3)
        hint = f"; the nearest of its {len(datasets)} datasets is {near[0]}" if near else f"; it has {len(datasets)} datasets"
        return NothingMatched(f"{path}: no dataset matches ({', '.join(asked)}){hint}")


def _survey(file, stamp, tag, prefix, choice):
    records, raw, items, notes, taken = [], [np.empty((0, 2), np.int64)], [], [], {}
    walk = Walk(file)
    choice.resolve(walk)
    used = scales.Scales(walk)
    for paths in walk.datasets:
        names = [path.decode("utf-8", "surrogateescape") for path in paths]
        shown = [path.decode("utf-8", "backslashreplace") for path in paths]
        dataset = h5o.open(file.id, paths[0])
        where = f"{stamp.path}:{shown[0]}"
        chosen = next((path for path in shown if path in choice), None)
        if chosen is None:
            record, bytes_of_it = storage.left_out(dataset, names, stamp)
            records.append(record)
            raw.append(bytes_of_it)
            used.leave_out(paths[0])
            continue
        record = storage.described(dataset, names, where, stamp)
        records.append(record)
        raw.append(storage.runs(record))
        record.tag = prefix + chosen
        if taken.setdefault(record.tag, where) != where:
            raise SourceError(f"{where} and {taken[record.tag]} would both become the tag {record.tag!r}")
        items.append(_item(record, dataset, stamp, paths[0]))
        if record.why in ("virtual storage", "external storage"):
            if not isinstance(stamp, source.Stamp):
                raise SourceError(f"{where} takes its values from other files ({record.why}), which aren't looked for beside an object; "
                                  "take the files in from a folder")
            notes.append(f"{where} takes its values from other files ({record.why}): they were taken in as they are now")
        if not choice.is_all:
            used.take_in(shown[0], dataset)
    if not choice.is_all and not items:
        raise choice.refusal(stamp.path, [record.paths[0] for record in records])
    items.insert(0, _image_item(records, np.concatenate(raw), stamp, tag))
    return Survey(tag, tuple(items), (*notes, *used.notes()), sources=(stamp,))


def _item(record, dataset, stamp, path):
    """The item of a dataset; sets `nbytes` of the record where only its stream knows it."""
    stream = _stream(record, dataset, stamp, path)
    if isinstance(stream, library.ListStream):
        record.nbytes = stream.nbytes
    cost = record.nbytes * (_DECODING if record.filters else 1)
    dims = "".join(f", {extent}" for extent in record.shape or ())
    description = f"tensor<{datatypes.word(dataset.get_type())}{dims}>"
    return Item(record.tag, description, record.nbytes, BLOB_NBYTES, cost, stream)


def _stream(record, dataset, stamp, path):
    tid = dataset.get_type()
    if datatypes.is_listed(tid) and record.shape is not None and 0 not in record.shape:
        return library.ListStream.measured(stamp, h5py.Dataset(dataset), path)
    if not record.nbytes:
        return None
    if record.storage == "contiguous":
        return image.FillStream(record.fill) if record.offset is None else Span(stamp, record.offset, record.nbytes)
    if record.chunks is not None:
        return ChunkedStream(stamp, record)
    return library.LibraryStream(stamp, path, tuple(record.shape), record.itemsize)


def _image_item(records, raw, stamp, tag):
    offsets, sizes = image.complement(raw, stamp.nbytes, stamp.path)
    stream = image.RunsStream(stamp, offsets, sizes)
    count = sum(record.storage != "left_out" for record in records)
    packed = layout.Layout(stamp.nbytes, offsets, sizes, records).pack()
    return Item(tag, f"hdf5<size={stamp.nbytes}, datasets={count}>", stream.nbytes, BLOB_NBYTES, stream.nbytes, stream,
                ((layout.BLOB, packed),), is_dataset=False)
