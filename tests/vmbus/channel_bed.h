/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of channels stand on: a device that does what the test sets, on a fake guest. */
#ifndef TESTS_VMBUS_CHANNEL_BED_H
#define TESTS_VMBUS_CHANNEL_BED_H

#include "tests/fakeguest/fakeguest.h"
#include "vmbus/server.h"

#define JOURNAL_MAX 8192

/* Who received what, in order, over all devices. */
struct journal {
	u64 id[JOURNAL_MAX];
	unsigned count;
};

/* A device that notes what comes and does what the test sets. */
struct probe {
	struct vmbus_device dev;
	struct vmbus_channel *ch;
	u8 buf[VMBUS_PACKET_MAX];
	/* Set by the test. */
	int open_result;
	bool hold_close;
	u16 subs_at_open; /* sub-channels it asks for at once */
	unsigned quota; /* packets it takes before it stops early; 0: all */
	unsigned to_send; /* packets it wants to send */
	u32 send_size;
	void (*when_full)(void *ctx); /* once, when a packet finds no room */
	void *when_full_ctx;
	struct fg_channel *early; /* the guest writes here while the device opens */
	/* Noted. */
	struct vmbus_channel *last_closed;
	unsigned opened, closed, ready, packets, bad, too_long, sent;
	u32 last_ranges, last_size;
	struct journal *journal;
};

struct channel_bed {
	struct fakeguest g;
	struct probe p[2];
	struct fg_channel ch, ch2;
	struct journal journal;
	u64 pfn[34]; /* of ch's rings */
	u8 buf[VMBUS_PACKET_MAX];
	struct fg_packet pkt;
};

/* A device to offer, with this first byte of its instance. */
void probe_init(struct probe *p, u8 instance);

/* Sends what p still wants to send, on the thread of its loop. */
void probe_send(struct probe *p);

/* cmocka's: two devices offered to a connected guest; with the first one's channel open. */
int bed_setup_closed(void **state);
int bed_setup(void **state);

/* The offer of device n. */
const struct fg_offer *bed_offer(struct channel_bed *f, int n);

/* Takes all packets of the first channel; how many there were. */
unsigned bed_recv_all(struct channel_bed *f);

/* OPEN_CHANNEL with just these; the result's status. */
u32 bed_open_status(struct channel_bed *f, u32 relid, u32 gpadl, u32 offset, u32 vp);

#define TEST(setup, test) cmocka_unit_test_setup_teardown(test, setup, fg_teardown)

#endif
