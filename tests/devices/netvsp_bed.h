/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A test bed for netvsp: the fake guest, which speaks NVSP and RNDIS as Linux's hv_netvsc does, and
 * a NIC of memory behind the device. All functions assert what every well-behaved exchange shows.
 */
#ifndef TESTS_DEVICES_NETVSP_BED_H
#define TESTS_DEVICES_NETVSP_BED_H

#include "devices/devices.h"
#include "devices/netvsp_proto.h"
#include "devices/rndis.h"
#include "tests/fakeguest/fakeguest.h"

#define RECV_ID 0xcafe
#define RECV_PAGES 64u
#define SEND_PAGES 16u
#define SENT_MAX 64u

struct nic_mem {
	struct nic nic;
	struct loop *loop; /* NULL: stopped */
	bool enabled;
	bool closed;
	int error; /* what send() answers */
	unsigned sent;
	u32 len[SENT_MAX];
	u8 frame[SENT_MAX][2048];
};

extern const struct nic_ops mem_ops;

struct bed {
	struct fakeguest g;
	struct nic_mem nic;
	struct netvsp *netvsp;
	struct fg_channel ch;
	gpa_t recv, send, scratch;
	u32 recv_gpadl, send_gpadl;
	u32 recv_bytes; /* how much of recv is shared */
	struct nvsp_recv_section section;
	u32 send_section;
	u64 next_id;
	u8 packet[8192];
};

/* A guest whose channel is open, and nothing said on it yet. */
struct bed *bed_new(void);
void bed_free(struct bed *b);
/* VMBus contact, offers, the channel: again after an unload. */
void bed_connect(struct bed *b);

/* The next packet from the host, as fg_recv(), after a pump. */
int bed_take(struct bed *b, struct fg_packet *pkt);
struct nvsp_message bed_message(const struct fg_packet *pkt);
/* The next packet, which completes id. */
struct nvsp_message bed_completion(struct bed *b, u64 id);
/* Sends m and takes its completion. */
struct nvsp_message bed_request(struct bed *b, const struct nvsp_message *m);
/* Sends m, which wants none. */
void bed_tell(struct bed *b, const struct nvsp_message *m);

/* One step of the set-up each: the host's status. */
u32 bed_negotiate(struct bed *b, u32 version);
u32 bed_share_recv(struct bed *b);
u32 bed_share_send(struct bed *b);
void bed_set_filter(struct bed *b, u32 filter);
/* All of it, as Linux's probe and `ip link set up`. */
void bed_bring_up(struct bed *b);
/* RNDIS_HALT, which has no answer. */
void bed_halt(struct bed *b);

/*
 * Sends count ranges of guest memory, after section_size bytes of a section of the send buffer
 * where section is one. Its transaction id.
 */
u64 bed_transmit(struct bed *b, u32 channel, u32 section, u32 section_size,
		 const struct fg_range *range, unsigned count);
u32 bed_transmit_status(struct bed *b, u64 id);
/* A control message from the host, completed. Its type; the body in *body. */
u32 bed_control_answer(struct bed *b, const u8 **body);
/* A packet message at `at`, its frame filled with seed; its length. */
u32 bed_put_message(u8 *at, u32 len, u8 seed);
/* The NIC was given such a frame as its index'th. */
void bed_expect_sent(struct bed *b, unsigned index, u32 len, u8 seed);

/* The NIC gets a broadcast of len bytes in: what receive() says. Does not pump. */
bool bed_arrive(struct bed *b, u32 len, u8 seed);
/* The next packet, which brings frames. */
void bed_expect_data(struct bed *b, struct fg_packet *pkt);
/* Its range i holds a frame of bed_arrive(). */
void bed_expect_range(struct bed *b, const struct fg_packet *pkt, u32 i, u32 len, u8 seed);
/* Completes it. */
void bed_done_with(struct bed *b, const struct fg_packet *pkt);

/* A frame that the guest sends reaches the NIC; one that the NIC gets in reaches the guest. */
void bed_transmit_one(struct bed *b, u8 seed);
void bed_receive_one(struct bed *b, u8 seed);

#endif
