"""Changes of the tree of tags and blobs by path: folders made and taken away, files removed and renamed. No bytes of files are written here."""

import re
from errno import EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM

from wrp.cee.doors import tree
from wrp.errors import UsageError


def make_folder(store, path, find=tree.find):
    """An empty tag. FileExistsError, also where another makes it at the same moment. `find`: as of `rename`."""
    if find(store, path) is None:
        tree.check(path)
        if store.create(path):
            return
    raise FileExistsError(EEXIST, "it is there", path)


def remove_folder(store, path):
    """A folder with nothing in it goes. OSError."""
    if _found(store, path).kind != "folder":
        raise NotADirectoryError(ENOTDIR, "it is a file", path)
    if store.exists(path) and store.list(path) or tree.lies_in(store, path):
        raise OSError(ENOTEMPTY, "the folder isn't empty", path)
    if store.exists(path):
        store.destroy(path)


def remove_file(store, path):
    """A blob, or what was taken in, goes. OSError."""
    node = _found(store, path)
    if node.kind == "folder":
        raise IsADirectoryError(EISDIR, "it is a folder", path)
    if node.kind == "blob":
        _refuse_of_source(node)
        store.delete(node.tag, node.blob)
    else:
        store.destroy(node.tag)


def _refuse_of_source(node):
    if not node.stamp:
        raise PermissionError(EPERM, "its checkpoint shows what is another tag's: change it there", node.path)


def remove_all(store, path):
    """A file, or a folder and all in it, goes: all tags in it at one moment; nothing happens where there is neither."""
    node = tree.find(store, path)
    if node is None:
        return
    if node.kind != "folder":
        remove_file(store, path)
        return
    if not path:
        for child in list(tree.children(store, path)):
            remove_all(store, child)
    elif store.exists(path) or store.tags(re.escape(path) + "/.+"):
        store.destroy(path, recursive=True)
    for tag, rest in tree.splits(store, path):
        for blob in store.list(tag, rest + "/"):
            _refuse_of_source(tree.of_blob(tag, blob, store.info(tag, blob)))
            store.delete(tag, blob)


def rename(store, path, new_path, find=tree.find):
    """Let a file or folder have another path. A file takes the place of a blob, a folder that of an empty one. OSError.

    At one moment, but for blobs that lie in a folder within a tag: they go one after the other. Bytes that lie in files are copied with a blob, not with a tag.
    A blob that another one of the same path, in a longer tag, has hidden stays where it is, and is seen there.
    find : what says which Node is at a path
    """
    node, there = _found(store, path, find), find(store, new_path)
    tree.check(new_path)
    if path == new_path:
        return
    if node.kind == "folder":
        _rename_folder(store, path, there, new_path)
    elif node.kind == "blob":
        _refuse_of_source(node)
        _rename_blob(store, node.tag, node.blob, *tree.place(store, new_path, there))
    elif there is not None:
        raise PermissionError(EPERM, f"{path!r} was taken in: it takes no file's place", new_path)
    else:
        store.rename_tag(node.tag, new_path)


def _rename_folder(store, path, there, new_path):
    if (new_path + "/").startswith(path + "/"):
        raise OSError(EINVAL, f"{path!r} can't be moved into itself", new_path)
    if there is not None:
        remove_folder(store, new_path)
    outer = [(tag, rest) for tag, rest in tree.splits(store, path) if rest]
    if store.exists(path) or store.tags(re.escape(path) + "/.+"):
        store.rename_folder(path, new_path)
    for tag, rest in outer:
        for blob in store.list(tag, rest + "/"):
            name = new_path + blob[len(rest):]
            if tree.find(store, name) is None:
                _rename_blob(store, tag, blob, *tree.place(store, name, None))


def _rename_blob(store, tag, blob, new_tag, new_blob):
    try:
        store.rename(tag, blob, new_blob, new_tag, replace=True)
    except UsageError:                  # of an encrypted store, where blobs are sealed under their names
        store.copy(tag, blob, new_tag, new_blob)
        store.delete(tag, blob)


def _found(store, path, find=tree.find):
    node = find(store, path)
    if node is None:
        raise FileNotFoundError(ENOENT, "there is no such file or folder", path)
    return node
