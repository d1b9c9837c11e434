/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages from the host into slots: content, interrupt, a busy slot and EOM, other SINTs and VPs,
 * SynIC off; and HvCallPostMessage against a full inbox.
 */
#include "tests/bare/bare.h"

#define VPS 2
#define AGAIN 11
#define NO_DEVICE 19

static struct hv_post_message request __attribute__((aligned(256)));

static uint32_t post(unsigned vp, unsigned sint, uint32_t word)
{
	return bare_ask(BARE_ASK_MESSAGE, vp, sint, word);
}

static struct hv_message take(unsigned sint)
{
	struct hv_message m;

	bare_take(sint, &m);
	return m;
}

static void check_message(const struct hv_message *m, uint32_t word)
{
	CHECK_EQUAL(m->type, 1);
	CHECK_EQUAL(m->payload_size, sizeof(word));
	CHECK_EQUAL(m->reserved, 0);
	CHECK_EQUAL(*(const uint32_t *)m->payload, word);
}

/* Each SINT its own slot and vector. */
static void check_sints(void)
{
	for (unsigned sint = 0; sint < HV_SINTS; sint++) {
		uint8_t vector = (uint8_t)(BARE_VECTOR + sint);
		struct hv_message m;

		bare_wrmsr(HV_MSR_SINT0 + sint, vector);
		CHECK_EQUAL(post(0, sint, 100 + sint), 0);
		bare_wait(vector, 0);
		CHECK_EQUAL(bare_count(vector), 1);
		for (unsigned i = 0; i < HV_SINTS; i++)
			CHECK((i == sint) == (bare_messages()->slot[i].type != HV_MESSAGE_NONE));
		m = take(sint);
		CHECK_EQUAL(m.flags, 0);
		check_message(&m, 100 + sint);
	}
}

/* The second message waits for EOM, which is told once, and only where one waited. */
static void check_busy(void)
{
	const unsigned sint = 3;
	uint32_t seen = bare_count(BARE_VECTOR + sint);
	struct hv_message m;

	CHECK_EQUAL(post(0, sint, 1), 0);
	CHECK_EQUAL(post(0, sint, 2), AGAIN);
	bare_wait(BARE_VECTOR + sint, seen);
	CHECK(bare_messages()->slot[sint].flags & HV_MESSAGE_PENDING);
	CHECK_EQUAL(*(uint32_t *)bare_messages()->slot[sint].payload, 1);
	CHECK_EQUAL(bare_ask(BARE_ASK_SLOT_FREES, 0, sint, 0), 0);
	m = take(sint);
	check_message(&m, 1);
	CHECK_EQUAL(bare_ask(BARE_ASK_SLOT_FREES, 0, sint, 0), 1);
	CHECK_EQUAL(bare_ask(BARE_ASK_SLOT_FREES, 0, sint + 1, 0), 0);
	bare_wrmsr(HV_MSR_EOM, 0);
	CHECK_EQUAL(bare_ask(BARE_ASK_SLOT_FREES, 0, sint, 0), 1);
	CHECK_EQUAL(post(0, sint, 2), 0);
	bare_wait(BARE_VECTOR + sint, seen + 1);
	m = take(sint);
	CHECK(!(m.flags & HV_MESSAGE_PENDING));
	check_message(&m, 2);
	CHECK_EQUAL(bare_count(BARE_VECTOR + sint), seen + 2);
}

/* Polling: the message is there, and no interrupt. So it is with a masked SINT. */
static void check_quiet(uint64_t bits)
{
	const unsigned sint = 4;
	uint32_t seen = bare_count(BARE_VECTOR + sint);
	struct hv_message m;

	bare_wrmsr(HV_MSR_SINT0 + sint, (BARE_VECTOR + sint) | bits);
	CHECK_EQUAL(post(0, sint, 3), 0);
	bare_delay(20000);
	m = take(sint);
	check_message(&m, 3);
	CHECK_EQUAL(bare_count(BARE_VECTOR + sint), seen);
	bare_wrmsr(HV_MSR_SINT0 + sint, BARE_VECTOR + sint);
	CHECK_EQUAL(post(0, sint, 4), 0);
	bare_wait(BARE_VECTOR + sint, seen);
	m = take(sint);
	check_message(&m, 4);
}

static void check_off(void)
{
	struct hv_message m;

	bare_wrmsr(HV_MSR_SCONTROL, 0);
	CHECK_EQUAL(post(0, 5, 5), NO_DEVICE);
	bare_wrmsr(HV_MSR_SCONTROL, HV_SCONTROL_ENABLE);
	bare_wrmsr(HV_MSR_SIMP, 0);
	CHECK_EQUAL(post(0, 5, 5), NO_DEVICE);
	CHECK_EQUAL(post(1, 5, 5), NO_DEVICE); /* VP 1 never had it on */
	bare_synic_init();
	CHECK_EQUAL(post(0, 5, 6), 0);
	m = take(5);
	check_message(&m, 6);
}

static void vp1_init(uint64_t sint)
{
	bare_synic_init();
	bare_wrmsr((uint32_t)(HV_MSR_SINT0 + sint), BARE_VECTOR + 32);
}

static void vp1_take(uint64_t word)
{
	struct hv_message m;

	bare_wait(BARE_VECTOR + 32, 0);
	m = take(6);
	check_message(&m, (uint32_t)word);
}

static void check_other_vp(void)
{
	bare_call_on(1, vp1_init, 6);
	CHECK_EQUAL(post(1, 6, 7), 0);
	bare_call_on(1, vp1_take, 7);
	CHECK_EQUAL(bare_count_on(1, BARE_VECTOR + 32), 1);
	CHECK_EQUAL(bare_count(BARE_VECTOR + 32), 0);
	CHECK_EQUAL(bare_messages()->slot[6].type, HV_MESSAGE_NONE);
}

/* A queue that is full says so, and takes messages again later. */
static void check_limit(void)
{
	request = (struct hv_post_message){ .connection_id = BARE_CONNECTION_ECHO,
					    .message_type = 1,
					    .payload_size = 4 };
	bare_ask(BARE_ASK_BLOCK, 0, 0, 1);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, (uint64_t)&request, 0),
			    HV_STATUS_INSUFFICIENT_BUFFERS);
	bare_ask(BARE_ASK_BLOCK, 0, 0, 0);
	CHECK_EQUAL(bare_hypercall(HV_CALL_POST_MESSAGE, (uint64_t)&request, 0), HV_STATUS_SUCCESS);
}

int main(void);
int main(void)
{
	bare_init();
	bare_apic_init();
	bare_irq_on();
	bare_hyperv_init();
	bare_start_vps(VPS);
	bare_synic_init();
	check_sints();
	check_busy();
	check_quiet(HV_SINT_MASKED);
	if (!bare_backend_is_kernel()) /* differences: "SINT polling" */
		check_quiet(HV_SINT_POLLING);
	check_off();
	check_other_vp();
	check_limit();
	bare_pass();
}
