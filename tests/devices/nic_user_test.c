/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user-mode network from the guest's side, frame by frame: DHCP, ARP, UDP and TCP to a server
 * of the host, connections forwarded from the host. Nothing outside this machine is needed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/nic.h"
#include "tests/devices/packet.h"
#include "tests/patience.h"

#define GUEST 0x0a00020fu
#define HOST 0x0a000202u
#define DNS 0x0a000203u
#define QUEUE 256

struct net {
	struct loop loop;
	struct nic *nic;
	struct station me;
	struct {
		u32 len;
		u8 bytes[PACKET_MAX];
	} frame[QUEUE];
	unsigned head, tail;
	unsigned room; /* frames taken before the device is full; 0: no limit */
};

/* The device: keeps frames, and answers ARP as a guest would. */
static bool on_frame(struct nic *nic, const void *frame, u32 len)
{
	struct net *n = nic->data;
	u8 reply[60], mac[6];
	u32 from, target;
	u16 op;

	if (packet_arp(frame, len, &op, &from, &target, mac) && op == 1 && target == n->me.ip) {
		struct iovec iov = { .iov_base = reply };

		memcpy(n->me.peer_mac, mac, 6);
		iov.iov_len = packet_arp_reply(reply, &n->me, from);
		assert_int_equal(nic->ops->send(nic, &iov, 1), 0);
		return true;
	}
	assert_true(len <= PACKET_MAX && n->tail - n->head < QUEUE);
	n->frame[n->tail % QUEUE].len = len;
	memcpy(n->frame[n->tail++ % QUEUE].bytes, frame, len);
	if (n->room && !--n->room)
		nic->ops->receive_enable(nic, false);
	return true;
}

static void net_open(struct net *n, const struct nic_config *config)
{
	char error[256] = "";

	memset(n, 0, sizeof(*n));
	n->me = (struct station){ .mac = { 0x00, 0x15, 0x5d, 1, 2, 3 }, .ip = GUEST };
	memset(n->me.peer_mac, 0xff, 6);
	assert_int_equal(loop_init(&n->loop), 0);
	assert_int_equal(nic_open(&n->nic, config, error, sizeof(error)), 0);
	n->nic->receive = on_frame;
	n->nic->data = n;
	assert_int_equal(nic_launch(n->nic, NULL, NULL), 0);
	assert_int_equal(n->nic->ops->start(n->nic, &n->loop), 0);
}

static void net_close(struct net *n)
{
	n->nic->ops->stop(n->nic);
	n->nic->ops->close(n->nic);
	loop_fini(&n->loop);
}

static void net_send(struct net *n, u8 *frame, u32 len)
{
	/* Two pieces, as frames come from a guest. */
	struct iovec iov[2] = { { frame, 14 }, { frame + 14, len - 14 } };

	assert_int_equal(n->nic->ops->send(n->nic, iov, 2), 0);
}

static void net_segment(struct net *n, const struct segment *seg)
{
	u8 frame[PACKET_MAX];

	net_send(n, frame, packet_segment(frame, &n->me, seg));
}

/* The next frame; NULL: none ever came. Good until the next call. */
static const u8 *net_frame(struct net *n, u32 *len)
{
	u64 end = patience_end();

	while (n->head == n->tail && loop_now_ns() < end)
		assert_int_equal(loop_turn(&n->loop, 50), 0);
	if (n->head == n->tail)
		return NULL;
	*len = n->frame[n->head % QUEUE].len;
	return n->frame[n->head++ % QUEUE].bytes;
}

/* The next segment of protocol to port. */
static struct segment net_expect(struct net *n, u8 protocol, u16 port)
{
	struct segment seg;
	const u8 *frame;
	u32 len;

	while ((frame = net_frame(n, &len)))
		if (packet_parse(frame, len, &seg) && seg.protocol == protocol &&
		    seg.to_port == port)
			return seg;
	fail_msg("no frame came");
	return seg;
}

/* Learns the host's hardware address, as a guest does before anything else. */
static void net_resolve(struct net *n)
{
	u8 frame[60], mac[6];
	const u8 *answer;
	u32 len, from, target;
	u16 op;

	net_send(n, frame, packet_arp_request(frame, &n->me, HOST));
	while ((answer = net_frame(n, &len)))
		if (packet_arp(answer, len, &op, &from, &target, mac) && op == 2 && from == HOST)
			break;
	assert_non_null(answer);
	memcpy(n->me.peer_mac, mac, 6);
}

