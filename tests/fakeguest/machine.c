/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake guest's machine: RAM, loops, the bus, and the hypervisor's four functions. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/fakeguest/fakeguest.h"
#include "tests/patience.h"
#include "vmbus/save.h"

#define PUMP_TURNS 100000

/* ---- The hypervisor's part ------------------------------------------------------------------- */

static struct fakeguest *port_guest(struct vmbus_port *port)
{
	return container_of(port, struct fakeguest, port);
}

static int post_message(struct vmbus_port *port, u32 vp, u32 sint, const void *msg, u32 len)
{
	struct fakeguest *g = port_guest(port);
	struct fg_message *m;

	if (g->synic_off)
		return -ENODEV;
	if (g->slot_held || g->refuse_posts || g->message_count == FG_MESSAGES) {
		g->slot_free_owed = !g->slot_held;
		g->refuse_posts -= g->refuse_posts ? 1 : 0;
		g->posts_refused++;
		return -EAGAIN;
	}
	m = &g->message[g->message_count++];
	*m = (struct fg_message){ .vp = vp, .sint = sint, .len = len };
	memcpy(m->bytes, msg, len);
	return 0;
}

static int set_event(struct vmbus_port *port, u32 vp, u32 sint, u32 flag)
{
	struct fakeguest *g = port_guest(port);

	if (flag >= FG_FLAGS)
		return -EINVAL;
	g->last_event_vp = vp;
	g->last_event_sint = sint;
	g->last_event_flag = flag;
	g->interrupts[flag]++;
	return 0;
}

static int bind_event(struct vmbus_port *port, u32 connection_id, int fd)
{
	struct fakeguest *g = port_guest(port);

	if (g->bind_error)
		return g->bind_error;
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		if (g->binding[i].fd >= 0 && g->binding[i].id == connection_id)
			return -EEXIST;
	for (unsigned i = 0; i < FG_BINDINGS; i++) {
		if (g->binding[i].fd >= 0)
			continue;
		g->binding[i].id = connection_id;
		g->binding[i].fd = fd;
		return 0;
	}
	return -ENOSPC;
}

static void unbind_event(struct vmbus_port *port, u32 connection_id, int fd)
{
	struct fakeguest *g = port_guest(port);

	for (unsigned i = 0; i < FG_BINDINGS; i++)
		if (g->binding[i].id == connection_id && g->binding[i].fd == fd)
			g->binding[i].fd = -1;
}

/* ---- Made and taken down --------------------------------------------------------------------- */

static void guest_reset(struct fakeguest *g)
{
	g->msg_conn_id = VMBUS_MESSAGE_CONNECTION_ID;
	g->msg_sint = VMBUS_SINT;
	g->next_gpadl = 0xe1e10;
	g->next_page = MiB(1);
}

static int loops_init(struct fakeguest *g)
{
	int err = loop_init(&g->control);

	for (unsigned i = 0; !err && i < g->io_count; i++) {
		err = loop_init(&g->io[i]);
		g->io_list[i] = &g->io[i];
	}
	return err;
}

static int bus_init(struct fakeguest *g)
{
	const struct vmbus_config config = {
		.mem = &g->mem,
		.port = &g->port,
		.control = &g->control,
		.io = g->io_list,
		.io_count = g->io_count,
		.chaos = g->chaos,
	};

	return vmbus_init(&g->bus, &config);
}

int fg_init(struct fakeguest *g, const struct fg_config *config)
{
	static const struct fg_config none;
	const struct fg_config *c = config ? config : &none;
	int err;

	memset(g, 0, sizeof(*g));
	guest_reset(g);
	g->chaos = c->chaos;
	g->io_count = c->io_count ? MIN(c->io_count, FG_IO_MAX) : 1;
	g->port = (struct vmbus_port){
		.post_message = post_message,
		.set_event = set_event,
		.bind_event = bind_event,
		.unbind_event = unbind_event,
		.vp_count = c->vp_count ? c->vp_count : 4,
	};
	for (unsigned i = 0; i < FG_BINDINGS; i++)
		g->binding[i].fd = -1;
	g->message = calloc(FG_MESSAGES, sizeof(*g->message));
	if (!g->message)
		return -ENOMEM;
	err = gmem_init(&g->mem, c->memory ? c->memory : MiB(64));
	if (!err)
		err = loops_init(g);
	return err ? err : bus_init(g);
}

