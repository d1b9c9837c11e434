/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A name server for tests: on UDP 127.0.0.1:53 it answers every question with the one address
 * 10.9.8.7 (RFC 1035). Ends when its standard input does.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER_BYTES 12
#define MESSAGE_BYTES 512

/* The question's length after the header: labels up to the empty one, type, class; 0: malformed. */
static size_t question_size(const uint8_t *q, size_t len)
{
	size_t at = 0;

	while (at < len && q[at])
		at += (size_t)q[at] + 1;
	return at + 5 <= len ? at + 5 : 0;
}

static size_t answer(uint8_t *m, size_t len)
{
	/* The name by pointer, type A, class IN, 60 s, four bytes. */
	static const uint8_t record[] = { 0xc0, HEADER_BYTES, 0, 1, 0,  1, 0, 0,
					  0,    60,           0, 4, 10, 9, 8, 7 };
	size_t question =
		len > HEADER_BYTES ? question_size(m + HEADER_BYTES, len - HEADER_BYTES) : 0;
	size_t at = HEADER_BYTES + question;
	int is_a;

	if (!question || at + sizeof(record) > MESSAGE_BYTES)
		return 0;
	is_a = m[at - 3] == 1;
	m[2] = 0x81; /* a response; recursion desired */
	m[3] = 0x80; /* recursion available; no error */
	memset(m + 4, 0, 8);
	m[5] = 1;
	m[7] = (uint8_t)is_a;
	if (is_a)
		memcpy(m + at, record, sizeof(record));
	return at + (is_a ? sizeof(record) : 0);
}

int main(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(53),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN } };
	uint8_t m[MESSAGE_BYTES];

	p[1].fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (p[1].fd < 0 || bind(p[1].fd, (struct sockaddr *)&addr, sizeof(addr))) {
		perror("dns: 127.0.0.1:53");
		return 1;
	}
	while (poll(p, 2, -1) > 0 && !p[0].revents) {
		socklen_t size = sizeof(addr);
		ssize_t n = recvfrom(p[1].fd, m, sizeof(m), 0, (struct sockaddr *)&addr, &size);
		size_t len = n > 0 ? answer(m, (size_t)n) : 0;

		if (len && sendto(p[1].fd, m, len, 0, (struct sockaddr *)&addr, size) < 0)
			perror("dns");
	}
	return 0;
}
