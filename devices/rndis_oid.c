/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control messages: INITIALIZE, HALT, RESET, KEEPALIVE, and the objects QUERY and SET name.
 * [MS-RNDIS] 2.2; the meaning of OIDs is NDIS's.
 *
 * No offload and no receive-side scaling is offered: the former is answered with a structure of
 * zeroes, for which every guest's driver is prepared, the latter refused.
 */
#include "devices/rndis.h"

#include <errno.h>
#include <string.h>

#define MAX_TRANSFER_SIZE 0x20000u
#define VENDOR_ID 0x0000155du
#define DRIVER_VERSION 0x0100u
#define MULTICAST_LIST 32u

/* NDIS_MAC_OPTION_*: lookahead data may be copied, transfers do not pend, no loopback, 802.1p/q */
#define MAC_OPTIONS (0x001u | 0x004u | 0x008u | 0x040u | 0x200u)

static const u32 supported[] = {
	OID_GEN_SUPPORTED_LIST,
	OID_GEN_HARDWARE_STATUS,
	OID_GEN_MEDIA_SUPPORTED,
	OID_GEN_MEDIA_IN_USE,
	OID_GEN_MAXIMUM_LOOKAHEAD,
	OID_GEN_CURRENT_LOOKAHEAD,
	OID_GEN_MAXIMUM_FRAME_SIZE,
	OID_GEN_MAXIMUM_TOTAL_SIZE,
	OID_GEN_TRANSMIT_BLOCK_SIZE,
	OID_GEN_RECEIVE_BLOCK_SIZE,
	OID_GEN_LINK_SPEED,
	OID_GEN_TRANSMIT_BUFFER_SPACE,
	OID_GEN_RECEIVE_BUFFER_SPACE,
	OID_GEN_VENDOR_ID,
	OID_GEN_VENDOR_DESCRIPTION,
	OID_GEN_VENDOR_DRIVER_VERSION,
	OID_GEN_DRIVER_VERSION,
	OID_GEN_CURRENT_PACKET_FILTER,
	OID_GEN_PROTOCOL_OPTIONS,
	OID_GEN_MAC_OPTIONS,
	OID_GEN_MEDIA_CONNECT_STATUS,
	OID_GEN_MAXIMUM_SEND_PACKETS,
	OID_GEN_NETWORK_LAYER_ADDRESSES,
	OID_GEN_RNDIS_CONFIG_PARAMETER,
	OID_802_3_PERMANENT_ADDRESS,
	OID_802_3_CURRENT_ADDRESS,
	OID_802_3_MULTICAST_LIST,
	OID_802_3_MAXIMUM_LIST_SIZE,
	OID_802_3_RCV_ERROR_ALIGNMENT,
	OID_802_3_XMIT_ONE_COLLISION,
	OID_802_3_XMIT_MORE_COLLISIONS,
	OID_GEN_XMIT_OK,
	OID_GEN_RCV_OK,
	OID_GEN_XMIT_ERROR,
	OID_GEN_RCV_ERROR,
	OID_GEN_RCV_NO_BUFFER,
	/* From NDIS 6 on. */
	OID_GEN_MAX_LINK_SPEED,
	OID_GEN_LINK_STATE,
	OID_GEN_BYTES_RCV,
	OID_GEN_BYTES_XMIT,
	OID_TCP_OFFLOAD_CURRENT_CONFIG,
	OID_TCP_OFFLOAD_PARAMETERS,
	OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES,
};
#define SUPPORTED_NDIS_6 7u

static const char vendor[] = "candela";

/* The longest object is the supported list. */
#define QUERY_HEADERS (sizeof(struct rndis_header) + sizeof(struct rndis_query_complete))
static_assert(QUERY_HEADERS + sizeof(supported) <= RNDIS_RESPONSE_MAX, "the longest answer fits");
static_assert(sizeof(struct ndis_link_state) <= sizeof(supported), "so does every object");
static_assert(NDIS_OFFLOAD_SIZE_3 <= sizeof(supported), "so does every object");

/* An object's value on its way into an answer. */
struct value {
	u8 *bytes; /* room for sizeof(supported) */
	u32 len;
};

