/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Our side of images/init/exit_port.h. vCPU threads write under a lock; what was collected is read
 * after they ended. A hostile guest can fill one message buffer and say one status, no more.
 */
#include "devices/devices.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "images/init/exit_port.h"
#include "vmm/layout.h"

static_assert(EXIT_PORT_BASE == LAYOUT_PORT_EXIT_STATUS, "the init writes where candela listens");

struct exit_port {
	pthread_mutex_t lock;
	bool started;
	int status; /* -1: none */
	char message[EXIT_PORT_MESSAGE_MAX + 1];
	size_t message_len;
	bool line_ended;
};

static void message_put(struct exit_port *p, char c)
{
	if (p->message_len < EXIT_PORT_MESSAGE_MAX)
		p->message[p->message_len++] = c;
}

/* The end of a line is written when another one follows it. */
static void message_add(struct exit_port *p, u8 byte)
{
	if (byte == '\n') {
		p->line_ended = p->message_len > 0;
		return;
	}
	if (p->line_ended)
		message_put(p, '\n');
	p->line_ended = false;
	/* It is for somebody's terminal. */
	message_put(p, byte < ' ' || byte > '~' ? '?' : (char)byte);
}

static void exit_port_write(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct exit_port *p = ctx;
	u8 byte = *(const u8 *)data;

	if (len != 1)
		return;
	pthread_mutex_lock(&p->lock);
	if (offset == EXIT_PORT_STATUS && p->status < 0)
		p->status = byte;
	else if (offset == EXIT_PORT_MESSAGE)
		message_add(p, byte);
	else if (offset == EXIT_PORT_STARTED && byte == EXIT_PORT_STARTED_VALUE)
		p->started = true;
	pthread_mutex_unlock(&p->lock);
}

bool exit_port_started(const struct exit_port *p)
{
	return p->started;
}

int exit_port_status(const struct exit_port *p)
{
	return p->status;
}

const char *exit_port_message(const struct exit_port *p)
{
	return p->message;
}

struct io_range exit_port_range(struct exit_port *p)
{
	return (struct io_range){
		.space = IO_PORT,
		.base = EXIT_PORT_BASE,
		.len = EXIT_PORT_LEN,
		.write = exit_port_write,
		.ctx = p,
	};
}

int exit_port_init(struct exit_port **p)
{
	struct exit_port *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	pthread_mutex_init(&new->lock, NULL);
	new->status = -1;
	*p = new;
	return 0;
}

void exit_port_fini(struct exit_port *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}
