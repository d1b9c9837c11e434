/* SPDX-License-Identifier: BSD-2-Clause */
/* Reservations of four initiators: who is let in, who is told what. */
#include "tests/devices/scsi_bed.h"

enum { WE = 1, EA = 3, WE_RO = 5, EA_RO = 6, WE_AR = 7, EA_AR = 8 };

/* Registers initiators 0 to count - 1 with keys 0x10, 0x11, ... */
static void register_all(struct bed *b, u8 count)
{
	for (u8 i = 0; i < count; i++)
		bed_reserve_good(b, i, SCSI_PR_REGISTER, 0, 0, 0x10 + i);
}

static u32 in(struct bed *b, u8 action)
{
	RUN(b, 512, SCSI_PERSISTENT_RESERVE_IN, action, 0, 0, 0, 0, 0, 2, 0, 0);
	assert_int_equal(b->r->status, SCSI_GOOD);
	return action == SCSI_PR_REPORT_CAPABILITIES ? 0 : scsi_get32(b->buf + 4);
}

static bool reads(struct bed *b, u8 nexus)
{
	b->nexus = nexus;
	RUN(b, BLOCK, SCSI_READ_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	return b->r->status == SCSI_GOOD;
}

static bool writes(struct bed *b, u8 nexus)
{
	b->nexus = nexus;
	RUN(b, BLOCK, SCSI_WRITE_10, 0, 0, 0, 0, 0, 0, 0, 1, 0);
	if (b->r->status != SCSI_GOOD)
		assert_conflict(b);
	return b->r->status == SCSI_GOOD;
}

/* Initiator 0 holds the reservation, 1 is registered, 2 is not (SPC-4 table 66). */
static void every_type_lets_in_whom_it_should(void **state)
{
	static const struct {
		u8 type;
		bool reads[3], writes[3];
	} rows[] = {
		{ WE, { true, true, true }, { true, false, false } },
		{ EA, { true, false, false }, { true, false, false } },
		{ WE_RO, { true, true, true }, { true, true, false } },
		{ EA_RO, { true, true, false }, { true, true, false } },
		{ WE_AR, { true, true, true }, { true, true, false } },
		{ EA_AR, { true, true, false }, { true, true, false } },
	};
	struct bed *b = *state;

	register_all(b, 2);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		bed_reserve_good(b, 0, SCSI_PR_RESERVE, rows[i].type, 0x10, 0);
		for (u8 n = 0; n < 3; n++) {
			assert_int_equal(reads(b, n), rows[i].reads[n]);
			assert_int_equal(writes(b, n), rows[i].writes[n]);
			RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
			assert_good(b, 0);
			RUN(b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
			assert_good(b, 36);
		}
		bed_reserve_good(b, 0, SCSI_PR_RELEASE, rows[i].type, 0x10, 0);
		bed_expect_attention(b, 1, rows[i].type > EA ? SCSI_ASC_RESERVATIONS_RELEASED : 0);
		bed_expect_attention(b, 2, 0);
		assert_true(writes(b, 2));
	}
}

static void keys_are_asked_for(void **state)
{
	struct bed *b = *state;

	bed_reserve_out(b, 0, SCSI_PR_RESERVE, WE, 0, 0);
	assert_conflict(b); /* not registered */
	bed_reserve_out(b, 0, SCSI_PR_REGISTER, 0, 5, 6);
	assert_conflict(b);
	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 0, 0);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 0);
	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 0, 6);
	bed_reserve_out(b, 0, SCSI_PR_REGISTER, 0, 0, 7);
	assert_conflict(b);
	bed_reserve_good(b, 0, SCSI_PR_REGISTER_AND_IGNORE, 0, 99, 7);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 8);
	assert_int_equal(scsi_get32(b->buf), 2);
	assert_int_equal(scsi_get64(b->buf + 8), 7);
	for (u8 action = SCSI_PR_RESERVE; action <= SCSI_PR_PREEMPT_AND_ABORT; action++) {
		bed_reserve_out(b, 0, action, WE, 6, 7);
		assert_conflict(b);
	}
	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 7, 0);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 0);
}

static void reserving_and_releasing(void **state)
{
	struct bed *b = *state;

	register_all(b, 2);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, WE, 0x10, 0);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, WE, 0x10, 0); /* again */
	bed_reserve_out(b, 0, SCSI_PR_RESERVE, EA, 0x10, 0);
	assert_conflict(b);
	bed_reserve_out(b, 1, SCSI_PR_RESERVE, WE, 0x11, 0);
	assert_conflict(b);
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 16);
	assert_int_equal(scsi_get64(b->buf + 8), 0x10);
	assert_int_equal(b->buf[21], WE);
	bed_reserve_good(b, 1, SCSI_PR_RELEASE, WE, 0x11, 0); /* not its own: nothing happens */
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 16);
	bed_reserve_out(b, 0, SCSI_PR_RELEASE, EA, 0x10, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_INVALID_RELEASE);
	bed_reserve_good(b, 0, SCSI_PR_RELEASE, WE, 0x10, 0);
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 0);
}

