"""Two HDF5 files compared by a walk over everything: links, groups, attributes, types, values, property lists."""

import h5py
import numpy as np
from h5py import h5a, h5d


def differences(left_path, right_path):
    """Sentences about what differs; an empty list when the files hold the same."""
    with h5py.File(left_path, "r") as left, h5py.File(right_path, "r") as right:
        return list(_groups(left, right, "/", {}))


def _groups(left, right, path, seen):
    seen[_address(left)] = (path, _address(right))
    yield from _attributes(left, right, path)
    for name in sorted(set(left) | set(right)):
        here = path.rstrip("/") + "/" + name
        if name not in left or name not in right:
            yield f"{here}: only in {'the second' if name in right else 'the first'} file"
            continue
        links = [_link(group, name) for group in (left, right)]
        if links[0] != links[1]:
            yield f"{here}: link {links[0]} and {links[1]}"
        elif links[0] == "hard":
            yield from _objects(left[name], right[name], here, seen)


def _objects(left, right, path, seen):
    if type(left) is not type(right):
        yield f"{path}: {type(left).__name__} and {type(right).__name__}"
    elif _address(left) in seen:
        first, other = seen[_address(left)]
        if other != _address(right):
            yield f"{path}: the same object as {first} in the first file only"
    elif isinstance(left, h5py.Group):
        yield from _groups(left, right, path, seen)
    elif isinstance(left, h5py.Datatype):
        seen[_address(left)] = (path, _address(right))
        if not left.id.equal(right.id):
            yield f"{path}: named types differ"
        yield from _attributes(left, right, path)
    else:
        seen[_address(left)] = (path, _address(right))
        yield from _datasets(left, right, path)


def _datasets(left, right, path):
    yield from _attributes(left, right, path)
    if not left.id.get_type().equal(right.id.get_type()):
        yield f"{path}: type {left.dtype} and {right.dtype}"
        return
    if (left.shape, left.maxshape) != (right.shape, right.maxshape):
        yield f"{path}: shape {left.shape} of {left.maxshape} and {right.shape} of {right.maxshape}"
        return
    yield from (f"{path}: {name} {one!r} and {other!r}" for name, one, other in
                zip(_PROPERTIES, _properties(left), _properties(right)) if one != other)
    if left.shape is not None and not _same_values(left[()], right[()]):
        yield f"{path}: values differ"


_PROPERTIES = ("layout", "chunk", "filters", "fill value", "fill time", "allocation time", "stored chunks", "filter masks")


def _properties(dataset):
    """The creation property list, and which chunks are stored under which filter mask."""
    plist = dataset.id.get_create_plist()
    layout = plist.get_layout()
    chunks = masks = None
    if layout == h5d.CHUNKED and dataset.size:
        infos = [dataset.id.get_chunk_info(number) for number in range(dataset.id.get_num_chunks())]
        chunks = sorted(info.chunk_offset for info in infos)
        masks = sorted((info.chunk_offset, info.filter_mask) for info in infos)
    filters = [plist.get_filter(number) for number in range(plist.get_nfilters())]
    return (layout, plist.get_chunk() if layout == h5d.CHUNKED else None, filters, _fill_value(dataset, plist),
            plist.get_fill_time(), plist.get_alloc_time(), chunks, masks)


def _fill_value(dataset, plist):
    """Whether and to which bytes; None for types without a fixed size."""
    defined = plist.fill_value_defined()
    if defined != h5d.FILL_VALUE_USER_DEFINED or dataset.dtype.hasobject:
        return defined, None
    value = np.zeros((), dataset.dtype)
    plist.get_fill_value(value)
    return defined, value.tobytes()


def _attributes(left, right, path):
    for name in sorted(set(left.attrs) | set(right.attrs)):
        if name not in left.attrs or name not in right.attrs:
            yield f"{path}@{name}: only in {'the second' if name in right.attrs else 'the first'} file"
            continue
        ids = [h5a.open(side.id, name.encode()) for side in (left, right)]
        if not ids[0].get_type().equal(ids[1].get_type()) or ids[0].shape != ids[1].shape:
            yield f"{path}@{name}: type or shape differs"
        elif not _same_values(left.attrs[name], right.attrs[name]):
            yield f"{path}@{name}: values differ"


def _link(group, name):
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.SoftLink):
        return f"soft to {link.path}"
    if isinstance(link, h5py.ExternalLink):
        return f"external to {link.filename}:{link.path}"
    return "hard"


def _address(thing):
    return h5py.h5o.get_info(thing.id).addr


def _same_values(left, right):
    """Equal to the bit; variable-length values and references element by element."""
    if isinstance(left, h5py.Empty) or isinstance(right, h5py.Empty):
        return isinstance(left, h5py.Empty) and isinstance(right, h5py.Empty) and left.dtype == right.dtype
    if isinstance(left, (str, bytes, h5py.Reference, h5py.RegionReference)):
        return left == right if isinstance(left, (str, bytes)) else bool(left) == bool(right)
    left, right = np.asarray(left), np.asarray(right)
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    if left.dtype.hasobject:
        return all(_same_element(one, other) for one, other in zip(left.ravel(), right.ravel()))
    return left.tobytes() == right.tobytes()


def _same_element(left, right):
    if isinstance(left, (np.void, tuple)):
        return all(_same_element(one, other) for one, other in zip(left, right))
    if isinstance(left, (str, bytes, np.ndarray, np.generic)):
        return _same_values(left, right) if not isinstance(left, (str, bytes)) else left == right
    if isinstance(left, (h5py.Reference, h5py.RegionReference)):
        return bool(left) == bool(right)
    return left == right
