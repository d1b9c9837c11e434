/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wire.h: what host.c and agent.c say to each other, over one virtio-serial port of the lab.
 *
 * Frames both ways: a header, then `length` bytes. The host sends the job (MOUNT, DIRECTORY, ENV,
 * ARG, TERMINAL, closed by RUN), then INPUT, WINDOW and SIGNAL; the agent says READY, then OUTPUT,
 * ERRORS, CREDIT and at last EXIT, or FAILED where the job cannot be started.
 * One stream, so EXIT comes after all output. INPUT is never more than WIRE_WINDOW bytes ahead of
 * CREDIT: a command that does not read holds up nothing else.
 */
#ifndef IMAGES_LAB_WIRE_H
#define IMAGES_LAB_WIRE_H

#include <stdint.h>

#define WIRE_PORT "candela.lab"
#define WIRE_CHUNK 16384U /* bytes of data a frame carries at most */
#define WIRE_WINDOW 65536U /* bytes of input on their way */
#define WIRE_MAX (1U << 20) /* bytes of any frame: an argument may be long */

enum wire_type {
	WIRE_MOUNT = 1, /* tag, NUL, path, NUL: a writable 9p share and its place */
	WIRE_DIRECTORY, /* where the command starts */
	WIRE_ENV, /* NAME=VALUE */
	WIRE_ARG, /* one argument, in order */
	WIRE_TERMINAL, /* struct wire_terminal */
	WIRE_RUN, /* empty: start it */
	WIRE_INPUT, /* bytes for its stdin; empty: end of file */
	WIRE_WINDOW_SIZE, /* struct wire_terminal, streams unused */
	WIRE_SIGNAL, /* uint32_t: to its process group */
	WIRE_READY, /* empty, from the agent: the machine has started */
	WIRE_OUTPUT, /* bytes of its stdout, or of its terminal */
	WIRE_ERRORS, /* bytes of its stderr */
	WIRE_CREDIT, /* uint32_t: bytes of input taken */
	WIRE_EXIT, /* uint32_t: exit status, 128+n for signal n */
	WIRE_FAILED, /* text: why it could not be run */
};

struct wire_header {
	uint32_t type; /* enum wire_type */
	uint32_t length;
};

struct wire_terminal {
	uint16_t streams; /* bit n: the host's descriptor n is a terminal, so is the command's */
	uint16_t rows;
	uint16_t columns;
	uint16_t reserved;
};

#endif
