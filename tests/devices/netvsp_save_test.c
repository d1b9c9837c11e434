/* SPDX-License-Identifier: BSD-2-Clause */
/* A NIC saved and restored: each step of its set-up, buffers, frames the guest still has. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#include "devices/netvsp.h"
#include "tests/devices/netvsp_bed.h"
#include "vmbus/save.h"
#include "vmbus/server.h"

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int setup(void **state)
{
	*state = bed_new();
	return 0;
}

static int teardown(void **state)
{
	bed_free(*state);
	return 0;
}

/* The same NIC behind a fresh device of a fresh host. */
static void host_new(struct bed *b)
{
	struct netvsp *old = b->netvsp;

	assert_int_equal(fg_new_host(&b->g), 0);
	netvsp_fini(old);
	assert_null(b->nic.loop);
	b->nic.nic = (struct nic){ .ops = &mem_ops, .mtu = NIC_MTU };
	b->nic.closed = false;
	assert_int_equal(netvsp_init(&b->netvsp, 0, &b->nic.nic), 0);
	assert_int_equal(vmbus_offer(b->g.bus, netvsp_device(b->netvsp)), 0);
}

static struct stream_out save(struct bed *b)
{
	struct stream_out state = { 0 };

	assert_true(fg_freeze(&b->g));
	assert_false(b->nic.loop && b->nic.enabled);
	assert_int_equal(vmbus_save(b->g.bus, &state, NULL), 0);
	return state;
}

static void move(struct bed *b)
{
	struct stream_out state = save(b), again = { 0 };

	host_new(b);
	assert_int_equal(vmbus_restore(b->g.bus, state.bytes, state.len), 0);
	b->g.bus->frozen = true;
	assert_int_equal(vmbus_save(b->g.bus, &again, NULL), 0);
	b->g.bus->frozen = false;
	assert_int_equal(again.len, state.len);
	assert_memory_equal(again.bytes, state.bytes, state.len);
	stream_free(&again);
	stream_free(&state);
	fg_pump(&b->g);
}

static void each_step_of_the_set_up_is_kept(void **state)
{
	struct bed *b = *state;

	move(b);
	assert_int_equal(bed_negotiate(b, NVSP_VERSION_61), NVSP_STATUS_SUCCESS);
	move(b);
	assert_int_equal(bed_share_recv(b), NVSP_STATUS_SUCCESS);
	move(b);
	assert_int_equal(bed_share_send(b), NVSP_STATUS_SUCCESS);
	move(b);
	/* A second one would be refused: it knows of the first. */
	assert_int_equal(bed_share_send(b), NVSP_STATUS_FAIL);
}

static void it_carries_frames_on(void **state)
{
	struct bed *b = *state;
	u64 frames;

	bed_bring_up(b);
	bed_transmit_one(b, 1);
	bed_receive_one(b, 2);
	frames = b->netvsp->adapter.tx_frames;
	move(b);
	assert_int_equal(b->netvsp->adapter.tx_frames, frames);
	assert_true(b->nic.enabled);
	bed_transmit_one(b, 3);
	bed_receive_one(b, 4);
}

static void slots_the_guest_has_stay_its_own(void **state)
{
	struct bed *b = *state;
	struct fg_packet first, second;
	u32 free_count;

	bed_bring_up(b);
	free_count = b->netvsp->rx.free_count;
	for (u8 i = 0; i < 5; i++)
		assert_true(bed_arrive(b, 100, i));
	bed_expect_data(b, &first);
	assert_int_equal(first.range_count, 5);
	assert_true(bed_arrive(b, 100, 9));
	bed_expect_data(b, &second);
	move(b);
	assert_int_equal(b->netvsp->rx.free_count, free_count - 6);
	bed_done_with(b, &second);
	fg_pump(&b->g);
	assert_int_equal(b->netvsp->rx.free_count, free_count - 5);
	move(b);
	bed_done_with(b, &first);
	fg_pump(&b->g);
	assert_int_equal(b->netvsp->rx.free_count, free_count);
	/* Once is enough. */
	bed_done_with(b, &first);
	fg_pump(&b->g);
	assert_int_equal(b->netvsp->rx.free_count, free_count);
	bed_receive_one(b, 7);
}

