/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's serial lines: each a UART for the guest and what is behind it on the host, served
 * by the control loop.
 */
#include "machine_internal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CONSOLE_DRAIN_MS 1000

static u32 line_input(void *ctx, const void *data, u32 len)
{
	struct line *l = ctx;

	return serial_input(l->serial, data, len);
}

static void line_output(void *ctx, const void *data, u32 len)
{
	struct line *l = ctx;

	console_write(&l->console, data, len);
}

static void line_room(void *ctx)
{
	struct line *l = ctx;

	console_room(&l->console);
}

/* Ctrl-A keys, only where a person types. */
static u32 console_keys(void *ctx, u8 *data, u32 len)
{
	struct machine *m = container_of(ctx, struct machine, com1);

	len = terminal_keys(&m->keys, data, len);
	if (m->keys.help)
		terminal_help();
	m->keys.help = false;
	if (m->keys.quit) {
		m->stop_signal = SIGINT;
		loop_stop(&m->control);
	}
	return len;
}

static int add_line(struct machine *m, struct line *l, const struct console_config *console,
		    u64 port, u32 irq)
{
	struct io_range range;
	int err;

	l->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = l->irq_fd < 0 ? -errno : irq_bind(&m->vm.irq, irq, l->irq_fd);
	if (!err)
		err = serial_init(&l->serial, l->irq_fd, line_output, l);
	if (!err) {
		serial_on_room(l->serial, line_room, l);
		range = serial_range(l->serial, port);
		err = io_add(&m->vm.io, &range);
	}
	if (!err)
		err = console_init(&l->console, &m->control, console);
	return err ? machine_fail(m, err, "cannot set up a serial port: %s", strerror(-err)) : 0;
}

/* COM1 is the console; COM2 carries the output of `-- COMMAND`. */
int machine_add_lines(struct machine *m)
{
	bool typed = m->config->console == CONSOLE_STDIO && isatty(STDIN_FILENO);
	struct console_config com1 = { .in_fd = m->files->console_in,
				       .out_fd = m->files->console_out,
				       .listen_fd = m->files->console_listen,
				       .input = line_input,
				       .filter = typed ? console_keys : NULL,
				       .ctx = &m->com1 };
	struct console_config com2 = { .in_fd = -1,
				       .out_fd = m->config->command ? STDOUT_FILENO : -1,
				       .listen_fd = -1,
				       .input = line_input,
				       .ctx = &m->com2 };
	int err = add_line(m, &m->com1, &com1, LAYOUT_PORT_COM1, LAYOUT_IRQ_COM1);

	return err ? err : add_line(m, &m->com2, &com2, LAYOUT_PORT_COM2, LAYOUT_IRQ_COM2);
}

static void remove_line(struct line *l)
{
	console_fini(&l->console, CONSOLE_DRAIN_MS);
	serial_fini(l->serial);
	if (l->irq_fd > 0)
		close(l->irq_fd);
}

void machine_remove_lines(struct machine *m)
{
	remove_line(&m->com1);
	remove_line(&m->com2);
}
