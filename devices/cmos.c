/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CMOS clock of a PC, an MC146818A: the host's UTC in BCD and 24-hour form, century at 0x32,
 * and 128 bytes that keep what is written. Source: Motorola's data sheet; the PC's own bytes as in
 * Linux's include/linux/mc146818rtc.h.
 *
 * The registers of the time are one moment: taken when register A is read, as every driver does
 * first to see that no update is in progress, and again where that is half a second ago.
 *
 * vCPU threads only, under one lock. Left out: setting the time (it is the host's), alarms and
 * periodic interrupts.
 */
#include "devices/devices.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/layout.h"

#define CMOS_BYTES 128
#define CMOS_INDEX_MASK (CMOS_BYTES - 1) /* bit 7 masks NMIs on a PC */
#define MOMENT_NS (NSEC_PER_SEC / 2)

enum cmos_register {
	CMOS_SECONDS = 0x00,
	CMOS_MINUTES = 0x02,
	CMOS_HOURS = 0x04,
	CMOS_WEEKDAY = 0x06, /* 1: Sunday */
	CMOS_DAY = 0x07,
	CMOS_MONTH = 0x08,
	CMOS_YEAR = 0x09,
	CMOS_A = 0x0a,
	CMOS_B = 0x0b,
	CMOS_C = 0x0c,
	CMOS_D = 0x0d,
	CMOS_CENTURY = 0x32,
};

#define CMOS_A_UPDATE 0x80
#define CMOS_A_RATE 0x26 /* 32,768 Hz crystal, 1,024 Hz rate: what firmware sets */
#define CMOS_B_24H 0x02
#define CMOS_B_BINARY 0x04
#define CMOS_D_VALID 0x80

struct cmos {
	pthread_mutex_t lock;
	u8 index;
	u8 ram[CMOS_BYTES];
	struct tm moment;
	u64 taken_ns; /* CLOCK_MONOTONIC; 0: never */
};

static u8 bcd(int n)
{
	return (u8)(n / 10 % 10 << 4 | n % 10);
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * NSEC_PER_SEC + (u64)t.tv_nsec;
}

static void moment_take(struct cmos *c, u64 max_age_ns)
{
	u64 now = now_ns();
	time_t seconds;

	if (c->taken_ns && now - c->taken_ns < max_age_ns)
		return;
	seconds = time(NULL);
	gmtime_r(&seconds, &c->moment);
	c->taken_ns = now;
}

/* True where reg is part of the time. */
static bool time_read(struct cmos *c, u8 reg, u8 *value)
{
	const struct tm *t = &c->moment;

	switch (reg) {
	case CMOS_SECONDS:
		/* No leap seconds: 60 is no time of this clock. */
		*value = bcd(MIN(t->tm_sec, 59));
		return true;
	case CMOS_MINUTES:
		*value = bcd(t->tm_min);
		return true;
	case CMOS_HOURS:
		*value = bcd(t->tm_hour);
		return true;
	case CMOS_WEEKDAY:
		*value = bcd(t->tm_wday + 1);
		return true;
	case CMOS_DAY:
		*value = bcd(t->tm_mday);
		return true;
	case CMOS_MONTH:
		*value = bcd(t->tm_mon + 1);
		return true;
	case CMOS_YEAR:
		*value = bcd(t->tm_year % 100);
		return true;
	case CMOS_CENTURY:
		*value = bcd((t->tm_year + 1900) / 100);
		return true;
	default:
		return false;
	}
}

static u8 register_read(struct cmos *c)
{
	u8 value;

	moment_take(c, c->index == CMOS_A ? 0 : MOMENT_NS);
	if (time_read(c, c->index, &value))
		return value;
	return c->ram[c->index];
}

static void register_write(struct cmos *c, u8 value)
{
	switch (c->index) {
	case CMOS_A:
		value &= (u8)~CMOS_A_UPDATE;
		break;
	case CMOS_B:
		value = (u8)((value & ~CMOS_B_BINARY) | CMOS_B_24H);
		break;
	case CMOS_C:
	case CMOS_D:
		return;
	default: /* The time's bytes are kept too, and never seen. */
		break;
	}
	c->ram[c->index] = value;
}

/* The index port cannot be read. */
static void cmos_read(void *ctx, u64 offset, void *data, unsigned len)
{
	struct cmos *c = ctx;

	memset(data, 0xff, len);
	if (offset != 1)
		return;
	pthread_mutex_lock(&c->lock);
	*(u8 *)data = register_read(c);
	pthread_mutex_unlock(&c->lock);
}

static void cmos_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct cmos *c = ctx;
	const u8 *bytes = data;

	pthread_mutex_lock(&c->lock);
	if (offset == 0)
		c->index = bytes[0] & CMOS_INDEX_MASK;
	else
		register_write(c, bytes[0]);
	/* A 16-bit write to 0x70 is index and data at once. */
	if (offset == 0 && len == 2)
		register_write(c, bytes[1]);
	pthread_mutex_unlock(&c->lock);
}

struct io_range cmos_range(struct cmos *c)
{
	return (struct io_range){
		.space = IO_PORT,
		.base = LAYOUT_PORT_CMOS,
		.len = 2,
		.read = cmos_read,
		.write = cmos_write,
		.ctx = c,
	};
}

int cmos_init(struct cmos **c)
{
	struct cmos *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->ram[CMOS_A] = CMOS_A_RATE;
	new->ram[CMOS_B] = CMOS_B_24H;
	new->ram[CMOS_D] = CMOS_D_VALID;
	*c = new;
	return 0;
}

void cmos_fini(struct cmos *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}
