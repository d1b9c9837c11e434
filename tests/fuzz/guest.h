/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake guest for fuzz targets: made once, given a fresh bus and zeroed RAM for every input,
 * which is an order of magnitude faster than a new one. Its RAM is small, so that small frame
 * numbers are good ones. Functions named guest_op_* carry out one operation of the program.
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "tests/fakeguest/fakeguest.h"
#include "tests/fuzz/fuzz.h"
#include "vmbus/chaos.h"

#define GUEST_RAM KiB(512)
#define GUEST_PAGES (GUEST_RAM / GUEST_PAGE_SIZE)
#define GUEST_CHANNELS 4

struct guest {
	struct fakeguest g;
	struct fg_channel ch[GUEST_CHANNELS];
	/* It wrote where it should not, so that rings and answers prove nothing. */
	bool tampered;
	u8 packet[KiB(16)];
	struct chaos chaos;
};

/* A guest before its first contact. Its memory lives on: nothing to free. */
struct guest *guest_begin(void);
/* The bus and all on it goes. */
void guest_end(struct guest *f);

/* Another bus, which is late at rate of 1,000 of its steps; right after guest_begin(). */
void guest_chaos(struct guest *f, u64 seed, u32 rate);
/* Nothing is late from now on, and what was is done. */
void guest_chaos_end(struct guest *f);

/* Stands still between these. */
void guest_clock_advance(u64 ns);

/* Any frame number, mostly of RAM. */
u64 guest_pfn(struct fuzz_input *in);
/* Writes bytes anywhere into RAM. */
void guest_op_write(struct guest *f, struct fuzz_input *in);
/* Harms an open channel: indices, flags or data of its rings. */
void guest_op_tamper(struct guest *f, struct fg_channel *ch, struct fuzz_input *in);
/* A packet of any descriptor, header and payload. */
void guest_op_packet(struct guest *f, struct fg_channel *ch, struct fuzz_input *in);
/* Pumps all loops, or turns one of them once. */
void guest_op_turn(struct guest *f, struct fuzz_input *in);

/* fg_send() and the like find an opened ring. */
static inline bool guest_has_rings(const struct fg_channel *ch)
{
	return ch->out.size;
}

/* The next packet of the host; 1 or 0. What it wrote is sound unless the guest tampered. */
int guest_take(struct guest *f, struct fg_channel *ch, struct fg_packet *pkt);

#endif