/* A holder that unregisters gives up its reservation, one of all registrants stays to the last. */
static void unregistering(void **state)
{
	struct bed *b = *state;

	register_all(b, 3);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, WE_RO, 0x10, 0);
	bed_reserve_good(b, 0, SCSI_PR_REGISTER, 0, 0x10, 0);
	assert_true(writes(b, 3));
	bed_expect_attention(b, 1, SCSI_ASC_RESERVATIONS_RELEASED);
	bed_expect_attention(b, 2, SCSI_ASC_RESERVATIONS_RELEASED);
	bed_reserve_good(b, 1, SCSI_PR_RESERVE, WE_AR, 0x11, 0);
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 16);
	assert_int_equal(scsi_get64(b->buf + 8), 0);
	bed_reserve_good(b, 1, SCSI_PR_REGISTER, 0, 0x11, 0);
	assert_false(writes(b, 3));
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 16);
	bed_reserve_good(b, 2, SCSI_PR_REGISTER, 0, 0x12, 0);
	assert_true(writes(b, 3));
}

static void clearing(void **state)
{
	struct bed *b = *state;

	register_all(b, 3);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, EA, 0x10, 0);
	bed_reserve_good(b, 1, SCSI_PR_CLEAR, 0, 0x11, 0);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 0);
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 0);
	bed_expect_attention(b, 0, SCSI_ASC_RESERVATIONS_PREEMPTED);
	bed_expect_attention(b, 1, 0);
	bed_expect_attention(b, 2, SCSI_ASC_RESERVATIONS_PREEMPTED);
	assert_true(writes(b, 3));
}

static void preempting_the_holder(void **state)
{
	struct bed *b = *state;

	register_all(b, 3);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, WE_RO, 0x10, 0);
	bed_reserve_good(b, 1, SCSI_PR_PREEMPT, EA, 0x11, 0x10);
	assert_int_equal(in(b, SCSI_PR_READ_RESERVATION), 16);
	assert_int_equal(scsi_get64(b->buf + 8), 0x11);
	assert_int_equal(b->buf[21], EA);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 16);
	bed_expect_attention(b, 0, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	bed_expect_attention(b, 2, SCSI_ASC_RESERVATIONS_RELEASED);
	assert_false(reads(b, 0) || reads(b, 2));
	assert_true(writes(b, 1));
}

