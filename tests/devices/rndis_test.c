/* SPDX-License-Identifier: BSD-2-Clause */
/* RNDIS alone: packets and control messages in, frames and completions out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/rndis.h"

#define MESSAGE_MAX 2048u

/* ---- Packet messages ------------------------------------------------------------------------- */

/* A packet message with a frame of len bytes 0, 1, 2 ... and a VLAN tag unless tag is 0. */
static u32 packet_build(u8 *at, u32 len, u32 tag, u32 padding)
{
	struct rndis_packet_info info = { .size = 16, .type = RNDIS_INFO_VLAN, .value_offset = 12 };
	u32 info_len = tag ? info.size : 0;
	struct rndis_header h = { .type = RNDIS_PACKET,
				  .len = (u32)(sizeof(h) + sizeof(struct rndis_packet)) + info_len +
					 len + padding };
	struct rndis_packet p = { .data_offset = (u32)sizeof(p) + info_len,
				  .data_len = len,
				  .info_offset = tag ? (u32)sizeof(p) : 0,
				  .info_len = info_len };

	memcpy(at, &h, sizeof(h));
	memcpy(at + sizeof(h), &p, sizeof(p));
	if (tag) {
		memcpy(at + sizeof(h) + sizeof(p), &info, sizeof(info));
		memcpy(at + sizeof(h) + sizeof(p) + sizeof(info), &tag, sizeof(tag));
	}
	for (u32 i = 0; i < len; i++)
		at[sizeof(h) + p.data_offset + i] = (u8)i;
	return h.len;
}

/* bytes as pieces of at most `piece` bytes each. */
static void buf_init(struct rndis_buf *buf, u8 *bytes, u32 len, u32 piece)
{
	unsigned count = 0;

	buf->count = buf->size = buf->used = 0;
	for (u32 at = 0; at < len; at += piece, count++) {
		assert_true(count < RNDIS_IOV_MAX);
		buf->iov[count] = (struct iovec){ bytes + at, MIN(piece, len - at) };
	}
	assert_int_equal(rndis_buf_grow(buf, count), 0);
	assert_int_equal(buf->size, len);
}

static u32 frame_flatten(const struct rndis_frame *f, u8 *out)
{
	u32 len = 0;

	for (unsigned i = 0; i < f->count; i++) {
		memcpy(out + len, f->iov[i].iov_base, f->iov[i].iov_len);
		len += (u32)f->iov[i].iov_len;
	}
	assert_int_equal(len, f->len);
	return len;
}

static void frames_come_out_whatever_the_pieces(void **state)
{
	static const u32 pieces[] = { 10, 13, 44, 100, 4096 };
	u8 bytes[MESSAGE_MAX], out[MESSAGE_MAX];
	u32 len = packet_build(bytes, 100, 0, 4);
	struct rndis_frame frame;
	struct rndis_buf buf;

	(void)state;
	len += packet_build(bytes + len, 14, 0, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(pieces); i++) {
		buf_init(&buf, bytes, len, pieces[i]);
		assert_int_equal(rndis_next_frame(&buf, &frame), 1);
		assert_int_equal(frame_flatten(&frame, out), 100);
		for (u32 k = 0; k < 100; k++)
			assert_int_equal(out[k], k);
		assert_int_equal(rndis_next_frame(&buf, &frame), 1);
		assert_int_equal(frame_flatten(&frame, out), 14);
		assert_int_equal(rndis_next_frame(&buf, &frame), 0);
	}
}

static void a_vlan_tag_is_put_into_the_frame(void **state)
{
	/* Priority 5, CFI 1, VLAN 0xabc */
	static const u8 tag[] = { 0x81, 0x00, 0xba, 0xbc };
	u8 bytes[MESSAGE_MAX], out[MESSAGE_MAX];
	u32 len = packet_build(bytes, 60, 5 | 1 << 3 | 0xabc << 4, 0);
	struct rndis_frame frame;
	struct rndis_buf buf;

	(void)state;
	buf_init(&buf, bytes, len, 31);
	assert_int_equal(rndis_next_frame(&buf, &frame), 1);
	assert_int_equal(frame_flatten(&frame, out), 64);
	assert_memory_equal(out, bytes + 60, 12);
	assert_memory_equal(out + 12, tag, sizeof(tag));
	assert_int_equal(out[16], 12);
	assert_int_equal(out[63], 59);
}

