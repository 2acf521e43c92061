"""One store folder as rank 0 sees it: made or recognised, locked, read, compacted. Every rank appends to a journal of its own.

    STORE                      JSON: format version, id, epoch (how often it was opened for writing), data files
    lock, members              see lock.py
    snapshot                   frames: the records that were durable when it was written
    journal/<epoch>-<rank>     frames: changes since, the newest stamp of a name wins, and few bytes (carried.py); zeros may stand behind them; in another
                               folder where STORE says `log`
    data/<number>              the bytes, unless STORE has another path for the number under `places`
    spare                      nothing, see spare.py
"""

import json
import os
import re
import uuid

from wrp.comm.lasting import make_folders, sync_names, sync_path
from wrp.comm.refusals import is_handlers, is_refusal, tolerant
from wrp.cte.folder import frames, spare
from wrp.cte.folder.carried import astray, carried, restore
from wrp.cte.folder.checking import checked, checked_stamp
from wrp.cte.folder.files import replace
from wrp.cte.folder.lock import FolderLock
from wrp.cte.folder.replay import latest, newest, read_changes
from wrp.cte.folder.trim import trim
from wrp.cte.naming.settling import settled
from wrp.cte.records import from_plain, to_plain
from wrp.errors import StoreError, StoreVersion

_FRAME = 16                     # records of a snapshot that have one checksum: what is damaged takes no more with it
_JOURNAL = re.compile(r"[0-9]+-[0-9]+(\.new)?")       # a shared file system, and users, may have other files beside them
FORMAT = 7                      # 2 added times of blobs, 3 data files elsewhere, 4 journals elsewhere, 5 bytes in journals, 6 names of tags that stand for others, 7 tags that are gone; an older one becomes it at the next opening for writing


