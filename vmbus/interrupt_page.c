/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts before version 2.4: a page of the guest's with a flag for each relid, and one event
 * flag, 0 of VP 0, that says "look there". From host to guest in 0.13 and 1.1; in 0.13 also back,
 * where all channels share one connection id (Linux before 4.20, drivers/hv/connection.c:
 * vmbus_on_event(), vmbus_set_event()). Guests of that time look at relids below 256.
 *
 * Set and cleared by the control loop while no channel is open. The page is the guest's: any flag
 * may stand there at any time, and wakes a channel for nothing at worst.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmbus/server.h"

/* Passes the guest's flags on to the channels' own eventfds. */
static void shared_scan(struct loop_fd *f, u32 events)
{
	struct vmbus *bus = container_of(f, struct vmbus, shared);
	u32 *word = bus->interrupt_page + VMBUS_INTERRUPT_PAGE_WORDS;

	(void)events;
	for (u32 i = 0; i < VMBUS_INTERRUPT_PAGE_RELIDS / 32; i++) {
		u32 flags = __atomic_exchange_n(&word[i], 0, __ATOMIC_SEQ_CST);

		for (; flags; flags &= flags - 1) {
			const struct vmbus_channel *ch =
				offer_find(bus, i * 32 + (u32)__builtin_ctz(flags));

			/* It fails only where it is signalled already. */
			if (ch && ch->event_fd >= 0)
				eventfd_write(ch->event_fd, 1);
		}
	}
}

static int shared_bind(struct vmbus *bus)
{
	struct vmbus_port *port = bus->port;
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), err;

	if (fd < 0)
		return -errno;
	err = port->bind_event(port, VMBUS_EVENT_CONNECTION_ID_SHARED, fd);
	if (err) {
		close(fd);
		return err;
	}
	bus->shared = (struct loop_fd){ .fd = fd, .ready = shared_scan };
	err = loop_add(bus->control, &bus->shared, EPOLLIN | EPOLLET);
	if (err)
		interrupt_page_clear(bus);
	return err;
}

int interrupt_page_set(struct vmbus *bus, gpa_t gpa, u32 version)
{
	u32 *page;
	int err;

	if (!gpa)
		return 0;
	page = gpa % GUEST_PAGE_SIZE ? NULL : gmem_range(bus->mem, gpa, GUEST_PAGE_SIZE);
	if (!page)
		return -EINVAL;
	bus->interrupt_page = page;
	err = version < VMBUS_VERSION_WIN7 ? shared_bind(bus) : 0;
	if (err)
		bus->interrupt_page = NULL;
	return err;
}

void interrupt_page_clear(struct vmbus *bus)
{
	bus->interrupt_page = NULL;
	if (bus->shared.fd < 0)
		return;
	loop_del(bus->control, &bus->shared);
	bus->port->unbind_event(bus->port, VMBUS_EVENT_CONNECTION_ID_SHARED, bus->shared.fd);
	close(bus->shared.fd);
	bus->shared.fd = -1;
}

void interrupt_page_raise(const struct vmbus_channel *ch)
{
	__atomic_fetch_or(&ch->interrupt_page[ch->relid / 32], 1u << ch->relid % 32,
			  __ATOMIC_SEQ_CST);
}
