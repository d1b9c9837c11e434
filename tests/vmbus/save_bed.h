/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of saving stand on: a guest, and hosts that follow one another under it. Each host
 * has devices of a kind that echoes packets, holds them back where told, and carries or drains what
 * it holds when it is saved.
 */
#ifndef TESTS_VMBUS_SAVE_BED_H
#define TESTS_VMBUS_SAVE_BED_H

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#define HELD_MAX 16
#define DEVICES 4

/* Device n of a host. */
enum { CARRIER, DRAINER, MONITORED, SPARE };

/* A device, fresh with its host. */
struct echo {
	struct vmbus_device dev;
	bool hold; /* packets wait for echo_release() */
	u64 held[HELD_MAX]; /* transaction ids */
	u32 held_count;
	u32 to_send, sent; /* packets it wants to send, numbered */
	u32 pinned; /* GPADL it holds; 0: none */
	struct gpadl *gpadl;
	struct vmbus_channel *ch; /* the primary one; NULL: closed */
	bool freezing, closing;
	unsigned restored, thawed, closed;
	u8 buf[4096];
};

struct save_bed {
	struct fakeguest g;
	struct echo e[DEVICES];
	bool absent[DEVICES]; /* not offered by the next host */
	struct fg_channel ch, ch2;
	struct stream_out state;
	u8 buf[4096];
	struct fg_packet pkt;
};

/* cmocka's: a host with all but the spare device, no connection; its end. */
int save_setup(void **state);
/* The same for one that is part of something. */
void save_bed_init(struct save_bed *b);
int save_teardown(void **state);

/* Connects and requests the offers. */
void save_connect(struct save_bed *b, u32 version);

/* Posts len bytes as they are, as the guest's message. */
void save_post_raw(struct save_bed *b, const void *msg, u32 len);

/* Opens device n's channel; n is the carrier: as b->ch, else as b->ch2. */
struct fg_channel *save_open(struct save_bed *b, int n);

/* Freezes and saves into b->state. */
void save_take(struct save_bed *b);

/* The host ends, another begins, its devices offered. */
void save_new_host(struct save_bed *b);

/*
 * Save, new host, restore; what it has is then just what was saved, and guest memory was not
 * touched. pump false: its loops have not run yet.
 */
void save_move(struct save_bed *b, bool pump);

/* Ends what e holds back, the oldest first. */
void echo_release(struct echo *e);

/* A packet goes to the host and comes back. */
void save_exchange(struct fg_channel *ch, u64 id);

/* Takes a completion with this id. */
void save_expect(struct fg_channel *ch, u64 id);

#endif
