/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exit port: how the init behind `-- COMMAND` tells candela how it went. Shared by both sides.
 *
 * Three byte-wide output ports in a row. In order of time, the guest writes
 *  1. 1 to STARTED, first of all: the kernel reached the init;
 *  2. if the command cannot be started: the reason, a byte at a time, to MESSAGE; '\n' ends a line;
 *     at most EXIT_PORT_MESSAGE_MAX bytes count;
 *  3. if the command was started (or the shell would have said 126 or 127): its status to STATUS.
 *     Its output has left the serial port by then and the file systems are clean;
 *  4. nothing more: it powers off.
 * So a VM that ends without 1 never reached the init, one with 1 and no 3 failed before or under
 * the command, and 2 says how. Reads of all three ports give all ones. Other values are ignored.
 */
#ifndef IMAGES_INIT_EXIT_PORT_H
#define IMAGES_INIT_EXIT_PORT_H

#define EXIT_PORT_BASE 0x0c80 /* as LAYOUT_PORT_EXIT_STATUS of vmm/layout.h */

enum exit_port_register {
	EXIT_PORT_STATUS = 0, /* 0 to 255: the command's exit status, or 128 + the signal */
	EXIT_PORT_MESSAGE = 1, /* printable ASCII and '\n' */
	EXIT_PORT_STARTED = 2, /* EXIT_PORT_STARTED_VALUE */
	EXIT_PORT_LEN = 3,
};

#define EXIT_PORT_STARTED_VALUE 1
#define EXIT_PORT_MESSAGE_MAX 512

#endif
