/* SPDX-License-Identifier: BSD-2-Clause */
/* What the latency benchmarks' guests and their host (latency.c) agree on. */
#ifndef TESTS_BENCH_LATENCY_PROTO_H
#define TESTS_BENCH_LATENCY_PROTO_H

#include <stdint.h>

/*
 * Connections and the SINT beside those of tests/bare/bare_proto.h, whose ports for text and
 * verdict serve here too.
 */
#define LATENCY_CONNECTION_MESSAGE 0x20
#define LATENCY_CONNECTION_EVENT 0x1234
#define LATENCY_SINT 2
#define LATENCY_FLAG 77
#define LATENCY_MESSAGE_TYPE 1

#define LATENCY_ROUNDS_MAX 2000u

/*
 * Ports, 32 bits: MARK begins a part (enum latency_part, or LATENCY_END for the end of one); TABLE
 * takes the address of the guest's struct latency_table, before the first part. ROUNDS, read, says
 * how many there are to be in each part.
 */
#define LATENCY_PORT_MARK 0x104
#define LATENCY_PORT_TABLE 0x108
#define LATENCY_PORT_ROUNDS 0x10c

enum latency_part {
	LATENCY_END,
	LATENCY_SIGNAL, /* signals one after the other, nobody answers */
	LATENCY_EVENT, /* a signal, answered by an event flag and its interrupt */
	LATENCY_MESSAGE, /* a message, answered by a message */
	LATENCY_STIMER_DIRECT, /* one-shot deadlines, the interrupt alone */
	LATENCY_STIMER_MESSAGE,
	LATENCY_TSC_DEADLINE, /* of the local APIC, for comparison */
	LATENCY_PARTS
};

/* Of the part that just ended. TSC in each: before it asked or of the deadline; when it had it. */
struct latency_table {
	struct {
		uint64_t begin, end;
	} round[LATENCY_ROUNDS_MAX];
};

#endif