static u32 value_put(struct value *v, const void *bytes, u32 len)
{
	memcpy(v->bytes, bytes, len);
	v->len = len;
	return RNDIS_STATUS_SUCCESS;
}

static u32 value_u32(struct value *v, u32 n)
{
	return value_put(v, &n, sizeof(n));
}

/* Counters saturate: the guest asks for 32 bits. */
static u32 value_count(struct value *v, u64 n)
{
	return value_u32(v, (u32)MIN(n, (u64)UINT32_MAX));
}

static u32 value_u64(struct value *v, u64 n)
{
	return value_put(v, &n, sizeof(n));
}

static u32 query_supported(const struct rndis_adapter *a, struct value *v)
{
	u32 hidden = a->ndis_major < 6 ? SUPPORTED_NDIS_6 * (u32)sizeof(u32) : 0;

	return value_put(v, supported, (u32)sizeof(supported) - hidden);
}

/* The structure's length and revision follow the NDIS version the guest named. */
static u32 query_offload(const struct rndis_adapter *a, struct value *v)
{
	static const u16 size[] = { 0, NDIS_OFFLOAD_SIZE_1, NDIS_OFFLOAD_SIZE_2,
				    NDIS_OFFLOAD_SIZE_3 };
	struct ndis_header h = { .type = NDIS_OBJECT_OFFLOAD, .revision = 1 };

	if (a->ndis_major > 6 || (a->ndis_major == 6 && a->ndis_minor >= 30))
		h.revision = 3;
	else if (a->ndis_major == 6 && a->ndis_minor >= 1)
		h.revision = 2;
	h.size = size[h.revision];
	memset(v->bytes, 0, h.size);
	memcpy(v->bytes, &h, sizeof(h));
	v->len = h.size;
	return RNDIS_STATUS_SUCCESS;
}

static u32 query_link_state(const struct rndis_adapter *a, struct value *v)
{
	struct ndis_link_state s = {
		.header = { .type = NDIS_OBJECT_DEFAULT, .revision = 1, .size = sizeof(s) },
		.connected = 1,
		.duplex = 2,
		.xmit_speed = a->link_speed,
		.recv_speed = a->link_speed,
	};

	return value_put(v, &s, sizeof(s));
}

static u32 query_statistic(const struct rndis_adapter *a, u32 oid, struct value *v)
{
	switch (oid) {
	case OID_GEN_XMIT_OK:
		return value_count(v, a->tx_frames);
	case OID_GEN_RCV_OK:
		return value_count(v, a->rx_frames);
	case OID_GEN_XMIT_ERROR:
		return value_count(v, a->tx_errors);
	case OID_GEN_RCV_ERROR:
		return value_count(v, a->rx_errors);
	case OID_GEN_RCV_NO_BUFFER:
		return value_count(v, a->rx_no_buffer);
	case OID_GEN_BYTES_RCV:
		return value_u64(v, a->rx_bytes);
	case OID_GEN_BYTES_XMIT:
		return value_u64(v, a->tx_bytes);
	case OID_802_3_RCV_ERROR_ALIGNMENT:
	case OID_802_3_XMIT_ONE_COLLISION:
	case OID_802_3_XMIT_MORE_COLLISIONS:
		return value_u32(v, 0);
	default:
		return RNDIS_STATUS_NOT_SUPPORTED;
	}
}

