/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channel messages: what guest and host post to each other to set channels up and take them down.
 * No public document describes them; layout as Linux include/linux/hyperv.h (struct names are in
 * the comments). A message is at most 240 bytes, little-endian, sent as SynIC message type 1.
 * Host, fake guest and test guests share this file.
 */
#ifndef VMBUS_VMBUS_PROTO_H
#define VMBUS_VMBUS_PROTO_H

#include <assert.h>

#include "base/types.h"

#define VMBUS_MESSAGE_MAX 240u

/* Connection ids messages are posted to: INITIATE_CONTACT of 5.0 and later, everything older. */
#define VMBUS_MESSAGE_CONNECTION_ID 1u
#define VMBUS_MESSAGE_CONNECTION_ID_4 4u

/* The SINT of guests that do not name one (before 5.0). */
#define VMBUS_SINT 2u

/* Protocol versions: major << 16 | minor. */
enum vmbus_version {
	VMBUS_VERSION_WS2008 = 0x0000000d,
	VMBUS_VERSION_WIN7 = 0x00010001,
	VMBUS_VERSION_WIN8 = 0x00020004,
	VMBUS_VERSION_WIN8_1 = 0x00030000,
	VMBUS_VERSION_WIN10 = 0x00040000,
	VMBUS_VERSION_WIN10_V4_1 = 0x00040001,
	VMBUS_VERSION_WIN10_V5 = 0x00050000,
	VMBUS_VERSION_WIN10_V5_1 = 0x00050001,
	VMBUS_VERSION_WIN10_V5_2 = 0x00050002,
	VMBUS_VERSION_WIN10_V5_3 = 0x00050003,
	VMBUS_VERSION_V6_0 = 0x00060000,
};

/* Linux: enum vmbus_channel_message_type. G: the guest sends it, H: the host does. */
enum vmbus_msg_type {
	VMBUS_MSG_OFFER_CHANNEL = 1, /* H */
	VMBUS_MSG_RESCIND_CHANNEL_OFFER = 2, /* H */
	VMBUS_MSG_REQUEST_OFFERS = 3, /* G */
	VMBUS_MSG_ALL_OFFERS_DELIVERED = 4, /* H */
	VMBUS_MSG_OPEN_CHANNEL = 5, /* G */
	VMBUS_MSG_OPEN_CHANNEL_RESULT = 6, /* H */
	VMBUS_MSG_CLOSE_CHANNEL = 7, /* G */
	VMBUS_MSG_GPADL_HEADER = 8, /* G */
	VMBUS_MSG_GPADL_BODY = 9, /* G */
	VMBUS_MSG_GPADL_CREATED = 10, /* H */
	VMBUS_MSG_GPADL_TEARDOWN = 11, /* G */
	VMBUS_MSG_GPADL_TORNDOWN = 12, /* H */
	VMBUS_MSG_RELID_RELEASED = 13, /* G */
	VMBUS_MSG_INITIATE_CONTACT = 14, /* G */
	VMBUS_MSG_VERSION_RESPONSE = 15, /* H */
	VMBUS_MSG_UNLOAD = 16, /* G */
	VMBUS_MSG_UNLOAD_RESPONSE = 17, /* H */
	VMBUS_MSG_TL_CONNECT_REQUEST = 21, /* G */
	VMBUS_MSG_MODIFY_CHANNEL = 22, /* G, from 4.1 */
	VMBUS_MSG_TL_CONNECT_RESULT = 23, /* H */
	VMBUS_MSG_MODIFY_CHANNEL_RESPONSE = 24, /* H, from 5.3 */
	VMBUS_MSG_COUNT
};

/* NT statuses the host answers with. */
#define VMBUS_STATUS_SUCCESS 0u
#define VMBUS_STATUS_UNSUCCESSFUL 0xc0000001u
#define VMBUS_STATUS_INVALID_PARAMETER 0xc000000du
#define VMBUS_STATUS_INSUFFICIENT_RESOURCES 0xc000009au
#define VMBUS_STATUS_CONNECTION_REFUSED 0xc0000236u

/* Starts every message, and is all of some (struct vmbus_channel_message_header). */
struct vmbus_msg_header {
	u32 msgtype;
	u32 padding;
};
static_assert(sizeof(struct vmbus_msg_header) == 8, "message header");

/* struct vmbus_channel_initiate_contact */
struct vmbus_msg_initiate_contact {
	struct vmbus_msg_header header;
	u32 vmbus_version_requested;
	u32 target_vcpu; /* from 3.0: the VP messages go to */
	union {
		u64 interrupt_page; /* before 5.0 */
		struct {
			u8 msg_sint; /* from 5.0 */
			u8 msg_vtl;
			u8 padding1[2];
			u32 feature_flags; /* from 6.0 */
		};
	};
	u64 monitor_page1; /* host to guest */
	u64 monitor_page2; /* guest to host */
};
static_assert(sizeof(struct vmbus_msg_initiate_contact) == 40, "INITIATE_CONTACT");
static_assert(offsetof(struct vmbus_msg_initiate_contact, feature_flags) == 20, "feature flags");

/* struct vmbus_channel_version_response */
struct vmbus_msg_version_response {
	struct vmbus_msg_header header;
	u8 version_supported;
	u8 connection_state; /* 0: successful */
	u16 padding;
	u32 msg_conn_id; /* from 5.0: where later messages go; before: the version */
	u32 supported_features; /* from 6.0; older answers end before it */
};
static_assert(sizeof(struct vmbus_msg_version_response) == 20, "VERSION_RESPONSE");
#define VMBUS_VERSION_RESPONSE_SIZE_OLD 16u

