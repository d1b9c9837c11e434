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

/*
 * Connection ids messages are posted to: 1; 4 is for INITIATE_CONTACT of 5.0 and later, whose SINT
 * and VTL fields count only there. Id 2 is signalled (HvCallSignalEvent), and only before 1.1.
 */
#define VMBUS_MESSAGE_CONNECTION_ID 1u
#define VMBUS_EVENT_CONNECTION_ID_SHARED 2u
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
	VMBUS_MSG_OPEN_RESERVED_CHANNEL = 18, /* G, from 4.0 */
	VMBUS_MSG_CLOSE_RESERVED_CHANNEL = 19, /* G, from 4.0 */
	VMBUS_MSG_CLOSE_RESERVED_RESPONSE = 20, /* H */
	VMBUS_MSG_TL_CONNECT_REQUEST = 21, /* G, from 4.0 */
	VMBUS_MSG_MODIFY_CHANNEL = 22, /* G, from 4.1 */
	VMBUS_MSG_TL_CONNECT_RESULT = 23, /* H, from 4.1 */
	VMBUS_MSG_MODIFY_CHANNEL_RESPONSE = 24, /* H, from 5.3 */
	VMBUS_MSG_MODIFY_CONNECTION = 25, /* G, where negotiated: VMBUS_FEATURE_MODIFY_CONNECTION */
	VMBUS_MSG_MODIFY_CONNECTION_RESPONSE = 26, /* H */
	VMBUS_MSG_PAUSE = 27, /* G, where negotiated: VMBUS_FEATURE_PAUSE_RESUME */
	VMBUS_MSG_PAUSE_RESPONSE = 28, /* H */
	VMBUS_MSG_RESUME = 29, /* G */
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

/*
 * Feature flags of 6.0 (names and values: OpenVMM vmbus_core, FeatureFlags): the guest asks in
 * INITIATE_CONTACT, the host answers with those of them it has.
 */
#define VMBUS_FEATURE_GUEST_SIGNALS 0x01u /* OPEN_CHANNEL names connection id and event flag */
#define VMBUS_FEATURE_INTERRUPT_REDIRECTION 0x02u /* OPEN_CHANNEL has flags */
#define VMBUS_FEATURE_MODIFY_CONNECTION 0x04u
#define VMBUS_FEATURE_CLIENT_ID 0x08u /* INITIATE_CONTACT names the kind of guest */
#define VMBUS_FEATURE_CONFIDENTIAL_CHANNELS 0x10u /* paravisors only */
#define VMBUS_FEATURE_PAUSE_RESUME 0x20u
#define VMBUS_FEATURE_HOST_MONITOR_PAGES 0x40u
#define VMBUS_FEATURE_GPA_PINNING 0x80u

/* struct vmbus_channel_initiate_contact; older guests end before client_id. */
struct vmbus_msg_initiate_contact {
	struct vmbus_msg_header header;
	u32 vmbus_version_requested;
	u32 target_vcpu; /* from 3.0: the VP messages go to */
	union {
		u64 interrupt_page; /* before 5.0 */
		struct {
			u8 msg_sint; /* from 5.0 */
			u8 msg_vtl; /* from 5.1 */
			u8 padding1[2];
			u32 feature_flags; /* from 6.0 */
		};
	};
	u64 monitor_page1; /* host to guest */
	u64 monitor_page2; /* guest to host */
};
static_assert(sizeof(struct vmbus_msg_initiate_contact) == 40, "INITIATE_CONTACT");
/* With VMBUS_FEATURE_CLIENT_ID 16 bytes of GUID follow. */
#define VMBUS_INITIATE_CONTACT_SIZE_CLIENT_ID 56u
static_assert(offsetof(struct vmbus_msg_initiate_contact, feature_flags) == 20, "feature flags");

