/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A SCSI target in a test: LUN 0 is a disk that notes what it is asked and answers as told, LUN 7
 * another on the same blocks. Commands are run one at a time, or begun and left to end.
 */
#ifndef TESTS_DEVICES_SCSI_BED_H
#define TESTS_DEVICES_SCSI_BED_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "devices/scsi.h"

#define BLOCK 512u
#define BLOCKS 4096u

/* A disk that notes the last request and answers with `err`, or passes it on. */
struct spy {
	struct disk disk;
	struct disk *below; /* NULL: shared with another's */
	struct disk_op last;
	unsigned count, closed;
	unsigned kinds[5]; /* by enum disk_op_kind */
	int err;
	bool hold; /* keeps requests until spy_release() */
	struct disk_op *held[8];
	unsigned held_count;
};

struct bed {
	struct loop loop;
	struct uring uring;
	struct scsi_target target;
	struct spy spy, spy7;
	struct scsi_request *r; /* the last one run */
	bool done;
	u8 nexus; /* of the next command */
	u8 lun;
	u8 buf[64 * 1024];
};

int bed_setup(void **state); /* 512-byte blocks */
int bed_setup_4k(void **state);
int bed_teardown(void **state);

void spy_init(struct spy *s, struct disk *below);
void spy_release(struct spy *s);

/* Runs a CDB of n bytes at (target, lun), with len bytes of b->buf in two pieces. */
void bed_run_at(struct bed *b, const struct scsi_target *target, unsigned lun, const u8 *cdb, u32 n,
		u32 len);
/* Begins one; it ends in r->done(), during bed_turn(). */
void bed_begin(struct bed *b, struct scsi_request *r, const u8 *cdb, u32 n, u8 *buf, u32 len);
void bed_turn(struct bed *b);

/* TEST UNIT READY for this nexus: a unit attention of asc, or good where that is 0. */
void bed_expect_attention(struct bed *b, u8 nexus, u16 asc);

/* PERSISTENT RESERVE OUT of an initiator; and one that is carried out. */
void bed_reserve_out(struct bed *b, u8 nexus, u8 action, u8 type, u64 key, u64 action_key);
void bed_reserve_good(struct bed *b, u8 nexus, u8 action, u8 type, u64 key, u64 action_key);

#define RUN(b, len, ...)                                                               \
	do {                                                                           \
		const u8 cdb_[] = { __VA_ARGS__ };                                     \
		bed_run_at(b, &(b)->target, (b)->lun, cdb_, sizeof(cdb_), (u32)(len)); \
	} while (0)

#define assert_good(b, transferred) assert_good_at(b, (u32)(transferred), __FILE__, __LINE__)
#define assert_sense(b, key, asc) assert_sense_at(b, key, asc, __FILE__, __LINE__)
#define assert_conflict(b) assert_conflict_at(b, __FILE__, __LINE__)
#define assert_bad_cdb(b) assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_CDB)
#define assert_bad_list(b) \
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_FIELD_IN_PARAMETERS)
void assert_good_at(const struct bed *b, u32 transferred, const char *file, int line);
void assert_sense_at(const struct bed *b, u8 key, u16 asc, const char *file, int line);
void assert_conflict_at(const struct bed *b, const char *file, int line);

#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)
#define TEST_4K(f) cmocka_unit_test_setup_teardown(f, bed_setup_4k, bed_teardown)

#endif
