/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `candela help` and `candela version`: the short form of candela(1), on stdout. cli/candela.1 says
 * the same at length; tests/cli/help_test.c holds the two together.
 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* Prints the help on topic ("run", "doctor", ...; NULL: all commands). The exit status. */
int help_print(const char *topic);

/*
 * `candela help [TOPIC]`; argc counts what follows "help" (less than 1: nothing). The exit status.
 */
int help_main(int argc, char **argv);

/* `candela version`. The exit status. */
int help_version(void);

#endif
