/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user's terminal while a guest's console is on it: raw mode, and the keys that are for candela
 * (Ctrl-A and a letter) rather than for the guest.
 */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <termios.h>

#include "base/types.h"

/* Zeroed is valid: nothing to restore. */
struct terminal {
	struct termios saved;
	bool raw;
};

/*
 * Makes stdin raw where it is a terminal: every key goes to the guest, Ctrl-C included; what is
 * printed still gets its carriage returns. 0, also where it is no terminal, or -errno.
 */
int terminal_raw(struct terminal *t);

/* Undoes terminal_raw(); once more does no harm. May be called from a signal handler. */
void terminal_restore(struct terminal *t);

/* Where the user is in a key sequence, and what was asked for. Zeroed at first. */
struct terminal_keys {
	bool escape; /* the last byte was Ctrl-A */
	bool quit; /* Ctrl-A x was typed; never cleared here */
	bool help; /* Ctrl-A h was typed; the caller clears it */
};

/*
 * Takes candela's keys out of data[0..len) in place; returns how many bytes are left for the guest.
 * Ctrl-A x: quit, what follows is dropped. Ctrl-A h or ?: help. Ctrl-A Ctrl-A or a: one Ctrl-A for
 * the guest. Another key after Ctrl-A is dropped. Pure.
 */
u32 terminal_keys(struct terminal_keys *k, u8 *data, u32 len);

/* Prints the keys on stderr. */
void terminal_help(void);

#endif