class Folder:
    """The folder at `path`. Opening it is for rank 0; `journal_path` and `member` are for every rank.

    log : what the name of the folder with the journals begins with (an absolute path), "": they lie in the folder
    """

    def __init__(self, path, write=True, log=""):
        self.path = os.path.abspath(path)
        self.write, self._log = write, log
        self.header = None
        self.latest = 0                             # the highest stamp that snapshot and journals know, also of what is gone
        self.astray = {}                            # (target, offset, nbytes) -> bytes that a reader finds in the journals only
        self._lock = FolderLock(self.path)
        self._is_tight = False                      # the disk was full: what the folder keeps of it was given up

    def open(self, nodes, places=(None,)):
        """Make or recognise the folder, lock it, and return its records by name. Rank 0 only.

        nodes : number of nodes of the job, each of which writes to data files of its own
        places : for each target in files what the names of its files begin with (an absolute path), None: they lie in the folder
        Raises StoreError and its kinds.
        """
        if self.write:
            self._check_log()
            self._make()
        self.header = self._read_header()
        self._lock.take(self.write)
        self.header = self._read_header()           # the last holder may have changed it
        try:
            records, held, stale = self._load()
            if self.write:
                restore(self.data_path, held)
                self._begin_epoch(nodes, places)
                if not stale or self._replaced(stale, records):
                    self._leave_logs()
                self._trim(records)
                if not self._is_tight:
                    spare.keep(self.path)
            else:
                self.astray = astray(self.data_path, held)
        except StoreError:
            raise
        except OSError as error:
            if not is_refusal(error):
                raise
            raise self.unusable(error) from error
        return records

    def unusable(self, error):
        """What to raise for an OSError."""
        return StoreError(f"store {self.path} can't be read or written: {error.strerror} ({error.filename or self.path}): check its permissions and the room on its disk")

    def member(self, header, astray=(), latest=0):
        """Join as one rank of the job, with the header, the bytes and the highest stamp that rank 0 shared. Every rank."""
        self.header, self.astray, self.latest = header, dict(astray), latest
        if self.write:
            if not os.path.isdir(self.journals):
                raise StoreError(f"store {self.path}: its journals are to lie in {self.journals}, which isn't there for this rank: let performance.metadata_log_path "
                                 f"be a place that every rank sees")
            self._lock.join()

    def data_path(self, number):
        """Path of data file `number` (from 0)."""
        return self.header.get("places", {}).get(str(number), {}).get("path") or os.path.join(self.path, "data", str(number))

    def place(self, number):
        """The place that data file `number` was made for, None: the folder."""
        return self.header.get("places", {}).get(str(number), {}).get("place")

    @property
    def journals(self):
        """The folder with the journals of this job."""
        return self.header.get("log") or os.path.join(self.path, "journal")

    def _journal_folders(self):
        """Those in which journals may lie."""
        return [os.path.join(self.path, "journal"), *self.header.get("logs", ())]

    def journal_path(self, rank):
        return os.path.join(self.journals, f"{self.header['epoch']}-{rank}")

    def close(self):
        if self._is_tight:
            spare.keep(self.path)
        self._lock.release()

    def in_child(self):
        """In a forked child: the parent alone has the folder."""
        self._lock.leave()

    # reading

    def _load(self):
        """(live records by name, {extent: bytes} of those that journals hold, journal files that a snapshot would replace)."""
        changes = read_changes(os.path.join(self.path, "snapshot"), whole=True)
        # older journals are in the snapshot; whoever wrote it died before all of them were gone, and removals may be missing
        first = changes[-1].get("epoch", 0) if changes else 0
        files = self._journal_files()
        for path in files:
            # one that was being rewritten doesn't count: the journal itself is there
            if not path.endswith(".new") and int(os.path.basename(path).partition("-")[0]) >= first:
                changes += read_changes(path, whole=False)
        records = settled(self._records(changes))
        return records, self._carried(changes, records), files

    def _journal_files(self):
        """Paths of all journals. StoreError where a folder of them is missing."""
        files = []
        for folder in self._journal_folders():
            if not os.path.isdir(folder):
                raise StoreError(f"store {self.path}: its journals lie in {folder}, which isn't there: run where it is, or bring it back to this path")
            files += sorted(os.path.join(folder, name) for name in os.listdir(folder) if _JOURNAL.fullmatch(name))
        return files

    def names_beside(self, path, pace=iter):
        """Names in the snapshot and in journals other than `path`, whatever they say of them; `pace`: as for frames.decode_all. StoreError for damage."""
        others = [other for other in self._journal_files() if not other.endswith(".new")]
        changes = read_changes(os.path.join(self.path, "snapshot"), True, pace)
        for other in others:
            changes += read_changes(other, False, pace) if other != path else []
        return set(newest(changes, pace))

    def _records(self, changes):
        """Live records by name. StoreError for changes that no wrp wrote."""
        try:
            self.latest = checked_stamp(latest(changes))
            return {name: from_plain(checked(plain, self.header["files"])) for name, (_, _, plain) in newest(changes).items() if plain is not None}
        except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
            raise self._foreign(error) from error

    def _carried(self, changes, records):
        """{extent: bytes} that journals hold of what records name. StoreError as above."""
        try:
            found = carried(changes)
            return {extent: found[extent] for record in records.values() for extent in record.durable if extent in found}
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise self._foreign(error) from error

    def _foreign(self, error):
        return StoreError(f"store {self.path}: its journals hold a change that wrp doesn't write ({error}): `wrp_cee salvage` says what can be kept; or restore the folder from a copy")

    def _read_header(self):
        path = os.path.join(self.path, "STORE")
        try:
            with open(path, encoding="utf-8") as file:
                header = json.load(file)
            version = header["format"]
            if version in range(1, FORMAT + 1) and any(type(header[key]) is not int or header[key] < 0 for key in ("epoch", "files")):
                raise ValueError("its numbers are no numbers")
            if not all(isinstance(path, str) for path in (header.get("log", ""), *header.get("logs", ()))):
                raise ValueError("places of its journals are no paths")
        except (FileNotFoundError, NotADirectoryError):
            if not os.path.exists(self.path):
                raise StoreError(f"there is no store at {self.path}: ingest something first, or name its folder (--store of a command)") from None
            raise StoreError(f"{self.path} is not a store of wrp (it has no STORE file): "
                             f"name another folder (--store of a command)") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            if is_handlers(error):
                raise
            raise StoreError(f"store {self.path}: its STORE file can't be read: {getattr(error, 'strerror', None) or f'{error}; restore it from a copy of the store'}") from error
        if version not in range(1, FORMAT + 1):
            raise StoreVersion(f"store {self.path} has format {version}, this wrp reads formats 1 to {FORMAT}: "
                               f"open it with the wrp that wrote it, or choose another folder (--store of a command)")
        return header

    # writing

    def _make(self):
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise StoreError(f"{self.path} is a file, not the folder of a store: choose another folder (--store of a command)")
        try:
            make_folders(self.path)
            fresh = not os.path.exists(os.path.join(self.path, "STORE"))
            if fresh and set(os.listdir(self.path)) - {"journal", "data", "STORE.new", "lock", "members"}:
                raise StoreError(f"{self.path} holds other files and no store of wrp: choose an empty or new folder (--store of a command)")
            for name in ("journal", "data"):
                os.makedirs(os.path.join(self.path, name), exist_ok=True)
            if fresh:
                sync_names(os.path.dirname(self.path))      # a flush promises nothing in a folder that may not be there
                self._write_header({"format": FORMAT, "id": uuid.uuid4().hex, "epoch": 0, "files": 0})
            if not os.access(self.path, os.W_OK) or _mounted_read_only(self.path):
                raise StoreError(f"store {self.path} is read-only for this user: choose another folder (--store of a command)")
        except StoreError:
            raise
        except OSError as error:
            if not is_refusal(error):
                raise
            raise StoreError(f"store {self.path} can't be made or written: {error.strerror}") from error

    def _check_log(self):
        """Before anything is made: there can be a folder for the journals."""
        above = os.path.dirname(self._log)
        if self._log and not (os.path.isdir(above) and os.access(above, os.W_OK)):
            raise StoreError(f"performance.metadata_log_path {self._log}: {above} is no folder that this user can write to: make it, or choose another place")

    def _begin_epoch(self, nodes, wanted):
        files, places = self._numbered(nodes, wanted)
        logs = list(self.header.get("logs", ()))
        log = f"{self._log}-{self.header['id'][:12]}" if self._log else None
        if log:
            os.makedirs(log, exist_ok=True)
            sync_path(os.path.dirname(log))
        if log not in (None, *logs):
            logs.append(log)
        # journals of earlier jobs are where they were until the snapshot has what they say
        changes = dict(format=FORMAT, epoch=self.header["epoch"] + 1, files=files, places=places or None, log=log, logs=logs or None)
        try:
            self.change_header(**changes)
        except OSError as error:
            if error.errno not in spare.FULL:
                raise
            self._is_tight = True
            spare.spend(self.path)
            self.change_header(**changes)

    def _replaced(self, stale, records):
        """True when a snapshot has what these journals say; on a full disk they stay as they are, and are read again next time."""
        try:
            self.write_snapshot(records)
        except OSError as error:
            if error.errno not in spare.FULL:
                raise
            self._is_tight = True
            spare.spend(self.path)
            for path in stale:
                sync_path(path)             # space that they give up is used from now on
            return False
        self._drop(stale)
        return True

    def _leave_logs(self):
        """Nothing of earlier jobs lies in other folders any more."""
        log, logs = self.header.get("log"), self.header.get("logs", [])
        left = [path for path in logs if path != log]
        if left:
            logs = [log] if log else []
            self.change_header(logs=logs or None)
        for path in left:
            with tolerant():             # something of somebody else's may lie there
                os.rmdir(path)

    def _numbered(self, nodes, wanted):
        """(number of data files, {number: where it lies} of those elsewhere), so that every node has its file in every place.

        Node n has the files k with k % nodes == n.
        """
        files, places = self.header["files"], dict(self.header.get("places", {}))
        taken = {}
        for number in range(files):
            taken.setdefault((places.get(str(number), {}).get("place"), number % nodes), []).append(number)
        for place in wanted:
            for node in range(nodes):
                if taken.get((place, node)):
                    taken[place, node].pop()
                    continue
                number = files + (node - files) % nodes
                for skipped in range(files, number):
                    taken.setdefault((None, skipped % nodes), []).append(skipped)
                files = number + 1
                if place is not None:
                    places[str(number)] = self._placed(place, number)
        return files, places

    def has_place(self, place):
        """True when data files were made for this place."""
        return any(each["place"] == place for each in self.header.get("places", {}).values())

    def add_files(self, nodes, place):
        """Name one more data file for each node of the job, in a place; durable when it returns. Rank 0 only."""
        first = self.header["files"]
        more = {str(number): self._placed(place, number) for number in range(first, first + nodes)}
        self.change_header(files=first + nodes, places={**self.header.get("places", {}), **more})

    def _placed(self, place, number):
        return {"place": place, "path": f"{place}-{self.header['id'][:12]}-{number}"}

    def _write_header(self, header):
        replace(os.path.join(self.path, "STORE"), json.dumps(header, indent=1).encode() + b"\n")

    def change_header(self, **changes):
        """Keep further settings in the header; durable when it returns. Rank 0 only."""
        header = {key: value for key, value in {**self.header, **changes}.items() if value is not None}
        self._write_header(header)
        self.header = header

    def write_snapshot(self, records):
        """Replace the snapshot by these records (name -> Record)."""
        plain = [to_plain(record) for record in records.values()]
        pieces = [frames.encode({"put": plain[start:start + _FRAME]}) for start in range(0, len(plain), _FRAME)]
        pieces.append(frames.encode({"end": len(plain), "epoch": self.header["epoch"]}))
        replace(os.path.join(self.path, "snapshot"), b"".join(pieces))

    def _trim(self, records):
        """Give the disk back what no record uses of the data files."""
        used = {}
        for record in records.values():
            for target, offset, nbytes, _ in record.durable:
                used.setdefault(target - 1, []).append((offset, nbytes))
        for number in range(self.header["files"]):
            if os.path.exists(self.data_path(number)):
                trim(self.data_path(number), used.get(number, []))

    def _drop(self, paths):
        for path in paths:
            os.unlink(path)
        for folder in sorted(set(map(os.path.dirname, paths))):
            sync_path(folder)


def _mounted_read_only(path):
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