void fg_fini(struct fakeguest *g)
{
	fg_stop_io(g);
	vmbus_fini(g->bus);
	g->bus = NULL;
	for (unsigned i = 0; i < g->io_count; i++)
		loop_fini(&g->io[i]);
	loop_fini(&g->control);
	gmem_fini(&g->mem);
	free(g->message);
	g->message = NULL;
}

int fg_teardown(void **state)
{
	fg_fini(*state);
	free(*state);
	return 0;
}

static void *io_run(void *arg)
{
	loop_run(arg);
	return NULL;
}

int fg_start_io(struct fakeguest *g)
{
	g->io_threads = true;
	for (unsigned i = 0; i < g->io_count; i++) {
		int err = pthread_create(&g->io_thread[i], NULL, io_run, &g->io[i]);

		if (err)
			return -err;
	}
	return 0;
}

void fg_stop_io(struct fakeguest *g)
{
	for (unsigned i = 0; g->io_threads && i < g->io_count; i++) {
		loop_stop(&g->io[i]);
		pthread_join(g->io_thread[i], NULL);
		g->io[i].stop = false;
	}
	g->io_threads = false;
}

/* ---- Pumping --------------------------------------------------------------------------------- */

static bool loop_has_work(const struct loop *l)
{
	struct pollfd p = { .fd = l->epoll_fd, .events = POLLIN };

	if (l->timers && l->timers->deadline_ns <= loop_now_ns())
		return true;
	return l->flushes || poll(&p, 1, 0) == 1;
}

/* One turn of every loop with work; false where none has. */
static bool turn_all(struct fakeguest *g)
{
	bool any = false;

	if (g->slot_free_owed) {
		g->slot_free_owed = false;
		vmbus_slot_free(g->bus);
	}
	if (loop_has_work(&g->control)) {
		any = true;
		loop_turn(&g->control, 0);
	}
	for (unsigned i = 0; i < g->io_count && !g->io_threads; i++) {
		if (!loop_has_work(&g->io[i]))
			continue;
		any = true;
		loop_turn(&g->io[i], 0);
	}
	return any;
}

void fg_pump(struct fakeguest *g)
{
	for (unsigned i = 0; i < PUMP_TURNS && turn_all(g); i++)
		;
}

bool fg_pump_until(struct fakeguest *g, bool (*done)(void *ctx), void *ctx)
{
	u64 end = patience_end();

	fg_pump(g);
	while (!done(ctx)) {
		if (loop_now_ns() >= end)
			return false;
		usleep(200);
		fg_pump(g);
	}
	return true;
}

/* ---- Hosts that follow one another ----------------------------------------------------------- */

static void note_frozen(void *ctx)
{
	((struct fakeguest *)ctx)->frozen = true;
}

bool fg_freeze(struct fakeguest *g)
{
	if (!g->frozen)
		vmbus_freeze(g->bus, note_frozen, g);
	fg_pump(g);
	return g->frozen;
}

void fg_thaw(struct fakeguest *g)
{
	g->frozen = false;
	vmbus_thaw(g->bus);
	fg_pump(g);
}

int fg_new_host(struct fakeguest *g)
{
	vmbus_fini(g->bus);
	g->frozen = false;
	return bus_init(g);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

gpa_t fg_alloc(struct fakeguest *g, u32 count)
{
	gpa_t gpa = g->next_page;
	u64 len = (u64)count * GUEST_PAGE_SIZE;

	if (!gmem_range(&g->mem, gpa, len))
		return 0;
	g->next_page += len;
	return gpa;
}

void *fg_ptr(struct fakeguest *g, gpa_t gpa, u64 len)
{
	return gmem_range(&g->mem, gpa, len);
}
