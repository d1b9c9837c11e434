/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test bed for storvsp: the fake guest, which speaks as Linux's storvsc does, on two I/O loops,
 * and memory disks that can hold their requests back. All functions assert what every well-behaved
 * exchange shows.
 */
#ifndef TESTS_DEVICES_STORVSP_BED_H
#define TESTS_DEVICES_STORVSP_BED_H

#include "devices/storvsp.h"
#include "tests/devices/held_disk.h"
#include "tests/fakeguest/fakeguest.h"

#define BED_LOOPS 2u
#define BED_DISKS 3u
#define BED_SUBS 3u
#define BED_BLOCK 512u
#define BED_DISK_SIZE MiB(1)

struct bed {
	struct fakeguest g;
	struct uring uring[BED_LOOPS];
	struct storvsp *s;
	struct held_disk disk[BED_DISKS];
	struct fg_channel ch[1 + BED_SUBS]; /* the primary one first */
	gpa_t data; /* a page for each channel */
	u8 buf[8192];
};

/* A guest, with a controller that has sub_channels, no disk, and is not offered yet. */
struct bed *bed_new(unsigned sub_channels);
void bed_free(struct bed *b);
/* As a guest has it that is up: that many disks, at 0:0, 0:1 and 1:0, and all channels open. */
struct bed *bed_start(unsigned disks);
int bed_teardown(void **state); /* cmocka's */
/* The same for another controller: the last one goes. */
void bed_controller(struct bed *b, struct storvsp *s);
/* A fresh disk d at a unit of the controller. */
void bed_attach(struct bed *b, unsigned d, unsigned unit);
/* Offers the controller to a guest that connects, and opens the primary channel on VP 0. */
void bed_connect(struct bed *b);
/* The handshake, in packets of the version's size; the properties the host told. */
struct vstor_properties bed_handshake(struct bed *b, u16 version);
/* Asks for count sub-channels and opens them, number n on VP n. */
void bed_open_subs(struct bed *b, unsigned count);

/* Bytes of a version's packets. */
u32 bed_packet_size(u16 version);
/* Sends an operation of size bytes that wants an answer. Does not pump. */
void bed_send(struct bed *b, struct fg_channel *ch, u64 id, u32 operation,
	      const struct vstor_packet *p, u32 size);
/* The next answer, after a pump; its id. */
u64 bed_answer(struct bed *b, struct fg_channel *ch, struct vstor_packet *p);
/* There is no packet, after a pump. */
void bed_expect_none(struct bed *b, struct fg_channel *ch);
/* Both: the status of an operation whose packet has the size of later versions. */
u32 bed_operate(struct bed *b, struct fg_channel *ch, u32 operation, struct vstor_packet *p);

/* TEST UNIT READY; READ(10) or WRITE(10) of a block to or from ch's page of data. */
struct vstor_packet bed_unit_ready(u8 target, u8 lun);
int bed_read_write(struct bed *b, struct fg_channel *ch, u64 id, u8 opcode, u8 target, u8 lun,
		   u32 lba);
/* A command without data: the answer. */
struct vstor_packet bed_command(struct bed *b, struct fg_channel *ch, u8 target, u8 lun);
/* ch's page of data. */
u8 *bed_data(struct bed *b, const struct fg_channel *ch);

#endif
