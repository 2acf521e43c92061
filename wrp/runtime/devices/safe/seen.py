"""How a safe device is: its members, which of them are out, how many more may go, and how far a recovery is. Any process of the node; opens no member."""

from wrp.comm import atomics
from wrp.runtime import bdev
from wrp.runtime.devices.safe import board as boards
from wrp.runtime.devices.safe.roster import positions_of


def state(board):
    """A dictionary of a Board, with the names that the reference has for what it has too."""
    paths, out, joining = board.paths, positions_of(board.out), filter(board.is_at_work, positions_of(board.out & board.joining))
    recoveries, rows, done, now = board.recovery_ops
    return {"members": [path for path in paths if path], "failed": _named(paths, out), "recovering": _named(paths, joining),
            "max_failures": board.counted(boards.MAX_FAILURES), "parity_level": max(0, board.counted(boards.MAX_FAILURES) - len(out)), "is_broken": board.is_broken,
            "dirty_rows": board.counted(boards.UNDER_WAY), "recovered": board.counted(boards.RECOVERED), "lost": board.counted(boards.LOST),
            "recovery_active": recoveries, "recovery_ops_total": rows, "recovery_ops_completed": done, "recovery_ops_in_flight": now,
            "recovery_ops_remaining": rows - done}


def of_facts(base, facts):
    """As `state`, of the device whose facts lie at an address, in a segment that begins at `base`; {} while it is made."""
    board = atomics.load(facts + bdev.BOARD)
    return state(boards.Board(base + board, facts + bdev.UNDER_WAY, 0)) if board else {}


def describe(found):
    """Half a sentence of a state."""
    away, more = len(found["failed"]), found["parity_level"]
    said = f"{len(found['members'])} members" + (f", {away} out ({', '.join(found['failed'])})" if away else ", all of them in")
    said += ", no writes before it is opened again with more members" if found.get("is_broken") else f", {more or 'none'} more may be lost" if away else f", {more} may be lost"
    if found.get("recovery_active"):
        rows, done = found["recovery_ops_total"], found["recovery_ops_completed"]
        said += f"; going through {rows} rows{' for ' + ', '.join(found['recovering']) if found['recovering'] else ''}, {100 * done // max(rows, 1)} % done"
    return said


def _named(paths, positions):
    return [paths[position] for position in positions if position < len(paths)]