/* Frames that came in this turn of the loop go out before it stands still. */
static void a_batch_is_sent_first(void **state)
{
	struct bed *b = *state;
	struct fg_packet pkt;

	bed_bring_up(b);
	assert_true(bed_arrive(b, 100, 1));
	assert_true(bed_arrive(b, 100, 2));
	move(b);
	bed_expect_data(b, &pkt);
	assert_int_equal(pkt.range_count, 2);
	bed_expect_range(b, &pkt, 1, 100, 2);
	bed_done_with(b, &pkt);
}

/* Fills the ring to the guest: frames that came after it wait. The number that came. */
static unsigned crowd(struct bed *b)
{
	unsigned count = 0;

	while (!b->netvsp->rx.stalled && count < 2000) {
		if (!bed_arrive(b, 60, (u8)count))
			break;
		count++;
		fg_pump(&b->g);
	}
	return count;
}

static void a_batch_without_room_is_carried(void **state)
{
	struct bed *b = *state;
	const struct fg_open_params small = { .out_pages = 17, .in_pages = 2 };
	struct fg_packet pkt;
	unsigned came, got = 0;

	assert_int_equal(fg_close(&b->ch), 0);
	assert_int_equal(fg_open(&b->g, &b->ch, &b->g.offer[0], &small), 0);
	bed_bring_up(b);
	came = crowd(b);
	assert_true(b->netvsp->rx.stalled);
	move(b);
	while (bed_take(b, &pkt) == 1)
		for (u32 i = 0; i < pkt.range_count; i++, got++)
			bed_expect_range(b, &pkt, i, 60, (u8)got);
	assert_int_equal(got, came);
}

static void seal(u8 *bytes, size_t len)
{
	struct stream_out s = { .bytes = bytes, .len = len };

	stream_patch_u32(&s, VMBUS_STATE_CRC_AT,
			 stream_crc32(bytes + VMBUS_STATE_CRC_FROM, len - VMBUS_STATE_CRC_FROM));
}

static void small_ring(struct bed *b)
{
	const struct fg_open_params small = { .out_pages = 17, .in_pages = 2 };

	assert_int_equal(fg_close(&b->ch), 0);
	assert_int_equal(fg_open(&b->g, &b->ch, &b->g.offer[0], &small), 0);
	bed_bring_up(b);
	crowd(b);
	assert_true(b->netvsp->rx.stalled);
}

/* The next packet that brings no frames. */
static void take_other(struct bed *b, struct fg_packet *pkt)
{
	do
		assert_int_equal(bed_take(b, pkt), 1);
	while (pkt->type == VMBUS_PACKET_TRANSFER_PAGES &&
	       bed_message(pkt).rndis_pkt.channel_type == NVSP_CHANNEL_DATA);
}

/* A control message: its completion and its answer both wait for room. */
static u64 ask(struct bed *b)
{
	struct {
		struct rndis_header h;
		u32 request_id;
	} msg = { { RNDIS_KEEPALIVE, sizeof(msg) }, 77 };
	struct fg_range range = { b->scratch, sizeof(msg) };
	u64 id;

	memcpy(fg_ptr(&b->g, b->scratch, sizeof(msg)), &msg, sizeof(msg));
	id = bed_transmit(b, NVSP_CHANNEL_CONTROL, NVSP_NO_SECTION, 0, &range, 1);
	fg_signal(&b->ch);
	fg_pump(&b->g);
	assert_int_equal(b->netvsp->out_count, 2);
	return id;
}

static void answers_without_room_are_carried(void **state)
{
	struct bed *b = *state;
	struct fg_packet pkt;
	struct rndis_header h;
	u64 id;

	small_ring(b);
	id = ask(b);
	move(b);
	take_other(b, &pkt);
	assert_int_equal(pkt.type, VMBUS_PACKET_COMPLETION);
	assert_int_equal(pkt.transaction_id, id);
	take_other(b, &pkt);
	assert_int_equal(bed_message(&pkt).rndis_pkt.channel_type, NVSP_CHANNEL_CONTROL);
	memcpy(&h, fg_ptr(&b->g, b->recv + pkt.range[0].byte_offset, sizeof(h)), sizeof(h));
	assert_int_equal(h.type, RNDIS_KEEPALIVE | RNDIS_COMPLETION);
}

