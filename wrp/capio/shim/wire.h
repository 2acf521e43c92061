/* The records of CAPIO's protocol and shared table, as the server lays them out in wrp/capio/wire.py: a test compares the two. */
#ifndef CAPIO_WIRE_H
#define CAPIO_WIRE_H
#include <stdint.h>

#define CAPIO_MAGIC 0x314f4943u         /* "CIO1" */

enum capio_op {
    CAPIO_HELLO = 1,            /* path: step; path2: workflow; a: 2: the pid is that of another process. No reply */
    CAPIO_READ = 2,             /* may this process open path for reading? The reply may take long */
    CAPIO_WRITE = 3,            /* this process is about to open path for writing with these flags. b: its thread */
    CAPIO_OPENED = 4,           /* what came of it: a: errno or 0. b: its thread. No reply */
    CAPIO_STAT = 5,             /* may this process see whether path exists, and its attributes? */
    CAPIO_LIST = 6,             /* may this process list the directory path? */
    CAPIO_RENAME = 7,           /* this process is about to rename path to path2 */
    CAPIO_MKDIR = 8,            /* this process has made the directory path */
    CAPIO_MORE = 9,             /* may this process read path beyond what is there? a: up to this byte (entry of a directory: b is 1) */
    CAPIO_DONE = 10,            /* a: bytes read, b: nanoseconds waited for bytes of path. No reply */
    CAPIO_CONTROL = 11,         /* path: JSON; the reply's text is JSON */
    CAPIO_BYE = 12,             /* this process ends by itself. No reply */
    CAPIO_TABLE = 13,           /* which ring of the table is my own (a: 1: I want none)? The reply's slot: its number, -1: none; its text: the table's path */
    CAPIO_NAME = 14,            /* the reply's text: the path below CAPIO_DIR of this file in the depot, "": it has none */
};

struct capio_request {
    uint32_t magic;
    uint16_t op;
    uint16_t version;
    int32_t pid;
    int32_t flags;              /* of open */
    int64_t a;
    int64_t b;
    uint32_t path_nbytes;       /* the path follows the record, then the second one; no terminating zeros */
    uint32_t path2_nbytes;
};

enum capio_what {
    CAPIO_STREAM = 1,           /* reading: end of file is real only once the slot is no longer open; writing: bump the slot */
    CAPIO_REDIRECT = 2,         /* writing: the file isn't there, and is to be made as the text, its name a link to that */
    CAPIO_WATCHED = 4,          /* writing: the file isn't there, and the kernel tells of new files in its folder */
};

struct capio_reply {
    uint32_t magic;
    int32_t error;              /* errno the call ends with, 0: go on */
    uint32_t what;
    int32_t slot;               /* -1: none */
    uint32_t text_nbytes;       /* a sentence for stderr, or the path of a redirection; follows the record */
    uint32_t version;
};

#define CAPIO_VERSION 3
#define CAPIO_TEXT 4096         /* most bytes of a path or text */

enum capio_state { CAPIO_OPEN = 0, CAPIO_COMMITTED = 1 };

struct capio_slot {             /* one file or directory that is being written and read at once, or that is complete */
    uint32_t counter;           /* futex: changes when there is more, and when the state does */
    uint32_t state;
    uint32_t waiters;
    uint32_t generation;        /* changes when the slot becomes another file's */
    uint64_t device;
    uint64_t inode;
    uint64_t nbytes;            /* of a complete file: who finds all as it stands here needn't ask */
    int64_t changed_ns;         /* its mtime */
    uint32_t next;              /* of the same head: number of a slot + 1, 0: the last */
    uint16_t path_nbytes;       /* 0: not found by its path */
    uint16_t is_whole;          /* complete, and the four words above say which file it is */
    char path[136];             /* below CAPIO_DIR */
};

enum capio_outcome { CAPIO_UNTOLD = 0, CAPIO_MADE = 1, CAPIO_NOTHING = 2 };

struct capio_post {             /* what a process says without asking: it is about to make this file, which isn't there */
    uint32_t outcome;           /* its number in the ring, 30 bits, times 4; and what came of it */
    uint32_t path_nbytes;
    char path[152];             /* below CAPIO_DIR */
};

#define CAPIO_POSTS 512
struct capio_ring {             /* posts of one process, which writes them and the head; the server writes the tail */
    uint64_t head;
    uint64_t tail;
    char spare[4080];
    struct capio_post posts[CAPIO_POSTS];
};

/* The table: a head, the first slots of all paths with the same hash (CRC-32 modulo CAPIO_HEADS), the slots, the rings */
#define CAPIO_TABLE_HEAD 4096
#define CAPIO_HEADS 16384
#define CAPIO_SLOTS 16384
#define CAPIO_RINGS 32
struct capio_table {
    char head[CAPIO_TABLE_HEAD];
    uint32_t heads[CAPIO_HEADS];
    struct capio_slot slots[CAPIO_SLOTS];
    struct capio_ring rings[CAPIO_RINGS];
};
#endif
