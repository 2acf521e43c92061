"""The kind of device that a configuration means by bdev_type, or by a path. Makes none."""

ALIASES = {"hbm": "gpu", "s3": "object", "gcs": "object"}       # names of the reference


def kind_of(bdev_type, path):
    """"ram", "file", "object" and so on; of the path alone where there is no bdev_type."""
    return ALIASES.get(bdev_type, bdev_type) or ("ram" if path.startswith("ram::") else "object" if is_url(path) else "file")


def is_url(text):
    return "://" in str(text) and not str(text).startswith("ram::")