/* One 32-bit field of a good message replaced; each row is a lie about a length or an offset. */
static void lies_about_lengths_are_refused(void **state)
{
	static const struct {
		u32 offset;
		u32 value;
	} lies[] = {
		{ 0, 2 }, /* type */
		{ 4, 0 }, /* message length */
		{ 4, 43 },          { 4, 8 },           { 4, 1000 },
		{ 4, UINT32_MAX },  { 8, UINT32_MAX }, /* data offset */
		{ 8, 200 },         { 12, 0 }, /* data length */
		{ 12, 13 },         { 12, 200 },        { 12, UINT32_MAX },
		{ 28, UINT32_MAX }, /* info offset */
		{ 28, 1000 },       { 32, UINT32_MAX }, /* info length */
		{ 32, 1000 },       { 44, 0 }, /* first info: size */
		{ 44, 11 },         { 44, 1000 },       { 44, UINT32_MAX },
		{ 52, 13 }, /* its value's offset */
		{ 52, UINT32_MAX },
	};
	struct rndis_frame frame;
	struct rndis_buf buf;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lies); i++) {
		u8 bytes[MESSAGE_MAX];
		u32 len = packet_build(bytes, 60, 0x10, 0);

		memcpy(bytes + lies[i].offset, &lies[i].value, 4);
		buf_init(&buf, bytes, len, 50);
		assert_int_equal(rndis_next_frame(&buf, &frame), -EINVAL);
	}
}

static void a_transmission_has_an_upper_bound(void **state)
{
	static u8 big[MiB(1)];
	struct rndis_buf buf = { .iov = { { big, sizeof(big) }, { big, 1 } } };

	(void)state;
	assert_int_equal(rndis_buf_grow(&buf, 1), 0);
	assert_int_equal(rndis_buf_grow(&buf, 1), -EMSGSIZE);
	assert_int_equal(rndis_buf_copy(&buf, MiB(1), big, 1), -EINVAL);
	assert_int_equal(rndis_buf_copy(&buf, UINT32_MAX, big, 2), -EINVAL);
	assert_int_equal(rndis_buf_copy(&buf, MiB(1), big, 0), 0);
}

/* ---- Control messages ------------------------------------------------------------------------ */

static struct rndis_adapter adapter_ready(void)
{
	struct rndis_adapter a = { .permanent_mac = { 0, 0x15, 0x5d, 1, 2, 3 },
				   .mtu = 1500,
				   .link_speed = 10000000000ull,
				   .ndis_major = 6,
				   .ndis_minor = 30 };

	rndis_adapter_reset(&a);
	a.initialized = true;
	return a;
}

/* A QUERY or SET message; its length. */
static u32 oid_build(u8 *msg, u32 type, u32 oid, const void *info, u32 info_len)
{
	struct rndis_oid_request r = {
		.request_id = 7, .oid = oid, .info_len = info_len, .info_offset = sizeof(r)
	};
	struct rndis_header h = { .type = type, .len = (u32)(sizeof(h) + sizeof(r)) + info_len };

	memcpy(msg, &h, sizeof(h));
	memcpy(msg + sizeof(h), &r, sizeof(r));
	if (info_len)
		memcpy(msg + sizeof(h) + sizeof(r), info, info_len);
	return h.len;
}

