/* SPDX-License-Identifier: BSD-2-Clause */
#include "images/init/report.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "images/init/exit_port.h"

static void port_write(enum exit_port_register reg, unsigned char value)
{
	int fd;

	if (!ioperm(EXIT_PORT_BASE, EXIT_PORT_LEN, 1)) {
		outb(value, (unsigned short)(EXIT_PORT_BASE + reg));
		return;
	}
	fd = open("/dev/port", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* Nobody is left to tell if this fails: candela then reports a guest without a status. */
	if (pwrite(fd, &value, 1, EXIT_PORT_BASE + reg) != 1)
		fprintf(stderr, "candela: the exit port cannot be written\n");
	close(fd);
}

void report_started(void)
{
	port_write(EXIT_PORT_STARTED, EXIT_PORT_STARTED_VALUE);
}

void report_status(int status)
{
	port_write(EXIT_PORT_STATUS, (unsigned char)status);
}

static void console_write(const char *line)
{
	int fd = open("/dev/console", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		return;
	dprintf(fd, "candela: %s\n", line);
	close(fd);
}

void report_failure(const char *fmt, ...)
{
	char line[EXIT_PORT_MESSAGE_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	console_write(line);
	for (const char *c = line; *c; c++)
		port_write(EXIT_PORT_MESSAGE, (unsigned char)*c);
	port_write(EXIT_PORT_MESSAGE, '\n');
	report_poweroff();
}

void report_poweroff(void)
{
	sync();
	reboot(RB_POWER_OFF);
	/* No power off in this kernel: PID 1 must not end. */
	reboot((int)RB_HALT_SYSTEM);
	for (;;)
		pause();
}