/* The last thing in the state is the answer: transaction id, bytes, size, message. */
static void an_answer_in_no_slot(void **state)
{
	struct bed *b = *state;
	struct stream_out s;
	u8 *slot;

	small_ring(b);
	ask(b);
	s = save(b);
	slot = s.bytes + s.len - 12 - sizeof(struct nvsp_message) - 16;
	assert_int_equal(*slot, b->netvsp->out[1].transaction_id);
	host_new(b);
	(*slot)++;
	seal(s.bytes, s.len);
	assert_int_equal(vmbus_restore(b->g.bus, s.bytes, s.len), -EINVAL);
	(*slot)--;
	/* Longer than a message. */
	slot[12]++;
	seal(s.bytes, s.len);
	assert_int_equal(vmbus_restore(b->g.bus, s.bytes, s.len), -EINVAL);
	slot[12]--;
	seal(s.bytes, s.len);
	assert_int_equal(vmbus_restore(b->g.bus, s.bytes, s.len), 0);
	stream_free(&s);
}

static void thawed_it_goes_on(void **state)
{
	struct bed *b = *state;
	struct stream_out s;

	bed_bring_up(b);
	s = save(b);
	stream_free(&s);
	/* What the network brings meanwhile stays outside. */
	assert_false(bed_arrive(b, 100, 1));
	fg_thaw(&b->g);
	assert_true(b->nic.enabled);
	bed_transmit_one(b, 3);
	bed_receive_one(b, 4);
}

/* A NIC with something of everything, and every byte of its own part altered. */
static void forged_it_is_refused_or_harmless(void **state)
{
	static const u8 change[] = { 1, 2, 3, 4, 5, 6, 7, 0x80, 0xff };
	struct bed *b = *state;
	struct stream_out s;
	struct fg_packet pkt;
	struct fg_channel ch;
	unsigned refused = 0;
	u64 size = gmem_size(&b->g.mem);
	u8 *bytes, *ram;

	bed_bring_up(b);
	for (u8 i = 0; i < 5; i++)
		assert_true(bed_arrive(b, 100, i));
	bed_expect_data(b, &pkt);
	s = save(b);
	ch = b->ch;
	ram = memcpy(malloc(size), fg_ptr(&b->g, 0, size), size);
	host_new(b);
	bytes = malloc(s.len);
	for (size_t at = s.len - 200; at < s.len; at++) {
		for (unsigned i = 0; i < ARRAY_SIZE(change); i++) {
			memcpy(bytes, s.bytes, s.len);
			bytes[at] ^= change[i];
			seal(bytes, s.len);
			if (vmbus_restore(b->g.bus, bytes, s.len)) {
				refused++;
				assert_null(b->nic.loop);
				continue;
			}
			fg_pump(&b->g);
			bed_arrive(b, 100, 3);
			bed_done_with(b, &pkt);
			fg_pump(&b->g);
			assert_true(b->netvsp->rx.free_count <= b->netvsp->recv.section_count);
			host_new(b);
		}
	}
	assert_true(refused > 100);
	free(bytes);
	memcpy(fg_ptr(&b->g, 0, size), ram, size);
	free(ram);
	b->ch = ch;
	assert_int_equal(vmbus_restore(b->g.bus, s.bytes, s.len), 0);
	stream_free(&s);
	fg_pump(&b->g);
	bed_transmit_one(b, 3);
	bed_receive_one(b, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_step_of_the_set_up_is_kept),
		TEST(it_carries_frames_on),
		TEST(slots_the_guest_has_stay_its_own),
		TEST(a_batch_is_sent_first),
		TEST(a_batch_without_room_is_carried),
		TEST(answers_without_room_are_carried),
		TEST(an_answer_in_no_slot),
		TEST(thawed_it_goes_on),
		TEST(forged_it_is_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
