"""How the catalog of a node lies in shared memory: words of its header, words of a record. Offsets in bytes, and nothing that changes them.

A kernel is given `at`, the address of the header; everything else is found by offsets from there, so it is the same for all ranks of the node.

A record begins at a multiple of 32 bytes of the heap, its number is that multiple, and where a record once began one begins for ever, of
the same size class. So its first word is a sequence number that only grows: odd while the record is being changed, another one after.
A reader copies between two equal even ones and has what one writer wrote.
"""

from wrp.comm.atomics import load
from wrp.comm.jit import kernel

# header
TABLE = 0               # offset of the table's slots
HOMES = 8               # home slots, a power of two
LIVE = 16               # names in the table
LIMIT = 24              # most names
CHANGES = 32            # odd while a slot changes or goes away
HEAP = 40               # offset of the heap
NEXT = 48               # bytes of the heap that have been given out once
BACKED = 56             # bytes of the heap that have memory
HEAP_NBYTES = 64
LAST = 72               # highest stamp given out or seen
DIRTY_COUNT = 80        # records with the flag DIRTY
FLUSHES = 88
TOKEN = 96              # offset of the catalog's token
TELEMETRY = 104         # offset of the ring of operations; 0: there is none
COUNTERS = 112          # offset of the counters of targets; 0: there are none
TURNED = 120            # records that became dirty, or moved while they were, since the beginning; the numbers of the last ones are in LATELY
TURNED_SEEN = 128       # of those, the ones that a flush has looked for
REMOVALS = 136          # the stamp of every removal while a batch that has its stamps isn't shown yet
REMOVALS_IN = 144       # what FLUSHES was when that was set: it holds no longer than whoever holds the journals
FREE = 256              # per size class: number of the first free record
CLASSES = 64
LATELY = FREE + 8 * CLASSES
MOST_LATELY = 128       # a power of two
HEADER_NBYTES = LATELY + 8 * MOST_LATELY

# record
SEQUENCE = 0
KEY0, KEY1 = 8, 16      # hash128 of the full name
SHAPE = 24              # kind | flags << 8 | nbytes of the own name << 32 | size class << 48
STAMP = 32              # generation: grows with every change of the bytes, over all names of the store; wall clock, ns
SIZE = 40               # of a blob its bytes, of a tag those of all its blobs
CHECK = 48              # of a blob crc32 | codec << 32, of a tag the number of its blobs
SCORE = 56              # float64
CREATED = 64            # wall clock, ns
READ = 72               # the last read, wall clock, ns; READ and READS are written by readers, outside of the sequence
READS = 80              # how often it was read
RAW = 88                # of a blob the bytes before a codec changed them (0: none did), of a tag its first blob
TAG = 96                # of a blob the number of its tag
LINKS = 104             # next blob of the tag | the one before << 32; of a free record the next free one
COUNTS = 112            # extents | durable extents << 32
HEAD = 120              # then extents, then durable extents, then the own name, padded to words

EXTENT = 24             # target << 32 | crc32, offset, nbytes

UNIT = 32
FIRST = 2               # number of the first record; 0 is none
TAG_KIND, BLOB_KIND, ANCHOR = 1, 2, 3       # an anchor holds the list of blobs whose tag isn't there (yet)
DIRTY, PINNED, JOURNALED, TRANSFORMED = 1, 2, 4, 8      # pinned: views.py may say that somebody looks at the bytes

ABSENT, BUSY, FULL, UNBACKED = 0, -1, -2, -3
LOW = 0xFFFFFFFF


@kernel
def record_at(at, number):
    """Address of a record."""
    return at + load(at + HEAP) + number * UNIT


@kernel
def kind_of(record):
    return load(record + SHAPE) & 0xFF


@kernel
def flags_of(record):
    return load(record + SHAPE) >> 8 & 0xFFFFFF


@kernel
def name_nbytes(record):
    """Bytes of the own name: of a blob without its tag's."""
    return load(record + SHAPE) >> 32 & 0xFFFF


@kernel
def class_units(number):
    """Units of 32 bytes in a record of size class `number`: 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, …"""
    if number < 5:
        return 4 + number
    return (12 if (number - 5) % 2 == 0 else 16) << ((number - 5) // 2)


@kernel
def class_of(units):
    """The smallest size class that holds so many units."""
    number = 0
    while class_units(number) < units:
        number += 1
    return number


@kernel
def class_at(record):
    """The size class of a record; it never changes."""
    return load(record + SHAPE) >> 48 & 0xFF


@kernel
def name_at(record):
    """Offset of the name in a record."""
    counts = load(record + COUNTS)
    return HEAD + EXTENT * ((counts & LOW) + (counts >> 32))


@kernel
def nbytes_of(record):
    """Bytes of a record in use, a multiple of 8."""
    return name_at(record) + (name_nbytes(record) + 7) // 8 * 8