/* The status; *info points to the answer's value. */
static u32 query(struct rndis_adapter *a, u32 oid, u8 response[RNDIS_RESPONSE_MAX], const u8 **info,
		 u32 *len)
{
	u8 msg[64];
	struct rndis_header h;
	struct rndis_query_complete c;
	int size = rndis_control(a, msg, oid_build(msg, RNDIS_QUERY, oid, NULL, 0), response);

	assert_true(size >= (int)(sizeof(h) + sizeof(c)) && size <= (int)RNDIS_RESPONSE_MAX);
	memcpy(&h, response, sizeof(h));
	memcpy(&c, response + sizeof(h), sizeof(c));
	assert_int_equal(h.type, RNDIS_QUERY | RNDIS_COMPLETION);
	assert_int_equal(h.len, size);
	assert_int_equal(c.request_id, 7);
	/* Linux refuses an answer whose value would overlap it, even an empty one. */
	assert_int_equal(c.info_offset, sizeof(c));
	assert_int_equal(h.len, sizeof(h) + sizeof(c) + c.info_len);
	*info = response + sizeof(h) + sizeof(c);
	*len = c.info_len;
	return c.status;
}

static u32 query_u32(struct rndis_adapter *a, u32 oid)
{
	u8 response[RNDIS_RESPONSE_MAX];
	const u8 *info;
	u32 len, n;

	assert_int_equal(query(a, oid, response, &info, &len), RNDIS_STATUS_SUCCESS);
	assert_int_equal(len, 4);
	memcpy(&n, info, sizeof(n));
	return n;
}

static u32 set(struct rndis_adapter *a, u32 oid, const void *info, u32 len)
{
	u8 msg[MESSAGE_MAX], response[RNDIS_RESPONSE_MAX];
	struct rndis_status_complete c;

	assert_int_equal(rndis_control(a, msg, oid_build(msg, RNDIS_SET, oid, info, len), response),
			 8 + sizeof(c));
	memcpy(&c, response + 8, sizeof(c));
	assert_int_equal(c.request_id, 7);
	return c.status;
}

static void initialize_offers_batches_of_eight(void **state)
{
	struct rndis_adapter a = adapter_ready();
	struct {
		struct rndis_header h;
		struct rndis_initialize i;
	} msg = { { RNDIS_INITIALIZE, 24 }, { .request_id = 3, .major_version = 1 } };
	u8 response[RNDIS_RESPONSE_MAX];
	struct rndis_initialize_complete c;

	(void)state;
	a.initialized = false;
	assert_int_equal(rndis_control(&a, &msg, sizeof(msg), response), 8 + sizeof(c));
	memcpy(&c, response + 8, sizeof(c));
	assert_int_equal(c.request_id, 3);
	assert_int_equal(c.status, RNDIS_STATUS_SUCCESS);
	assert_int_equal(c.max_packets_per_message, 8);
	assert_int_equal(c.packet_alignment_factor, 3);
	assert_true(a.initialized);
	msg.i.major_version = 2;
	rndis_control(&a, &msg, sizeof(msg), response);
	memcpy(&c, response + 8, sizeof(c));
	assert_int_equal(c.status, RNDIS_STATUS_BAD_VERSION);
}