/* The NDIS status; *v is filled where it is SUCCESS. */
static u32 oid_query(const struct rndis_adapter *a, u32 oid, struct value *v)
{
	switch (oid) {
	case OID_GEN_SUPPORTED_LIST:
		return query_supported(a, v);
	case OID_GEN_HARDWARE_STATUS: /* ready */
	case OID_GEN_MEDIA_CONNECT_STATUS: /* connected */
	case OID_GEN_PROTOCOL_OPTIONS:
		return value_u32(v, 0);
	case OID_GEN_MEDIA_SUPPORTED:
	case OID_GEN_MEDIA_IN_USE:
		return value_u32(v, RNDIS_MEDIUM_802_3);
	case OID_GEN_MAXIMUM_LOOKAHEAD:
	case OID_GEN_CURRENT_LOOKAHEAD:
	case OID_GEN_MAXIMUM_FRAME_SIZE:
		return value_u32(v, a->mtu);
	case OID_GEN_MAXIMUM_TOTAL_SIZE:
	case OID_GEN_TRANSMIT_BLOCK_SIZE:
	case OID_GEN_RECEIVE_BLOCK_SIZE:
		return value_u32(v, a->mtu + RNDIS_ETHERNET_HEADER);
	case OID_GEN_LINK_SPEED: /* in 100 bit/s */
		return value_count(v, a->link_speed / 100);
	case OID_GEN_MAX_LINK_SPEED:
		return value_put(v, (u64[]){ a->link_speed, a->link_speed }, 2 * sizeof(u64));
	case OID_GEN_LINK_STATE:
		return query_link_state(a, v);
	case OID_GEN_TRANSMIT_BUFFER_SPACE:
	case OID_GEN_RECEIVE_BUFFER_SPACE:
		return value_u32(v, MAX_TRANSFER_SIZE);
	case OID_GEN_VENDOR_ID:
		return value_u32(v, VENDOR_ID);
	case OID_GEN_VENDOR_DESCRIPTION:
		return value_put(v, vendor, sizeof(vendor));
	case OID_GEN_VENDOR_DRIVER_VERSION:
	case OID_GEN_DRIVER_VERSION:
		return value_u32(v, DRIVER_VERSION);
	case OID_GEN_CURRENT_PACKET_FILTER:
		return value_u32(v, a->filter);
	case OID_GEN_MAC_OPTIONS:
		return value_u32(v, MAC_OPTIONS);
	case OID_GEN_MAXIMUM_SEND_PACKETS:
		return value_u32(v, RNDIS_PACKETS_MAX);
	case OID_802_3_PERMANENT_ADDRESS:
		return value_put(v, a->permanent_mac, sizeof(a->permanent_mac));
	case OID_802_3_CURRENT_ADDRESS:
		return value_put(v, a->mac, sizeof(a->mac));
	case OID_802_3_MULTICAST_LIST: /* not kept, see rndis_accepts() */
		v->len = 0;
		return RNDIS_STATUS_SUCCESS;
	case OID_802_3_MAXIMUM_LIST_SIZE:
		return value_u32(v, MULTICAST_LIST);
	case OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES:
	case OID_TCP_OFFLOAD_CURRENT_CONFIG:
		return query_offload(a, v);
	default:
		return query_statistic(a, oid, v);
	}
}

static u32 set_filter(struct rndis_adapter *a, const u8 *info, u32 len)
{
	if (len < sizeof(a->filter))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&a->filter, info, sizeof(a->filter));
	return RNDIS_STATUS_SUCCESS;
}

static bool all_off(const u8 *feature, u32 count)
{
	for (u32 i = 0; i < count; i++)
		if (feature[i] > NDIS_OFFLOAD_DISABLED)
			return false;
	return true;
}

/* Nothing is offered, so everything may be turned off and nothing on. Older guests send less. */
static u32 set_offload(const u8 *info, u32 len)
{
	struct ndis_offload_parameters p = { 0 };

	if (len < NDIS_OFFLOAD_PARAMETERS_SIZE_1)
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, info, MIN(len, (u32)sizeof(p)));
	if (p.header.type != NDIS_OBJECT_DEFAULT || p.header.size > len)
		return RNDIS_STATUS_INVALID_DATA;
	if (!all_off(p.checksum, sizeof(p.checksum)) || p.lso_v1 > NDIS_OFFLOAD_DISABLED ||
	    !all_off(p.lso_v2, sizeof(p.lso_v2)) || !all_off(p.rsc, sizeof(p.rsc)))
		return RNDIS_STATUS_NOT_SUPPORTED;
	return RNDIS_STATUS_SUCCESS;
}