static void preempting_others(void **state)
{
	struct bed *b = *state;

	register_all(b, 4);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, WE_RO, 0x10, 0);
	bed_reserve_good(b, 0, SCSI_PR_PREEMPT_AND_ABORT, WE_RO, 0x10, 0x12);
	bed_expect_attention(b, 2, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	assert_false(writes(b, 2));
	assert_true(writes(b, 0) && writes(b, 1));
	bed_reserve_out(b, 0, SCSI_PR_PREEMPT, WE_RO, 0x10, 0x12);
	assert_conflict(b); /* there is no such key any more */
	bed_reserve_out(b, 0, SCSI_PR_PREEMPT, WE_RO, 0x10, 0);
	assert_bad_list(b);
	bed_reserve_good(b, 0, SCSI_PR_RELEASE, WE_RO, 0x10, 0);
	bed_expect_attention(b, 1, SCSI_ASC_RESERVATIONS_RELEASED);
	bed_expect_attention(b, 3, SCSI_ASC_RESERVATIONS_RELEASED);
	bed_reserve_good(b, 1, SCSI_PR_RESERVE, EA_AR, 0x11, 0);
	bed_reserve_good(b, 3, SCSI_PR_PREEMPT, WE, 0x13, 0); /* all registrants at once */
	bed_expect_attention(b, 0, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	bed_expect_attention(b, 1, SCSI_ASC_REGISTRATIONS_PREEMPTED);
	bed_expect_attention(b, 3, 0);
	assert_int_equal(in(b, SCSI_PR_READ_KEYS), 8);
	assert_true(writes(b, 3) && !writes(b, 1) && reads(b, 1));
}

static void full_status_and_capabilities(void **state)
{
	struct bed *b = *state;

	register_all(b, 2);
	bed_reserve_good(b, 1, SCSI_PR_RESERVE, WE_RO, 0x11, 0);
	assert_int_equal(in(b, SCSI_PR_READ_FULL_STATUS), 96);
	assert_int_equal(scsi_get64(b->buf + 8), 0x10);
	assert_int_equal(b->buf[20], 0);
	assert_int_equal(scsi_get64(b->buf + 56), 0x11);
	assert_int_equal(b->buf[68], 1);
	assert_int_equal(b->buf[69], WE_RO);
	in(b, SCSI_PR_REPORT_CAPABILITIES);
	assert_int_equal(scsi_get16(b->buf), 8);
	assert_int_equal(scsi_get16(b->buf + 4), 0xea01);
	RUN(b, 12, SCSI_PERSISTENT_RESERVE_IN, SCSI_PR_READ_KEYS, 0, 0, 0, 0, 0, 0, 12, 0);
	assert_good(b, 12);
	assert_int_equal(scsi_get32(b->buf + 4), 16); /* all there is, not what fits */
}

static void bad_requests(void **state)
{
	struct bed *b = *state;

	register_all(b, 1);
	bed_reserve_out(b, 0, SCSI_PR_RESERVE, 2, 0x10, 0);
	assert_bad_cdb(b);
	bed_reserve_out(b, 0, SCSI_PR_RESERVE, 0x10 | WE, 0x10, 0);
	assert_bad_cdb(b);
	bed_reserve_out(b, 0, SCSI_PR_RESERVE, 15, 0x10, 0);
	assert_bad_cdb(b);
	bed_reserve_out(b, 0, 7, 0, 0x10, 0);
	assert_bad_cdb(b); /* REGISTER AND MOVE */
	RUN(b, 24, SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 23, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	RUN(b, 20, SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	RUN(b, 0, SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_PARAMETER_LIST_LENGTH);
	b->buf[20] = 1; /* APTPL */
	RUN(b, 24, SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_bad_list(b);
	b->lun = 3;
	RUN(b, 24, SCSI_PERSISTENT_RESERVE_OUT, 0, 0, 0, 0, 0, 0, 0, 24, 0);
	assert_sense(b, SCSI_ILLEGAL_REQUEST, SCSI_ASC_LUN_NOT_SUPPORTED);
}

static void reserve_and_release(void **state)
{
	struct bed *b = *state;

	RUN(b, 0, SCSI_RESERVE_6, 0, 0, 0, 0, 0);
	assert_good(b, 0);
	assert_true(writes(b, 0));
	assert_false(reads(b, 1) || writes(b, 1));
	RUN(b, 0, SCSI_TEST_UNIT_READY, 0);
	assert_conflict(b);
	RUN(b, 0, SCSI_RESERVE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_conflict(b);
	RUN(b, 36, SCSI_INQUIRY, 0, 0, 0, 36, 0);
	assert_good(b, 36);
	RUN(b, 0, SCSI_RELEASE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_good(b, 0); /* successful, and without effect */
	assert_false(reads(b, 1));
	bed_reserve_out(b, 0, SCSI_PR_REGISTER, 0, 0, 1);
	assert_conflict(b);
	b->nexus = 0;
	RUN(b, 0, SCSI_RELEASE_6, 0, 0, 0, 0, 0);
	assert_true(writes(b, 1));
	register_all(b, 1);
	RUN(b, 0, SCSI_RESERVE_6, 0, 0, 0, 0, 0);
	assert_conflict(b);
	RUN(b, 0, SCSI_RESERVE_6, 0x10, 0, 0, 0, 0);
	assert_bad_cdb(b);
}

static void a_reset_ends_reserve_but_not_what_persists(void **state)
{
	struct bed *b = *state;
	struct scsi_unit *unit = scsi_target_unit(&b->target, 0);

	RUN(b, 0, SCSI_RESERVE_6, 0, 0, 0, 0, 0);
	scsi_unit_reset(unit);
	bed_expect_attention(b, 1, SCSI_ASC_RESET);
	assert_true(writes(b, 1));
	bed_expect_attention(b, 0, SCSI_ASC_RESET);
	register_all(b, 1);
	bed_reserve_good(b, 0, SCSI_PR_RESERVE, EA, 0x10, 0);
	scsi_unit_reset(unit);
	bed_expect_attention(b, 1, SCSI_ASC_RESET);
	assert_false(reads(b, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_lets_in_whom_it_should),
		TEST(keys_are_asked_for),
		TEST(reserving_and_releasing),
		TEST(unregistering),
		TEST(clearing),
		TEST(preempting_the_holder),
		TEST(preempting_others),
		TEST(full_status_and_capabilities),
		TEST(bad_requests),
		TEST(reserve_and_release),
		TEST(a_reset_ends_reserve_but_not_what_persists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