/* struct vmbus_channel_version_response */
struct vmbus_msg_version_response {
	struct vmbus_msg_header header;
	u8 version_supported;
	u8 connection_state; /* VMBUS_CONNECTION_*; counts from 2.4 where supported */
	u16 padding;
	u32 msg_conn_id; /* from 5.0: where later messages go; before: the version */
	u32 supported_features; /* from 6.0; older answers end before it */
};
static_assert(sizeof(struct vmbus_msg_version_response) == 20, "VERSION_RESPONSE");
#define VMBUS_VERSION_RESPONSE_SIZE_OLD 16u
#define VMBUS_CONNECTION_SUCCESSFUL 0u
#define VMBUS_CONNECTION_FAILED_LOW_RESOURCES 1u
#define VMBUS_CONNECTION_FAILED_UNKNOWN 2u

/* Offer flags (VMBUS_CHANNEL_*) and pipe modes. */
#define VMBUS_OFFER_ENUMERATE_DEVICE_INTERFACE 0x0001u
#define VMBUS_OFFER_NAMED_PIPE_MODE 0x0010u
#define VMBUS_OFFER_TLNPI_PROVIDER 0x2000u /* a socket, from 4.0 */
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
	u16 sub_channel_index; /* from 2.4; 0: the primary channel */
	u16 mmio_megabytes_optional;
	u32 child_relid;
	u8 monitorid; /* VMBUS_MONITOR_NONE */
	u8 monitor_allocated;
	/* From 1.1; the message ends before it in 0.13. */
	u16 is_dedicated_interrupt; /* 1: signal connection_id, leave the interrupt page alone */
	u32 connection_id;
};
static_assert(sizeof(struct vmbus_msg_offer_channel) == 196, "OFFER_CHANNEL");
static_assert(offsetof(struct vmbus_msg_offer_channel, child_relid) == 184, "offer relid");

#define VMBUS_OFFER_SIZE_OLD 190u
#define VMBUS_MONITOR_NONE 0xffu

/* User-defined bytes of a socket's offer (OpenVMM vmbus_core: HvsockUserDefinedParameters). */
struct vmbus_hvsock_params {
	u32 pipe_type; /* VMBUS_PIPE_TYPE_BYTE */
	u8 is_for_guest_accept; /* 1: the host connects; 0: the answer to TL_CONNECT_REQUEST */
	u8 is_for_guest_container;
	u32 version; /* 1: silo_id counts */
	u8 silo_id[16];
	u8 padding[2];
} __attribute__((packed));
static_assert(sizeof(struct vmbus_hvsock_params) == 28, "socket parameters");

/* RESCIND_CHANNEL_OFFER, CLOSE_CHANNEL, CLOSE_RESERVED_RESPONSE, RELID_RELEASED. */
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
	u32 target_vp; /* from 2.4: VP to interrupt; VMBUS_VP_NONE: none */
	u32 downstream_ringbuffer_pageoffset; /* pages of the guest-to-host ring */
	u8 userdata[VMBUS_USER_DEFINED_MAX];
};
static_assert(sizeof(struct vmbus_msg_open_channel) == 148, "OPEN_CHANNEL");
#define VMBUS_VP_NONE 0xffffffffu

/* With VMBUS_FEATURE_GUEST_SIGNALS or _INTERRUPT_REDIRECTION this follows OPEN_CHANNEL. */
struct vmbus_open_signals {
	u32 connection_id; /* that the guest will signal, instead of the offer's */
	u16 event_flag; /* that the host sets, instead of the relid */
	u16 flags; /* 1: interrupt the redirected VTL, where there is one */
};
static_assert(sizeof(struct vmbus_open_signals) == 8, "OPEN_CHANNEL's signals");
#define VMBUS_EVENT_FLAGS 2048u

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

/*
 * struct vmbus_channel_tl_connect_request: a guest's socket connects to a host service. From 5.2
 * 16 bytes of silo id may follow; some guests leave them out.
 */
