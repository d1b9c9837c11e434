/* SPDX-License-Identifier: BSD-2-Clause */
/* The one command the guest was started for. */
#ifndef IMAGES_INIT_COMMAND_H
#define IMAGES_INIT_COMMAND_H

#include "base/types.h"

/* The second serial port carries the command's output and nothing else. */
#define COMMAND_TTY "/dev/ttyS1"

/*
 * Splits what candela wrote to /candela/command: each argument is ended by a NUL. The result, ended
 * by NULL, is malloc'ed and points into text. NULL where there is no argument, the last one has no
 * end, or memory is short.
 */
char **command_split(char *text, size_t len);

/*
 * Opens the tty so that bytes leave it as they are. It stays open until command_finish(): the
 * kernel throws away what a tty nobody has open could not send in 30 s.
 */
int command_open(void);

/*
 * Runs argv with its output on the tty and waits for its end, as PID 1 does: orphans are reaped.
 * Its status as a shell says it: 0 to 255, 128 + signal, 126 or 127 where it cannot be executed.
 */
int command_run(int tty, char **argv);

/* Ends every other process, then waits until the tty has sent all. */
void command_finish(int tty);

#endif
