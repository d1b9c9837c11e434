/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests of chaos stand on: a guest with a primary channel and sub-channels, under chaos,
 * and a mirror.
 */
#ifndef TESTS_VMBUS_LATE_BED_H
#define TESTS_VMBUS_LATE_BED_H

#include "tests/fakeguest/fakeguest.h"
#include "tests/vmbus/mirror.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#define SUBS 2

struct late_bed {
	struct fakeguest g;
	struct chaos chaos;
	char log[40]; /* "": none */
	struct mirror mirror;
	struct fg_channel ch, sub[SUBS];
	u64 sent[1 + SUBS], got[1 + SUBS], own; /* the guest's counts; own: the device's packets */
	u8 buf[4096];
	_Atomic bool gone;
};

/*
 * cmocka's: a host without a connection, where all there is to be late is, by at most 60 us; mild:
 * 3 of 10. Its end.
 */
int late_setup(void **state);
int late_setup_mild(void **state);
int late_setup_rate(void **state, u32 rate);
int late_teardown(void **state);

/* Logs into a file of its own from now on, f->log. */
void late_log(struct late_bed *f);

/* Offers the device to the next host. */
void late_host(struct late_bed *f);

/* Connects anew and opens all channels, in rings of two pages and one. */
void late_open(struct late_bed *f);

/* Channel i: 0: the primary one. */
struct fg_channel *late_channel(struct late_bed *f, unsigned i);

/* Sends the next packet of channel i, below limit. False: no room, or limit. Does not pump. */
bool late_send(struct late_bed *f, unsigned i, u64 limit);

/* Takes a packet, which must be the one that is next. False: none. Does not pump. */
bool late_recv(struct late_bed *f, unsigned i);

/*
 * Has every channel carry packets until limit of them were there and back, and the device's own
 * came; the host may take 10 s for none.
 */
void late_exchange(struct late_bed *f, u64 limit);

/* Leaves count packets of each channel on their way, as far as there is room. */
void late_leave(struct late_bed *f, u64 count);

#endif
