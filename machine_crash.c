/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's crash report as one line: the reason, and the RIP. Linux leaves the end of its log, in
 * which an oops has printed its RIP with the symbol; a panic() that is nobody's oops prints none of
 * the kernel's own, so there the VP says where it stands: in the panic's own path. The text is the
 * guest's word, and printable (hyperv/crash.c).
 */
#include "machine_internal.h"

#include <stdio.h>
#include <string.h>

/* P1 is Linux's GUEST_OS_ID where it left registers: open source, type 1. */
#define OS_ID_LINUX 0x81u

#define REASON "Kernel panic"
#define KERNEL_RIP "RIP: 0010:"
#define TRACE_END "---[ end trace"

#define CRASH_LINE_MAX 160u

/* The last place before `end` where text has `what`, or NULL. */
static const char *last_before(const char *text, const char *end, const char *what)
{
	const char *last = NULL;

	for (const char *at = strstr(text, what); at && at < end; at = strstr(at + 1, what))
		last = at;
	return last;
}

/*
 * The oops behind the panic: it repeats its RIP after the end of its trace, where a warning, which
 * nobody dies of, does not. NULL: there is none.
 */
static const char *oops_rip(const char *text, const char *panic)
{
	const char *rip = last_before(text, panic, KERNEL_RIP);
	const char *trace_end = last_before(text, panic, TRACE_END);

	if (!rip || (trace_end && rip < trace_end))
		return NULL;
	return rip + strlen(KERNEL_RIP);
}

/* Of the line, CRASH_LINE_MAX at most: the rest of ours shall have its place. */
static int line_length(const char *text)
{
	return (int)MIN(strcspn(text, "\n"), CRASH_LINE_MAX);
}

static void panic_line(const struct hyperv_crash *c, const char *panic, u64 rip, char *text,
		       size_t size)
{
	const char *oops = oops_rip(c->message, panic);

	if (oops)
		snprintf(text, size, "the guest panicked: %.*s (VP %u, RIP %.*s)",
			 line_length(panic), panic, c->vp_index, line_length(oops), oops);
	else
		snprintf(text, size, "the guest panicked: %.*s (VP %u, RIP 0x%llx)",
			 line_length(panic), panic, c->vp_index, (unsigned long long)rip);
}

void machine_crash_line(const struct hyperv_crash *c, u64 rip, char *text, size_t size)
{
	const char *panic = strstr(c->message, REASON);
	const u64 *p = c->param;

	if (panic) {
		panic_line(c, panic, rip, text, size);
		return;
	}
	if (!c->message[0] && p[1] >> 56 == OS_ID_LINUX)
		rip = p[2];
	snprintf(text, size,
		 "the guest crashed: P0 0x%llx P1 0x%llx P2 0x%llx P3 0x%llx P4 0x%llx (VP %u, RIP "
		 "0x%llx)",
		 (unsigned long long)p[0], (unsigned long long)p[1], (unsigned long long)p[2],
		 (unsigned long long)p[3], (unsigned long long)p[4], c->vp_index,
		 (unsigned long long)rip);
}