/* Offer flags (VMBUS_CHANNEL_*) and pipe modes. */
#define VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE 0x0001u
#define VMBUS_OFFER_NAMED_PIPE_MODE 0x0010u
#define VMBUS_PIPE_TYPE_BYTE 0u
#define VMBUS_PIPE_TYPE_MESSAGE 4u
#define VMBUS_USER_DEFINED_MAX 120u

/* struct vmbus_channel_offer and struct vmbus_channel_offer_channel; GUIDs as in base/guid.h. */
struct vmbus_msg_offer_channel {
	struct vmbus_msg_header header;
	u8 if_type[16];
	u8 if_instance[16];
	u32 reserved1[4];
	u16 chn_flags;
	u16 mmio_megabytes;
	u8 user_def[VMBUS_USER_DEFINED_MAX]; /* pipe mode: starts with the u32 pipe type */
	u16 sub_channel_index; /* 0: the primary channel */
	u16 reserved3;
	u32 child_relid;
	u8 monitorid;
	u8 monitor_allocated;
	u16 is_dedicated_interrupt; /* 1: signal connection_id, leave the interrupt page alone */
	u32 connection_id;
};
static_assert(sizeof(struct vmbus_msg_offer_channel) == 196, "OFFER_CHANNEL");
static_assert(offsetof(struct vmbus_msg_offer_channel, child_relid) == 184, "offer relid");

/* RESCIND_CHANNEL_OFFER, CLOSE_CHANNEL, RELID_RELEASED: a header and a relid. */
struct vmbus_msg_relid {
	struct vmbus_msg_header header;
	u32 child_relid;
};
static_assert(sizeof(struct vmbus_msg_relid) == 12, "relid message");

/* struct vmbus_channel_open_channel */
struct vmbus_msg_open_channel {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 openid;
	u32 ringbuffer_gpadlhandle;
	u32 target_vp; /* VP to interrupt; VMBUS_VP_NONE: none */
	u32 downstream_ringbuffer_pageoffset; /* pages of the guest-to-host ring */
	u8 userdata[VMBUS_USER_DEFINED_MAX];
};
static_assert(sizeof(struct vmbus_msg_open_channel) == 148, "OPEN_CHANNEL");
#define VMBUS_VP_NONE 0xffffffffu

/* struct vmbus_channel_open_result */
struct vmbus_msg_open_result {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 openid;
	u32 status;
};
static_assert(sizeof(struct vmbus_msg_open_result) == 20, "OPEN_CHANNEL_RESULT");

/*
 * struct vmbus_channel_gpadl_header. range_buflen bytes of ranges (struct ring_gpa_range and PFNs)
 * follow, as many as fit; the rest comes in GPADL_BODY messages.
 */
struct vmbus_msg_gpadl_header {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 gpadl;
	u16 range_buflen;
	u16 rangecount;
} __attribute__((packed));
static_assert(sizeof(struct vmbus_msg_gpadl_header) == 20, "GPADL_HEADER");

/* struct vmbus_channel_gpadl_body; more of the ranges follow. */
struct vmbus_msg_gpadl_body {
	struct vmbus_msg_header header;
	u32 msgnumber;
	u32 gpadl;
};
static_assert(sizeof(struct vmbus_msg_gpadl_body) == 16, "GPADL_BODY");

/* struct vmbus_channel_gpadl_created */
struct vmbus_msg_gpadl_created {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 gpadl;
	u32 creation_status;
};
static_assert(sizeof(struct vmbus_msg_gpadl_created) == 20, "GPADL_CREATED");

/* struct vmbus_channel_gpadl_teardown */
struct vmbus_msg_gpadl_teardown {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 gpadl;
};
static_assert(sizeof(struct vmbus_msg_gpadl_teardown) == 16, "GPADL_TEARDOWN");

/* struct vmbus_channel_gpadl_torndown */
struct vmbus_msg_gpadl_torndown {
	struct vmbus_msg_header header;
	u32 gpadl;
};
static_assert(sizeof(struct vmbus_msg_gpadl_torndown) == 12, "GPADL_TORNDOWN");

/* struct vmbus_channel_modifychannel */
struct vmbus_msg_modify_channel {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 target_vp;
};
static_assert(sizeof(struct vmbus_msg_modify_channel) == 16, "MODIFY_CHANNEL");

/* struct vmbus_channel_modifychannel_response */
struct vmbus_msg_modify_response {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 status;
};
static_assert(sizeof(struct vmbus_msg_modify_response) == 16, "MODIFY_CHANNEL_RESPONSE");

/* struct vmbus_channel_tl_connect_request: a guest's socket connects to a host service. */
struct vmbus_msg_tl_connect_request {
	struct vmbus_msg_header header;
	u8 guest_endpoint_id[16];
	u8 host_service_id[16];
};
static_assert(sizeof(struct vmbus_msg_tl_connect_request) == 40, "TL_CONNECT_REQUEST");

/* The answer where the host refuses (OpenVMM vmbus_core: TlConnectResult). */
struct vmbus_msg_tl_connect_result {
	struct vmbus_msg_header header;
	u8 guest_endpoint_id[16];
	u8 host_service_id[16];
	u32 status;
};
static_assert(sizeof(struct vmbus_msg_tl_connect_result) == 44, "TL_CONNECT_RESULT");

#endif
