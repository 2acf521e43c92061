"""conf check and conf show: the configuration that would be used."""

from types import MappingProxyType

from wrp.runtime.commands.output import show as print_answer
from wrp.runtime.commands.output import table
from wrp.runtime.composing import check as check_pools
from wrp.runtime.config import describe, load


def check(args):
    """Read the file; raises ConfigError with what is wrong, also of pools that can't be made. Local."""
    config = load(args.file)
    check_pools(config)
    keys = [key.path for key in describe() if "[]" not in key.path and config.origin(key.path) != "default"]
    answer = {"path": config.path, "keys_set": keys}
    print_answer(answer, [f"{config.path or 'no file, the defaults'}: correct, {len(keys)} key{'s' * (len(keys) != 1)} set"], args.json)


def show(args):
    """Print every key's value, with `--origin` where it came from. Local."""
    config = load(args.conf)
    rows = [(key.path, _plain(config.get(key.path)), config.origin(key.path)) for key in describe() if "[]" not in key.path]
    answer = {path: {"value": value, "origin": origin} if args.origin else value for path, value, origin in rows}
    cells = [(path, _text(value), origin) if args.origin else (path, _text(value)) for path, value, origin in rows]
    print_answer(answer, table(("key", "value", "from") if args.origin else ("key", "value"), cells), args.json)


def _text(value):
    return f"{len(value)} entries" if isinstance(value, list) else str(value)


def _plain(value):
    """The value as JSON has it."""
    if isinstance(value, (MappingProxyType, dict)):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
