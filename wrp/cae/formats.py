"""What job files call the kinds of source, in `format`, and the kind that a transfer is taken in as. No sources are read here."""

from wrp.cae import registry, url

# word: the protocol that takes such a file in
WORDS = {"binary": "file", "raw": "file", "bin": "file", "csv": "file", "parquet": "file",
         "hdf5": "hdf5", "h5": "hdf5", "hdf": "hdf5"}


def kind(transfer):
    """The protocol of a local source; of an object "hdf5" or "file", as `format` says."""
    protocol, _ = url.parse(transfer.src)
    return WORDS.get(transfer.format.lower(), "file") if registry.is_remote(protocol) else protocol