static void what_linux_asks_at_probe_is_answered(void **state)
{
	struct rndis_adapter a = adapter_ready();
	u8 response[RNDIS_RESPONSE_MAX];
	struct ndis_header h;
	const u8 *info;
	u32 len;

	(void)state;
	assert_int_equal(query_u32(&a, OID_GEN_MAXIMUM_FRAME_SIZE), 1500);
	assert_int_equal(query_u32(&a, OID_GEN_MEDIA_CONNECT_STATUS), 0);
	assert_int_equal(query_u32(&a, OID_GEN_LINK_SPEED), 100000000);
	assert_int_equal(query(&a, OID_802_3_PERMANENT_ADDRESS, response, &info, &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(info, a.permanent_mac, 6);
	assert_int_equal(query(&a, OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES, response, &info, &len),
			 0);
	memcpy(&h, info, sizeof(h));
	assert_int_equal(len, NDIS_OFFLOAD_SIZE_3);
	assert_int_equal(h.size, len);
	assert_int_equal(h.type, NDIS_OBJECT_OFFLOAD);
	assert_int_equal(h.revision, 3);
	assert_int_equal(query(&a, OID_GEN_RECEIVE_SCALE_CAPABILITIES, response, &info, &len),
			 RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(len, 0);
}

static void every_supported_object_is_answered(void **state)
{
	struct rndis_adapter a = adapter_ready();
	u8 list[RNDIS_RESPONSE_MAX], response[RNDIS_RESPONSE_MAX];
	const u8 *oids, *info;
	u32 size, len, oid;

	(void)state;
	assert_int_equal(query(&a, OID_GEN_SUPPORTED_LIST, list, &oids, &size), 0);
	assert_true(size > 100);
	for (u32 i = 0; i < size; i += 4) {
		memcpy(&oid, oids + i, 4);
		if (oid == OID_GEN_RNDIS_CONFIG_PARAMETER || oid == OID_TCP_OFFLOAD_PARAMETERS ||
		    oid == OID_GEN_NETWORK_LAYER_ADDRESSES)
			continue; /* set only */
		assert_int_equal(query(&a, oid, response, &info, &len), RNDIS_STATUS_SUCCESS);
	}
}

static void offloads_can_be_turned_off_but_not_on(void **state)
{
	struct rndis_adapter a = adapter_ready();
	struct ndis_offload_parameters p = { .header = { NDIS_OBJECT_DEFAULT, 3, sizeof(p) },
					     .checksum = { 1 } };

	(void)state;
	assert_int_equal(set(&a, OID_TCP_OFFLOAD_PARAMETERS, &p, sizeof(p)), 0);
	p.header.size = 22; /* before NVSP 5 */
	assert_int_equal(set(&a, OID_TCP_OFFLOAD_PARAMETERS, &p, 22), 0);
	p.checksum[1] = 4;
	assert_int_equal(set(&a, OID_TCP_OFFLOAD_PARAMETERS, &p, 22), RNDIS_STATUS_NOT_SUPPORTED);
	assert_int_equal(set(&a, OID_TCP_OFFLOAD_PARAMETERS, &p, 10), RNDIS_STATUS_INVALID_LENGTH);
}

static void the_filter_decides_what_comes_in(void **state)
{
	static const u8 other[14] = { 2, 0, 0, 0, 0, 9 }, multicast[14] = { 1, 0, 0x5e, 0, 0, 1 };
	static const u8 all[14] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct rndis_adapter a = adapter_ready();
	u8 mine[14] = { 0 };
	u32 filter = NDIS_FILTER_DIRECTED;

	(void)state;
	memcpy(mine, a.mac, 6);
	assert_false(rndis_accepts(&a, mine));
	assert_int_equal(set(&a, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
	assert_true(rndis_accepts(&a, mine));
	assert_false(rndis_accepts(&a, other));
	assert_false(rndis_accepts(&a, multicast));
	assert_false(rndis_accepts(&a, all));
	filter = NDIS_FILTER_ALL_MULTICAST | NDIS_FILTER_BROADCAST;
	assert_int_equal(set(&a, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
	assert_true(rndis_accepts(&a, multicast));
	assert_true(rndis_accepts(&a, all));
	assert_false(rndis_accepts(&a, mine));
	filter = NDIS_FILTER_PROMISCUOUS;
	assert_int_equal(set(&a, OID_GEN_CURRENT_PACKET_FILTER, &filter, 4), 0);
	assert_true(rndis_accepts(&a, other));
	assert_int_equal(set(&a, OID_GEN_CURRENT_PACKET_FILTER, &filter, 2),
			 RNDIS_STATUS_INVALID_LENGTH);
}

/* "NetworkAddress" = address, as UTF-16. */
static u32 config_build(u8 *info, const char *name, const char *address)
{
	struct rndis_config_parameter p = { .name_offset = sizeof(p), .type = RNDIS_CONFIG_STRING };
	u8 *at = info + sizeof(p);

	p.name_len = (u32)strlen(name) * 2;
	p.value_offset = p.name_offset + p.name_len;
	p.value_len = (u32)strlen(address) * 2;
	memcpy(info, &p, sizeof(p));
	for (; *name; name++, at += 2)
		at[0] = (u8)*name, at[1] = 0;
	for (; *address; address++, at += 2)
		at[0] = (u8)*address, at[1] = 0;
	return p.value_offset + p.value_len;
}

static void the_guest_may_change_its_address(void **state)
{
	struct rndis_adapter a = adapter_ready();
	u8 info[256], response[RNDIS_RESPONSE_MAX];
	const u8 *value;
	u32 len;

	(void)state;
	assert_int_equal(set(&a, OID_GEN_RNDIS_CONFIG_PARAMETER, info,
			     config_build(info, "NetworkAddress", "02aBcD001234")),
			 0);
	assert_int_equal(query(&a, OID_802_3_CURRENT_ADDRESS, response, &value, &len), 0);
	assert_memory_equal(value, ((u8[]){ 2, 0xab, 0xcd, 0, 0x12, 0x34 }), 6);
	assert_int_equal(query(&a, OID_802_3_PERMANENT_ADDRESS, response, &value, &len), 0);
	assert_memory_equal(value, a.permanent_mac, 6);
	assert_int_equal(set(&a, OID_GEN_RNDIS_CONFIG_PARAMETER, info,
			     config_build(info, "NetworkAddress", "03abcd001234")),
			 RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set(&a, OID_GEN_RNDIS_CONFIG_PARAMETER, info,
			     config_build(info, "NetworkAddress", "02xbcd001234")),
			 RNDIS_STATUS_INVALID_DATA);
	assert_int_equal(set(&a, OID_GEN_RNDIS_CONFIG_PARAMETER, info,
			     config_build(info, "NetworkAddresz", "02abcd001234")),
			 RNDIS_STATUS_NOT_SUPPORTED);
}

static void halt_has_no_answer_and_ends_it(void **state)
{
	struct rndis_adapter a = adapter_ready();
	u32 msg[] = { RNDIS_HALT, 12, 1 };
	u8 response[RNDIS_RESPONSE_MAX], request[64];
	u32 status;

	(void)state;
	a.filter = 1;
	assert_int_equal(rndis_control(&a, msg, sizeof(msg), response), 0);
	assert_false(a.initialized);
	assert_int_equal(a.filter, 0);
	/* Objects are for those who said INITIALIZE. */
	assert_int_equal(rndis_control(&a, request,
				       oid_build(request, RNDIS_QUERY, OID_GEN_LINK_SPEED, NULL, 0),
				       response),
			 24);
	memcpy(&status, response + 12, sizeof(status));
	assert_int_equal(status, RNDIS_STATUS_FAILURE);
}

static void keepalive_and_reset_are_answered(void **state)
{
	struct rndis_adapter a = adapter_ready();
	u32 msg[] = { RNDIS_KEEPALIVE, 12, 99 }, answer[4];
	u8 response[RNDIS_RESPONSE_MAX];

	(void)state;
	assert_int_equal(rndis_control(&a, msg, sizeof(msg), response), 16);
	memcpy(answer, response, sizeof(answer));
	assert_int_equal(answer[0], RNDIS_KEEPALIVE | RNDIS_COMPLETION);
	assert_int_equal(answer[2], 99);
	assert_int_equal(answer[3], RNDIS_STATUS_SUCCESS);
	msg[0] = RNDIS_RESET;
	a.filter = 1;
	assert_int_equal(rndis_control(&a, msg, sizeof(msg), response), 16);
	memcpy(answer, response, sizeof(answer));
	assert_int_equal(answer[0], RNDIS_RESET | RNDIS_COMPLETION);
	assert_int_equal(answer[2], RNDIS_STATUS_SUCCESS);
	assert_int_equal(a.filter, 0);
}

static void short_and_unknown_messages_are_refused(void **state)
{
	static const u32 types[] = { 0, RNDIS_PACKET, RNDIS_INDICATE_STATUS,
				     9, 0x80000002,   UINT32_MAX };
	struct rndis_adapter a = adapter_ready();
	u8 response[RNDIS_RESPONSE_MAX], msg[64];
	u32 h[2];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		memcpy(h, (u32[]){ types[i], 8 }, 8);
		assert_int_equal(rndis_control(&a, h, 8, response), -EINVAL);
	}
	oid_build(msg, RNDIS_QUERY, OID_GEN_LINK_SPEED, NULL, 0);
	for (u32 len = 0; len < 28; len++)
		assert_int_equal(rndis_control(&a, msg, len, response), -EINVAL);
}

/* ---- Mutations ------------------------------------------------------------------------------- */

static u32 random_u32(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (u32)(*seed >> 33);
}

/* Interesting values at random places; the sanitizers are the judge. */
static void mutate(u8 *bytes, u32 len, u64 *seed)
{
	static const u32 values[] = { 0,  1,          8,          12,         36,
				      44, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8 };
	u32 count = 1 + random_u32(seed) % 4;

	while (count--) {
		u32 at = random_u32(seed) % len;

		if (random_u32(seed) % 2 && len - at >= 4)
			memcpy(bytes + (at & ~3u), &values[random_u32(seed) % ARRAY_SIZE(values)],
			       4);
		else
			bytes[at] = (u8)random_u32(seed);
	}
}

static void mutated_messages_do_no_harm(void **state)
{
	u64 seed = 1;
	struct rndis_adapter a = adapter_ready();
	struct ndis_offload_parameters p = { .header = { NDIS_OBJECT_DEFAULT, 3, sizeof(p) } };

	(void)state;
	for (unsigned round = 0; round < 200000; round++) {
		/*
		 * Exactly as long as the message, so that the sanitizer sees the first byte beyond.
		 */
		u8 whole[MESSAGE_MAX], response[RNDIS_RESPONSE_MAX], out[RNDIS_FRAME_MAX];
		struct rndis_frame frame;
		struct rndis_buf buf;
		u32 len = packet_build(whole, 60, round & 1 ? 0x10 : 0, 4);
		u8 *bytes;

		len += packet_build(whole + len, 200, 0, 0);
		if (round & 2)
			len = oid_build(whole, RNDIS_SET, OID_TCP_OFFLOAD_PARAMETERS, &p,
					sizeof(p));
		if (round & 4) {
			u8 info[128];
			u32 n = config_build(info, "NetworkAddress", "02abcd001234");

			len = oid_build(whole, RNDIS_SET, OID_GEN_RNDIS_CONFIG_PARAMETER, info, n);
		}
		mutate(whole, len, &seed);
		bytes = malloc(len);
		assert_non_null(bytes);
		memcpy(bytes, whole, len);
		buf_init(&buf, bytes, len, 7 + random_u32(&seed) % 100);
		while (rndis_next_frame(&buf, &frame) == 1)
			frame_flatten(&frame, out);
		a.initialized = true;
		rndis_control(&a, bytes, len, response);
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_come_out_whatever_the_pieces),
		cmocka_unit_test(a_vlan_tag_is_put_into_the_frame),
		cmocka_unit_test(lies_about_lengths_are_refused),
		cmocka_unit_test(a_transmission_has_an_upper_bound),
		cmocka_unit_test(initialize_offers_batches_of_eight),
		cmocka_unit_test(what_linux_asks_at_probe_is_answered),
		cmocka_unit_test(every_supported_object_is_answered),
		cmocka_unit_test(offloads_can_be_turned_off_but_not_on),
		cmocka_unit_test(the_filter_decides_what_comes_in),
		cmocka_unit_test(the_guest_may_change_its_address),
		cmocka_unit_test(halt_has_no_answer_and_ends_it),
		cmocka_unit_test(keepalive_and_reset_are_answered),
		cmocka_unit_test(short_and_unknown_messages_are_refused),
		cmocka_unit_test(mutated_messages_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