static int hex_digit(u8 low, u8 high)
{
	if (high)
		return -1;
	if (low >= '0' && low <= '9')
		return low - '0';
	low |= 0x20;
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* Twelve UTF-16 hex digits. */
static bool mac_parse(const u8 *text, u8 mac[6])
{
	for (size_t i = 0; i < 6; i++) {
		int high = hex_digit(text[4 * i], text[4 * i + 1]);
		int low = hex_digit(text[4 * i + 2], text[4 * i + 3]);

		if (high < 0 || low < 0)
			return false;
		mac[i] = (u8)(high << 4 | low);
	}
	return true;
}

/* The one configuration parameter in use: "NetworkAddress" as a string, the guest's new MAC. */
static u32 set_config(struct rndis_adapter *a, const u8 *info, u32 len)
{
	static const char name[] = "NetworkAddress";
	struct rndis_config_parameter p;
	u8 mac[6];

	if (len < sizeof(p))
		return RNDIS_STATUS_INVALID_LENGTH;
	memcpy(&p, info, sizeof(p));
	if (p.name_offset > len || p.name_len > len - p.name_offset || p.value_offset > len ||
	    p.value_len > len - p.value_offset)
		return RNDIS_STATUS_INVALID_DATA;
	if (p.type != RNDIS_CONFIG_STRING || p.name_len != 2 * (sizeof(name) - 1))
		return RNDIS_STATUS_NOT_SUPPORTED;
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		if (info[p.name_offset + 2 * i] != (u8)name[i] || info[p.name_offset + 2 * i + 1])
			return RNDIS_STATUS_NOT_SUPPORTED;
	if (p.value_len < 4 * sizeof(mac) || !mac_parse(info + p.value_offset, mac) || mac[0] & 1)
		return RNDIS_STATUS_INVALID_DATA;
	memcpy(a->mac, mac, sizeof(mac));
	return RNDIS_STATUS_SUCCESS;
}

static u32 oid_set(struct rndis_adapter *a, u32 oid, const u8 *info, u32 len)
{
	switch (oid) {
	case OID_GEN_CURRENT_PACKET_FILTER:
		return set_filter(a, info, len);
	case OID_802_3_MULTICAST_LIST:
		return len % 6 || len > 6 * MULTICAST_LIST ? RNDIS_STATUS_INVALID_LENGTH
							   : RNDIS_STATUS_SUCCESS;
	case OID_GEN_CURRENT_LOOKAHEAD:
	case OID_GEN_PROTOCOL_OPTIONS:
	case OID_GEN_NETWORK_LAYER_ADDRESSES: /* advice that changes nothing here */
		return RNDIS_STATUS_SUCCESS;
	case OID_GEN_RNDIS_CONFIG_PARAMETER:
		return set_config(a, info, len);
	case OID_TCP_OFFLOAD_PARAMETERS:
		return set_offload(info, len);
	default:
		return RNDIS_STATUS_NOT_SUPPORTED;
	}
}

/* Completes the header of an answer whose body is body_len bytes; the answer's bytes. */
static int respond(u8 *response, u32 type, u32 body_len)
{
	struct rndis_header h = { .type = type | RNDIS_COMPLETION,
				  .len = (u32)sizeof(h) + body_len };

	memcpy(response, &h, sizeof(h));
	return (int)h.len;
}

static int answer_initialize(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	struct rndis_initialize request;
	struct rndis_initialize_complete c = {
		.major_version = RNDIS_MAJOR_VERSION,
		.device_flags = RNDIS_FLAG_CONNECTIONLESS,
		.medium = RNDIS_MEDIUM_802_3,
		.max_packets_per_message = RNDIS_PACKETS_MAX,
		.max_transfer_size = MAX_TRANSFER_SIZE,
		.packet_alignment_factor = RNDIS_ALIGNMENT_FACTOR,
	};

	if (len < sizeof(request))
		return -EINVAL;
	memcpy(&request, body, sizeof(request));
	c.request_id = request.request_id;
	if (request.major_version == RNDIS_MAJOR_VERSION)
		a->initialized = true;
	else
		c.status = RNDIS_STATUS_BAD_VERSION;
	memcpy(response + sizeof(struct rndis_header), &c, sizeof(c));
	return respond(response, RNDIS_INITIALIZE, sizeof(c));
}

static int answer_query(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	struct rndis_query_complete c = { .info_offset = sizeof(c) };
	struct value v = { .bytes = response + sizeof(struct rndis_header) + sizeof(c) };
	struct rndis_oid_request request;

	if (len < sizeof(request))
		return -EINVAL;
	memcpy(&request, body, sizeof(request));
	c.request_id = request.request_id;
	c.status = a->initialized ? oid_query(a, request.oid, &v) : RNDIS_STATUS_FAILURE;
	c.info_len = v.len;
	memcpy(response + sizeof(struct rndis_header), &c, sizeof(c));
	return respond(response, RNDIS_QUERY, (u32)sizeof(c) + v.len);
}

static int answer_status(u8 *response, u32 type, u32 request_id, u32 status)
{
	struct rndis_status_complete c = { .request_id = request_id, .status = status };

	memcpy(response + sizeof(struct rndis_header), &c, sizeof(c));
	return respond(response, type, sizeof(c));
}

static int answer_set(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	struct rndis_oid_request r;
	u32 status;

	if (len < sizeof(r))
		return -EINVAL;
	memcpy(&r, body, sizeof(r));
	if (!a->initialized)
		status = RNDIS_STATUS_FAILURE;
	else if (r.info_offset > len || r.info_len > len - r.info_offset)
		status = RNDIS_STATUS_INVALID_DATA;
	else
		status = oid_set(a, r.oid, body + r.info_offset, r.info_len);
	return answer_status(response, RNDIS_SET, r.request_id, status);
}

static int answer_keepalive(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	u32 request_id;

	(void)a;
	if (len < sizeof(request_id))
		return -EINVAL;
	memcpy(&request_id, body, sizeof(request_id));
	return answer_status(response, RNDIS_KEEPALIVE, request_id, RNDIS_STATUS_SUCCESS);
}

static int answer_reset(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	struct rndis_reset_complete c = { .addressing_reset = 1 };

	(void)body;
	(void)len;
	a->filter = 0;
	memcpy(response + sizeof(struct rndis_header), &c, sizeof(c));
	return respond(response, RNDIS_RESET, sizeof(c));
}

static int answer_halt(struct rndis_adapter *a, const u8 *body, u32 len, u8 *response)
{
	(void)body;
	(void)len;
	(void)response;
	rndis_adapter_reset(a);
	return 0;
}

/* By message type; body and len: without the header. */
static int (*const answers[])(struct rndis_adapter *, const u8 *body, u32 len, u8 *response) = {
	[RNDIS_INITIALIZE] = answer_initialize, [RNDIS_HALT] = answer_halt,
	[RNDIS_QUERY] = answer_query,           [RNDIS_SET] = answer_set,
	[RNDIS_RESET] = answer_reset,           [RNDIS_KEEPALIVE] = answer_keepalive,
};

int rndis_control(struct rndis_adapter *a, const void *msg, u32 len,
		  u8 response[RNDIS_RESPONSE_MAX])
{
	struct rndis_header h;

	if (len < sizeof(h))
		return -EINVAL;
	memcpy(&h, msg, sizeof(h));
	if (h.len > len || h.len < sizeof(h) || h.type >= ARRAY_SIZE(answers) || !answers[h.type])
		return -EINVAL;
	return answers[h.type](a, (const u8 *)msg + sizeof(h), h.len - (u32)sizeof(h), response);
}

void rndis_adapter_reset(struct rndis_adapter *a)
{
	a->initialized = false;
	a->filter = 0;
	memcpy(a->mac, a->permanent_mac, sizeof(a->mac));
}

u32 rndis_indication(u32 status, u8 message[RNDIS_RESPONSE_MAX])
{
	struct rndis_indicate_status body = { .status = status };
	struct rndis_header h = { .type = RNDIS_INDICATE_STATUS, .len = sizeof(h) + sizeof(body) };

	memcpy(message, &h, sizeof(h));
	memcpy(message + sizeof(h), &body, sizeof(body));
	return h.len;
}

bool rndis_accepts(const struct rndis_adapter *a, const void *frame)
{
	static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const u8 *to = frame;

	if (a->filter & NDIS_FILTER_PROMISCUOUS)
		return true;
	if (!memcmp(to, broadcast, sizeof(broadcast)))
		return a->filter & NDIS_FILTER_BROADCAST;
	if (to[0] & 1)
		return a->filter & (NDIS_FILTER_MULTICAST | NDIS_FILTER_ALL_MULTICAST);
	return a->filter & NDIS_FILTER_DIRECTED && !memcmp(to, a->mac, sizeof(a->mac));
}