/* A socket of the host bound to 127.0.0.1; its port. */
static int host_socket(int type, u16 *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* Turns the loop (the guest answers ARP) until the host's socket is readable. */
static void host_wait(struct net *n, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	for (u64 end = patience_end(); !poll(&p, 1, 0) && loop_now_ns() < end;)
		assert_int_equal(loop_turn(&n->loop, 10), 0);
	assert_true(p.revents & POLLIN);
}

static void dhcp_offers_the_documented_address(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	u8 request[300] = { 1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78 };
	struct segment seg = { .protocol = 17,
			       .to = 0xffffffff,
			       .from_port = 68,
			       .to_port = 67,
			       .data = request,
			       .len = sizeof(request) };
	struct net n;

	(void)state;
	net_open(&n, &config);
	n.me.ip = 0;
	memcpy(request + 28, n.me.mac, 6);
	memcpy(request + 236, (u8[]){ 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 255 }, 8);
	net_segment(&n, &seg);
	seg = net_expect(&n, 17, 68);
	assert_true(seg.len >= 240);
	assert_memory_equal(seg.data + 4, request + 4, 4);
	assert_memory_equal(seg.data + 16, ((u8[]){ 10, 0, 2, 15 }), 4);
	net_close(&n);
}

static struct segment udp_to_host(u16 port, const char *text)
{
	return (struct segment){ .protocol = 17,
				 .from = GUEST,
				 .to = HOST,
				 .from_port = 4000,
				 .to_port = port,
				 .data = (const u8 *)text,
				 .len = (u32)strlen(text) };
}

static void udp_reaches_a_host_service_and_back(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	struct net n;
	u16 port;
	int fd = host_socket(SOCK_DGRAM, &port);
	struct segment seg = udp_to_host(port, "hello");
	char buf[16];

	(void)state;
	net_open(&n, &config);
	net_resolve(&n);
	net_segment(&n, &seg);
	host_wait(&n, fd);
	assert_int_equal(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(sendto(fd, "world!", 6, 0, (struct sockaddr *)&from, from_len), 6);
	seg = net_expect(&n, 17, 4000);
	assert_int_equal(seg.from, HOST);
	assert_int_equal(seg.from_port, port);
	assert_int_equal(seg.len, 6);
	assert_memory_equal(seg.data, "world!", 6);
	close(fd);
	net_close(&n);
}

/* The guest's end of a TCP connection that is open. */
struct tcp {
	struct net *net;
	struct segment out;
};

static void tcp_send(struct tcp *t, u8 flags, const char *data)
{
	t->out.flags = flags;
	t->out.data = (const u8 *)data;
	t->out.len = (u32)strlen(data);
	net_segment(t->net, &t->out);
	t->out.seq += t->out.len + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

/* The next segment that carries data, acknowledged. */
static struct segment tcp_data(struct tcp *t)
{
	struct segment seg;

	do
		seg = net_expect(t->net, 6, t->out.from_port);
	while (!seg.len);
	t->out.ack = seg.seq + seg.len;
	tcp_send(t, TCP_ACK, "");
	return seg;
}

/* Connects from a port of the guest's to one of the host's; the last step is the caller's ACK. */
static void tcp_connect(struct tcp *t, u16 from, u16 to)
{
	struct segment seg;

	t->out = (struct segment){ .protocol = 6,
				   .from = GUEST,
				   .to = HOST,
				   .from_port = from,
				   .to_port = to,
				   .seq = 1000 };
	tcp_send(t, TCP_SYN, "");
	seg = net_expect(t->net, 6, from);
	assert_int_equal(seg.flags & (TCP_SYN | TCP_ACK | TCP_RST), TCP_SYN | TCP_ACK);
	assert_int_equal(seg.ack, 1001);
	t->out.ack = seg.seq + 1;
}

static void tcp_to_a_host_service_and_back(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	struct net n;
	struct tcp t = { .net = &n };
	struct segment seg;
	u16 port;
	int conn, fd = host_socket(SOCK_STREAM, &port);
	char buf[16];

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	net_open(&n, &config);
	net_resolve(&n);
	tcp_connect(&t, 5000, port);
	tcp_send(&t, TCP_ACK, "ping");
	conn = accept(fd, NULL, NULL);
	assert_true(conn >= 0);
	host_wait(&n, conn);
	assert_int_equal(read(conn, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "ping", 4);
	assert_int_equal(write(conn, "pong!", 5), 5);
	seg = tcp_data(&t);
	assert_int_equal(seg.len, 5);
	assert_memory_equal(seg.data, "pong!", 5);
	tcp_send(&t, TCP_FIN | TCP_ACK, "");
	host_wait(&n, conn);
	assert_int_equal(read(conn, buf, sizeof(buf)), 0);
	close(conn);
	close(fd);
	net_close(&n);
}

/* A port nobody uses now. */
static u16 free_port(int type)
{
	u16 port;

	close(host_socket(type, &port));
	return port;
}

static int host_connect(int type, u16 port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, type, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void hostfwd_udp_reaches_the_guest(void **state)
{
	struct nic_config config = { .kind = NIC_USER, .hostfwd_count = 1 };
	u16 port = free_port(SOCK_DGRAM);
	struct segment seg;
	struct net n;
	char buf[16];
	int fd;

	(void)state;
	config.hostfwd[0] = (struct nic_hostfwd){ .udp = true,
						  .host_port = port,
						  .guest_port = 53,
						  .host_addr = htonl(INADDR_LOOPBACK) };
	net_open(&n, &config);
	net_resolve(&n);
	fd = host_connect(SOCK_DGRAM, port);
	assert_int_equal(write(fd, "query", 5), 5);
	seg = net_expect(&n, 17, 53);
	assert_int_equal(seg.to, GUEST);
	assert_memory_equal(seg.data, "query", 5);
	seg = (struct segment){ .protocol = 17,
				.from = GUEST,
				.to = seg.from,
				.from_port = 53,
				.to_port = seg.from_port,
				.data = (const u8 *)"answer",
				.len = 6 };
	net_segment(&n, &seg);
	host_wait(&n, fd);
	assert_int_equal(read(fd, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "answer", 6);
	close(fd);
	net_close(&n);
}

/* Before the guest has spoken at all, too: the host then asks for its address by ARP. */
static void hostfwd_tcp_reaches_the_guest(void **state)
{
	struct nic_config config = { .kind = NIC_USER, .hostfwd_count = 1 };
	u16 port = free_port(SOCK_STREAM);
	struct net n;
	struct tcp t = { .net = &n };
	struct segment seg;
	char buf[16];
	int fd;

	(void)state;
	config.hostfwd[0] = (struct nic_hostfwd){ .host_port = port,
						  .guest_port = 22,
						  .host_addr = htonl(INADDR_LOOPBACK) };
	net_open(&n, &config);
	fd = host_connect(SOCK_STREAM, port);
	seg = net_expect(&n, 6, 22);
	assert_int_equal(seg.flags, TCP_SYN);
	t.out = (struct segment){ .protocol = 6,
				  .from = GUEST,
				  .to = seg.from,
				  .from_port = 22,
				  .to_port = seg.from_port,
				  .seq = 7000,
				  .ack = seg.seq + 1 };
	tcp_send(&t, TCP_SYN | TCP_ACK, "");
	tcp_send(&t, TCP_ACK, "SSH-2.0");
	host_wait(&n, fd);
	assert_int_equal(read(fd, buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "SSH-2.0", 7);
	assert_int_equal(write(fd, "hi", 2), 2);
	seg = tcp_data(&t);
	assert_memory_equal(seg.data, "hi", 2);
	close(fd);
	net_close(&n);
}

static void a_taken_port_is_named(void **state)
{
	struct nic_config config = { .kind = NIC_USER, .hostfwd_count = 1 };
	char error[256] = "", number[8];
	struct nic *nic;
	u16 port;
	int fd = host_socket(SOCK_STREAM, &port);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	config.hostfwd[0] = (struct nic_hostfwd){ .host_port = port,
						  .guest_port = 22,
						  .host_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(nic_open(&nic, &config, error, sizeof(error)), -EADDRINUSE);
	snprintf(number, sizeof(number), ":%u", port);
	assert_non_null(strstr(error, number));
	assert_non_null(strstr(error, strerror(EADDRINUSE)));
	close(fd);
}

/* More data than fits on the way while the guest takes nothing: TCP waits, no byte is lost. */
static void a_slow_guest_loses_nothing(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	struct net n;
	struct tcp t = { .net = &n };
	struct segment seg;
	u32 received = 0, total = 1 << 20;
	static u8 block[4096];
	u16 port;
	int conn, fd = host_socket(SOCK_STREAM, &port);
	u32 sent = 0;

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	net_open(&n, &config);
	net_resolve(&n);
	tcp_connect(&t, 5001, port);
	tcp_send(&t, TCP_ACK, "");
	conn = accept(fd, NULL, NULL);
	while (received < total) {
		ssize_t len = sent < total ? send(conn, block, sizeof(block), MSG_DONTWAIT) : 0;

		if (len > 0)
			sent += (u32)len;
		if (n.head == n.tail) {
			n.room = 3; /* three frames, then a pause */
			n.nic->ops->receive_enable(n.nic, true);
		}
		seg = net_expect(&n, 6, 5001);
		assert_int_equal(seg.seq, t.out.ack);
		received += seg.len;
		t.out.ack += seg.len;
		tcp_send(&t, TCP_ACK, "");
	}
	close(conn);
	close(fd);
	net_close(&n);
}

/* Numbered datagrams from the host, as many as fit on the way and more. */
static void a_flood_waits_in_order_and_passes(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	struct sockaddr_in guest;
	socklen_t guest_len = sizeof(guest);
	struct net n;
	u16 port;
	int fd = host_socket(SOCK_DGRAM, &port);
	struct segment seg = udp_to_host(port, "?");
	u32 block[350] = { 0 }, last = 0, got = 0, count = 2500, number;

	(void)state;
	net_open(&n, &config);
	net_resolve(&n);
	net_segment(&n, &seg);
	host_wait(&n, fd);
	recvfrom(fd, block, sizeof(block), 0, (struct sockaddr *)&guest, &guest_len);
	n.nic->ops->receive_enable(n.nic, false);
	for (number = 1; number <= count; number++) {
		block[0] = number;
		sendto(fd, block, sizeof(block), 0, (struct sockaddr *)&guest, guest_len);
		if (number % 16 == 0)
			usleep(500);
	}
	n.nic->ops->receive_enable(n.nic, true);
	/*
	 * What was lost on the way tells the end by its silence, so the last one is sent anew; how
	 * many were is the machine's affair, so there are more of them until enough have passed.
	 */
	while (last < count || got <= 300) {
		count += got <= 300;
		sendto(fd, &count, sizeof(count), 0, (struct sockaddr *)&guest, guest_len);
		seg = net_expect(&n, 17, 4000);
		memcpy(&number, seg.data, sizeof(number));
		assert_true(number > last);
		last = number;
		got++;
	}
	close(fd);
	net_close(&n);
}

static int refuse(void *ctx)
{
	++*(int *)ctx;
	return -EPERM;
}

static void a_refused_thread_start_is_reported(void **state)
{
	struct nic_config config = { .kind = NIC_USER };
	char error[256] = "";
	struct nic *nic;
	int calls = 0;

	(void)state;
	assert_int_equal(nic_open(&nic, &config, error, sizeof(error)), 0);
	assert_int_equal(nic_launch(nic, refuse, &calls), -EPERM);
	assert_int_equal(calls, 1);
	nic->ops->close(nic);
}

static void closing_without_a_launch_is_fine(void **state)
{
	struct nic_config config = { .kind = NIC_USER,
				     .mac_given = true,
				     .mac = { 2, 0, 0, 0, 0, 9 } };
	char error[256] = "";
	struct nic *nic;

	(void)state;
	assert_int_equal(nic_open(&nic, &config, error, sizeof(error)), 0);
	assert_memory_equal(nic->mac, config.mac, 6);
	nic->ops->close(nic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dhcp_offers_the_documented_address),
		cmocka_unit_test(udp_reaches_a_host_service_and_back),
		cmocka_unit_test(tcp_to_a_host_service_and_back),
		cmocka_unit_test(hostfwd_udp_reaches_the_guest),
		cmocka_unit_test(hostfwd_tcp_reaches_the_guest),
		cmocka_unit_test(a_taken_port_is_named),
		cmocka_unit_test(a_slow_guest_loses_nothing),
		cmocka_unit_test(a_flood_waits_in_order_and_passes),
		cmocka_unit_test(a_refused_thread_start_is_reported),
		cmocka_unit_test(closing_without_a_launch_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
