/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What comes of the table of events: the semaphores, where the probes' notes have tools find them,
 * and for each event a function that is called where somebody watches it.
 */
#include "vmbus/trace.h"

#define SDT_USE_VARIADIC 1
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>

#define SEMAPHORE(event, format, params, ...) \
	volatile unsigned short candela_##event##_semaphore __attribute__((section(".probes")));
VMBUS_EVENTS(SEMAPHORE)

#define ROW(event, format, params, ...) \
	{ .name = #event, .semaphore = &candela_##event##_semaphore },
struct trace_event vmbus_events[VMBUS_EVENT_COUNT] = { VMBUS_EVENTS(ROW) };

#define INDEX(event, format, params, ...) INDEX_##event,
enum { VMBUS_EVENTS(INDEX) };

#define TAKEN(event, format, params, ...)                                                   \
	void trace_##event##_taken params                                                   \
	{                                                                                   \
		STAP_PROBEV(candela, event, ##__VA_ARGS__);                                 \
		trace_line(&vmbus_events[INDEX_##event], #event " " format, ##__VA_ARGS__); \
	}
VMBUS_EVENTS(TAKEN)
