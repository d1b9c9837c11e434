/* SPDX-License-Identifier: BSD-2-Clause */
/* What the init tells the world outside the guest, through the exit port (exit_port.h). */
#ifndef IMAGES_INIT_REPORT_H
#define IMAGES_INIT_REPORT_H

/* Gets access to the ports (ioperm, else /dev/port) and says that the init runs. */
void report_started(void);

/* The command's status, 0 to 255. */
void report_status(int status);

/* Says why the command cannot be run, on the port and the kernel's console, and powers off. */
void report_failure(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* Powers the machine off; halts it where that is impossible. */
void report_poweroff(void) __attribute__((noreturn));

#endif
