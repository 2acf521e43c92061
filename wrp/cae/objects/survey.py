"""The assimilator of `s3://bucket/key` and its like: raw bytes, or an HDF5 file where `format` says so, `:/group` behind its key being a part of it."""

from wrp.cae import binary, formats, url
from wrp.cae.objects.stamp import ObjectStamp
from wrp.errors import SourceMissing


class Objects:
    """As `file::` and `hdf5::` are, of an object."""

    def survey(self, transfer):
        where, options = "://".join(url.parse(transfer.src)), options_of(transfer)
        if formats.kind(transfer) != "hdf5":
            return binary.survey(transfer, ObjectStamp.of(where, options))
        from wrp.cae.hdf5 import survey

        return survey.survey(transfer, *_with_selector(where, options))


def options_of(transfer):
    """What the transfer says of S3, as pairs: `profile`, `region`."""
    return tuple((name, value) for name, value in (("profile", transfer.s3_profile), ("region", transfer.s3_region)) if value)


def _with_selector(where, options):
    """(stamp, selector): split at a `:/` where there is no object of the whole name."""
    try:
        return ObjectStamp.of(where, options), ""
    except SourceMissing as missing:
        at = where.find(":/", where.index("://") + 3)
        while at > 0:
            try:
                return ObjectStamp.of(where[:at], options), where[at + 1:]
            except SourceMissing:
                at = where.find(":/", at + 1)
        raise missing
