/* SPDX-License-Identifier: BSD-2-Clause */
/* What bare test guests and their host (host.c) agree on. */
#ifndef TESTS_BARE_BARE_PROTO_H
#define TESTS_BARE_BARE_PROTO_H

/* Ports: a byte of text; the verdict, 32 bits: 0 passed, else the line that failed. */
#define BARE_PORT_TEXT 0xe9
#define BARE_PORT_VERDICT 0xf4

/* Reads BARE_IS_KERNEL where KVM executes the interface. */
#define BARE_PORT_BACKEND 0xf8
#define BARE_IS_KERNEL 1u

/*
 * Requests to the host, one VP at a time: the argument, then enum bare_ask << 16 | vp << 8 | sint,
 * all 32 bits wide. The second port then reads the result: 0 or a positive errno, or a number.
 */
#define BARE_PORT_ARGUMENT 0xd0
#define BARE_PORT_ASK 0xd4

enum bare_ask {
	BARE_ASK_FLAG = 1, /* sets the event flag `argument` of (vp, sint) */
	BARE_ASK_MESSAGE, /* posts a message of type 1 with the argument as its four bytes */
	BARE_ASK_SLOT_FREES, /* how often the slot of (vp, sint) was reported free */
	BARE_ASK_STORM, /* the main thread sets flags 0 to argument-1 of (vp, sint), soon */
	BARE_ASK_TSC_PAGE, /* judges the reference TSC page at guest address `argument` */
	BARE_ASK_BLOCK, /* messages to ECHO are refused from now on (1) or taken (0) */
	BARE_ASK_CALM, /* 0: the last storm is over, all of its interrupts included */
};

/*
 * Connections the host serves. A message to ECHO is sent back twice, at once, to VP 0's SINT 2; a
 * signal to DOORBELL makes it set BARE_FLAG there.
 */
#define BARE_CONNECTION_ECHO 0x20
#define BARE_CONNECTION_DOORBELL 0x1234
#define BARE_CONNECTION_NONE 0x777
#define BARE_SINT 2
#define BARE_FLAG 77
/* One signal to BARE_CONNECTION_NONE in each. */
#define BARE_DOORBELL_ROUNDS 10

#define BARE_CRASH_TEXT "bare guest: nothing left to do\x01"

#endif
