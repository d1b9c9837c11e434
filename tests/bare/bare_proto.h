/* SPDX-License-Identifier: BSD-2-Clause */
/* What bare test guests and their host (bare_test.c) agree on. */
#ifndef TESTS_BARE_BARE_PROTO_H
#define TESTS_BARE_BARE_PROTO_H

/* Ports: a byte of text; the verdict, 32 bits: 0 passed, else the line that failed. */
#define BARE_PORT_TEXT 0xe9
#define BARE_PORT_VERDICT 0xf4

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
