/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Monitored channels: the guest signals by setting a bit in a page of its own that the host looks
 * at now and then. Saves it a hypercall for each signal and costs latency; user-space drivers
 * (uio_hv_generic, DPDK) can do it without the kernel's help.
 *
 * A channel is polled by a timer on its own loop and only while it is open: at the device's period
 * while bits come, then ever less often (VMBUS_MONITOR_IDLE_*). The pages change only while no
 * monitored channel is open, so that loops need no lock. Left out: the host-to-guest page, which
 * is checked and not used.
 */
#include <errno.h>

#include "vmbus/server.h"

static u64 poll_ns(const struct vmbus_channel *ch)
{
	u64 period = (u64)ch->device->monitor_us * 1000;

	for (u32 n = ch->monitor_idle / VMBUS_MONITOR_IDLE_POLLS; n; n--) {
		if (period >= VMBUS_MONITOR_IDLE_NS)
			break;
		period = MIN(period * 2, VMBUS_MONITOR_IDLE_NS);
	}
	return period;
}

static u32 monitor_bit(const struct vmbus_channel *ch)
{
	return 1u << ch->monitor_id % VMBUS_MONITOR_GROUP_SIZE;
}

/* ---- Pages and ids --------------------------------------------------------------------------- */

static bool monitor_busy(const struct vmbus *bus)
{
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->monitor)
			return true;
	return false;
}

static void *page_at(const struct vmbus *bus, gpa_t gpa)
{
	return gpa % GUEST_PAGE_SIZE ? NULL : gmem_range(bus->mem, gpa, GUEST_PAGE_SIZE);
}

int monitor_set_pages(struct vmbus *bus, gpa_t page1, gpa_t page2)
{
	struct vmbus_monitor_page *page = page_at(bus, page2);

	if (monitor_busy(bus))
		return -EBUSY;
	if (!page1 && !page2) {
		bus->monitor_page = NULL;
		return 0;
	}
	if (!page1 || !page2 || !page_at(bus, page1) || !page)
		return -EINVAL;
	bus->monitor_page = page;
	for (u32 i = 0; i < VMBUS_CHANNELS_MAX; i++)
		if (bus->channel[i] && bus->channel[i]->offered)
			monitor_describe(bus->channel[i]);
	return 0;
}

u8 monitor_take(struct vmbus *bus)
{
	for (u8 id = 0; id < VMBUS_MONITORS; id++) {
		if (!bus->monitor_taken[id]) {
			bus->monitor_taken[id] = true;
			return id;
		}
	}
	return VMBUS_MONITOR_NONE;
}

void monitor_give(struct vmbus *bus, u8 id)
{
	if (id != VMBUS_MONITOR_NONE)
		bus->monitor_taken[id] = false;
}

/* Written only, never read back: the guest may write what it likes there. */
void monitor_describe(const struct vmbus_channel *ch)
{
	struct vmbus_monitor_page *page = ch->bus->monitor_page;
	u32 id = ch->monitor_id;

	if (!page || id == VMBUS_MONITOR_NONE)
		return;
	page->parameter[id].connection_id = VMBUS_EVENT_CONNECTION_ID(ch->relid);
	page->latency[id] = (u16)MIN((u64)ch->device->monitor_us * 10, UINT16_MAX);
	__atomic_fetch_or(&page->group_enable, 1u << id / VMBUS_MONITOR_GROUP_SIZE,
			  __ATOMIC_SEQ_CST);
}

u32 *monitor_word(const struct vmbus_channel *ch)
{
	struct vmbus_monitor_page *page = ch->bus->monitor_page;

	if (!page || ch->monitor_id == VMBUS_MONITOR_NONE ||
	    ch->request.target_vp == VMBUS_VP_NONE || ch->request.reserved)
		return NULL;
	return &page->group[ch->monitor_id / VMBUS_MONITOR_GROUP_SIZE].pending;
}

/* ---- Polling --------------------------------------------------------------------------------- */

void monitor_start(struct vmbus_channel *ch)
{
	ch->monitor_idle = 0;
	if (ch->monitor)
		loop_timer_arm(ch->loop, &ch->monitor_poll, loop_now_ns() + poll_ns(ch));
}

void monitor_stop(struct vmbus_channel *ch)
{
	loop_timer_disarm(ch->loop, &ch->monitor_poll);
}

bool monitor_fire(struct vmbus_channel *ch)
{
	u32 bit = monitor_bit(ch);
	bool set = __atomic_load_n(ch->monitor, __ATOMIC_RELAXED) & bit;

	if (set)
		__atomic_fetch_and(ch->monitor, ~bit, __ATOMIC_SEQ_CST);
	ch->monitor_idle = set ? 0 : ch->monitor_idle + 1;
	loop_timer_arm(ch->loop, &ch->monitor_poll, loop_now_ns() + poll_ns(ch));
	return set;
}
