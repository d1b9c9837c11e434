/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `candela run` from the outside: a small unsandboxed process that opens files, forks the machine's
 * process for every start of the guest, waits, keeps the time limit, restores the terminal and
 * says how it ended. It reads nothing a guest writes but the outcome.
 */
#ifndef CLI_SUPERVISOR_H
#define CLI_SUPERVISOR_H

#include "cli/config.h"

/* Runs the guest of config to its end. The exit status of the program. */
int supervisor_run(const struct config *config);

/* Reports a command line that cannot be run, as far as it was understood. The exit status. */
int supervisor_refuse(const struct config *config, const char *why);

#endif
