/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The events of the bus: one table, from which come the functions that report them
 * (trace_vmbus_...(), any thread), the USDT probes of the provider "candela", the lines of --trace
 * and the list of names. Those that QEMU's VMBus has bear its names (hw/hyperv/trace-events).
 *
 * Arguments are numbers and strings of ours, never pointers into guest memory.
 */
#ifndef VMBUS_TRACE_H
#define VMBUS_TRACE_H

#include "base/trace.h"

/* clang-format off */

/* EVENT(name, format of a line, (parameters), arguments...) */
#define VMBUS_EVENTS(EVENT) \
	/* Messages: posted by the guest, looked at; ours to the guest, and what became of them */ \
	EVENT(vmbus_recv_message, "connection=%u type=%u size=%u", \
	      (u32 connection, u32 type, u32 size), connection, type, size) \
	EVENT(vmbus_process_incoming_message, "type=%u size=%u", (u32 type, u32 size), type, size) \
	EVENT(vmbus_out_of_place, "what=\"%s\" relid=%u", \
	      (const char *what, u32 relid), what, relid) \
	EVENT(vmbus_message_refused, "message=\"%s\" size=%u why=\"%s\"", \
	      (const char *message, u32 size, const char *why), message, size, why) \
	EVENT(vmbus_post_msg, "type=%u size=%u vp=%u sint=%u", \
	      (u32 type, u32 size, u32 vp, u32 sint), type, size, vp, sint) \
	EVENT(vmbus_msg_cb, "vp=%u sint=%u status=%d", \
	      (u32 vp, u32 sint, int status), vp, sint, status) \
	/* The connection; an answer with version 0.0: none */ \
	EVENT(vmbus_initiate_contact, "version=%u.%u vp=%u sint=%u features=%#x " \
	      "interrupt_page=%#llx monitor_page1=%#llx monitor_page2=%#llx", \
	      (u32 major, u32 minor, u32 vp, u32 sint, u32 features, \
	       unsigned long long interrupt_page, unsigned long long monitor_page1, \
	       unsigned long long monitor_page2), \
	      major, minor, vp, sint, features, interrupt_page, monitor_page1, monitor_page2) \
	EVENT(vmbus_version_response, "version=%u.%u features=%#x", \
	      (u32 major, u32 minor, u32 features), major, minor, features) \
	EVENT(vmbus_unload, "", (void)) \
	EVENT(vmbus_unload_response, "", (void)) \
	EVENT(vmbus_modify_connection, "status=%d", (int status), status) \
	EVENT(vmbus_pause, "", (void)) \
	EVENT(vmbus_resume, "", (void)) \
	/* Offers */ \
	EVENT(vmbus_request_offers, "", (void)) \
	EVENT(vmbus_send_offer, "relid=%u device=%s sub=%u", \
	      (u32 relid, const char *device, u32 sub), relid, device, sub) \
	EVENT(vmbus_terminate_offers, "", (void)) \
	EVENT(vmbus_rescind_offer, "relid=%u", (u32 relid), relid) \
	EVENT(vmbus_relid_released, "relid=%u", (u32 relid), relid) \
	EVENT(vmbus_device_gone, "relid=%u device=%s", \
	      (u32 relid, const char *device), relid, device) \
	EVENT(vmbus_tl_connect_request, "service=%#x", (u32 service), service) \
	EVENT(vmbus_tl_connect_refused, "service=%#x", (u32 service), service) \
	/* GPADLs */ \
	EVENT(vmbus_gpadl_header, "relid=%u gpadl=%#x ranges=%u bytes=%u", \
	      (u32 relid, u32 gpadl, u32 ranges, u32 bytes), relid, gpadl, ranges, bytes) \
	EVENT(vmbus_gpadl_body, "gpadl=%#x bytes=%u", (u32 gpadl, u32 bytes), gpadl, bytes) \
	EVENT(vmbus_gpadl_created, "relid=%u gpadl=%#x status=%#x", \
	      (u32 relid, u32 gpadl, u32 status), relid, gpadl, status) \
	EVENT(vmbus_gpadl_teardown, "relid=%u gpadl=%#x", (u32 relid, u32 gpadl), relid, gpadl) \
	EVENT(vmbus_gpadl_torndown, "gpadl=%#x", (u32 gpadl), gpadl) \
	/* Channels: what the guest asks, what it is answered, what they come to */ \
	EVENT(vmbus_open_channel, "relid=%u gpadl=%#x vp=%u", \
	      (u32 relid, u32 gpadl, u32 vp), relid, gpadl, vp) \
	EVENT(vmbus_open_reserved_channel, "relid=%u gpadl=%#x", \
	      (u32 relid, u32 gpadl), relid, gpadl) \
	EVENT(vmbus_channel_open, "relid=%u status=%#x", (u32 relid, u32 status), relid, status) \
	EVENT(vmbus_close_channel, "relid=%u", (u32 relid), relid) \
	EVENT(vmbus_close_reserved_channel, "relid=%u", (u32 relid), relid) \
	EVENT(vmbus_modify_channel, "relid=%u vp=%u", (u32 relid, u32 vp), relid, vp) \
	EVENT(vmbus_channel_modified, "relid=%u status=%#x", \
	      (u32 relid, u32 status), relid, status) \
	EVENT(vmbus_channel_state, "relid=%u from=%s to=%s", \
	      (u32 relid, const char *from, const char *to), relid, from, to) \
	/* Saving and restoring */ \
	EVENT(vmbus_frozen, "", (void)) \
	EVENT(vmbus_thaw, "", (void)) \
	EVENT(vmbus_save, "bytes=%zu", (size_t bytes), bytes) \
	EVENT(vmbus_restore, "bytes=%zu status=%d", (size_t bytes, int status), bytes, status) \
	/* What --chaos makes late; relid 0: a message */ \
	EVENT(vmbus_chaos, "relid=%u point=%s n=%llu us=%u", \
	      (u32 relid, const char *point, unsigned long long n, u32 us), relid, point, n, us) \
	/* Data: the guest's signals that reached us, our interrupts */ \
	EVENT(vmbus_signal_event, "relid=%u", (u32 relid), relid) \
	EVENT(vmbus_channel_notify_guest, "relid=%u vp=%u", (u32 relid, u32 vp), relid, vp)

/* All but those of data. */
#define VMBUS_EVENTS_CONTROL \
	"vmbus_*,-vmbus_signal_event,-vmbus_channel_notify_guest,-vmbus_chaos"

/* clang-format on */

#define VMBUS_EVENT_DECLARE(event, format, params, ...)               \
	extern volatile unsigned short candela_##event##_semaphore;   \
	void trace_##event##_taken params __attribute__((cold));      \
	static inline void trace_##event params                       \
	{                                                             \
		if (__builtin_expect(candela_##event##_semaphore, 0)) \
			trace_##event##_taken(__VA_ARGS__);           \
	}
VMBUS_EVENTS(VMBUS_EVENT_DECLARE)
#undef VMBUS_EVENT_DECLARE

#define VMBUS_EVENT_COUNT_ONE(event, format, params, ...) +1
enum { VMBUS_EVENT_COUNT = 0 VMBUS_EVENTS(VMBUS_EVENT_COUNT_ONE) };
#undef VMBUS_EVENT_COUNT_ONE

/* For trace_check() and trace_log(). */
extern struct trace_event vmbus_events[VMBUS_EVENT_COUNT];

#endif