struct vmbus_msg_tl_connect_request {
	struct vmbus_msg_header header;
	u8 guest_endpoint_id[16];
	u8 host_service_id[16];
};
static_assert(sizeof(struct vmbus_msg_tl_connect_request) == 40, "TL_CONNECT_REQUEST");
#define VMBUS_TL_CONNECT_REQUEST_SIZE_SILO 56u

/* The answer where the host refuses (OpenVMM vmbus_core: TlConnectResult). */
struct vmbus_msg_tl_connect_result {
	struct vmbus_msg_header header;
	u8 guest_endpoint_id[16];
	u8 host_service_id[16];
	u32 status;
};
static_assert(sizeof(struct vmbus_msg_tl_connect_result) == 44, "TL_CONNECT_RESULT");

/*
 * A channel that stays open across connections, without interrupts (for crash dumps). Results go to
 * the target it names (OpenVMM vmbus_core: OpenReservedChannel).
 */
struct vmbus_msg_open_reserved {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 target_vp;
	u32 target_sint;
	u32 ringbuffer_gpadlhandle;
	u32 downstream_ringbuffer_pageoffset;
};
static_assert(sizeof(struct vmbus_msg_open_reserved) == 28, "OPEN_RESERVED_CHANNEL");

struct vmbus_msg_close_reserved {
	struct vmbus_msg_header header;
	u32 child_relid;
	u32 target_vp; /* of CLOSE_RESERVED_RESPONSE, a relid message */
	u32 target_sint;
};
static_assert(sizeof(struct vmbus_msg_close_reserved) == 20, "CLOSE_RESERVED_CHANNEL");

/* New monitor pages (OpenVMM vmbus_core: ModifyConnection); both or none. */
struct vmbus_msg_modify_connection {
	struct vmbus_msg_header header;
	u64 monitor_page1;
	u64 monitor_page2;
};
static_assert(sizeof(struct vmbus_msg_modify_connection) == 24, "MODIFY_CONNECTION");

struct vmbus_msg_modify_connection_response {
	struct vmbus_msg_header header;
	u8 connection_state; /* VMBUS_CONNECTION_* */
} __attribute__((packed));
static_assert(sizeof(struct vmbus_msg_modify_connection_response) == 9, "its response");

/*
 * The interrupt page of versions before 2.4: flags of relids, the host's to the guest in the first
 * half, the guest's to the host (0.13 only) in the second.
 */
#define VMBUS_INTERRUPT_PAGE_WORDS 512u /* of each half, 32 flags in a word */
#define VMBUS_INTERRUPT_PAGE_RELIDS 256u /* guests of that time look at relids below */

/*
 * A monitor page (Linux drivers/hv/hyperv_vmbus.h: struct hv_monitor_page): instead of a hypercall
 * the guest sets its channel's `pending` bit, bit monitorid % 32 of group monitorid / 32, and the
 * host looks at it now and then.
 */
#define VMBUS_MONITOR_GROUPS 4u
#define VMBUS_MONITOR_GROUP_SIZE 32u
#define VMBUS_MONITORS (VMBUS_MONITOR_GROUPS * VMBUS_MONITOR_GROUP_SIZE)

struct vmbus_monitor_page {
	u32 group_enable; /* a bit for each group in use */
	u32 reserved1;
	struct {
		u32 pending;
		u32 armed;
	} group[VMBUS_MONITOR_GROUPS];
	u64 reserved2[3];
	u32 next_check_time[VMBUS_MONITORS];
	u16 latency[VMBUS_MONITORS]; /* units of 100 ns */
	u64 reserved3[32];
	struct {
		u32 connection_id;
		u16 flag;
		u16 reserved;
	} parameter[VMBUS_MONITORS];
	u8 reserved4[1984];
};
static_assert(sizeof(struct vmbus_monitor_page) == 4096, "monitor page");
static_assert(offsetof(struct vmbus_monitor_page, latency) == 0x240, "monitor page");
static_assert(offsetof(struct vmbus_monitor_page, parameter) == 0x440, "monitor page");

#endif
