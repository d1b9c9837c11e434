/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest may ask of a channel, and when. Control loop.
 *
 * Answers follow Hyper-V's where the guest could tell: an open that cannot be has a result, a
 * modify too (from 5.3), everything else has no answer to fail with. A channel that the host has
 * taken away is an open's, close's or release's to race with: no error of the guest's.
 */
#include "vmbus/server.h"

/* The columns: the states of a channel as its guest sees it. */
enum channel_view {
	VIEW_UNKNOWN, /* no such offer */
	VIEW_CLOSED,
	VIEW_OPENING,
	VIEW_OPEN,
	VIEW_CLOSING,
	VIEW_RESCINDED,
	VIEW_RESERVED, /* opened as such */
	VIEW_COUNT
};

enum verdict {
	BAD, /* out of place: counted, ignored */
	FAIL, /* the same, and answered with a failure */
	LATE, /* overtaken by a rescind: ignored */
	LOSE, /* the same, and answered with a failure */
	DO,
};

/* clang-format off */
static const u8 verdicts[EVENT_COUNT][VIEW_COUNT] = {
	/*                         UNKNOWN CLOSED OPENING OPEN  CLOSING RESCINDED RESERVED */
	[EVENT_OPEN] =           { FAIL,   DO,    FAIL,   FAIL, DO,     LOSE,     FAIL },
	[EVENT_CLOSE] =          { BAD,    BAD,   BAD,    DO,   BAD,    LATE,     BAD  },
	[EVENT_MODIFY] =         { FAIL,   FAIL,  FAIL,   DO,   FAIL,   LOSE,     FAIL },
	[EVENT_RELEASED] =       { BAD,    DO,    BAD,    BAD,  DO,     DO,       BAD  },
	[EVENT_OPEN_RESERVED] =  { BAD,    DO,    BAD,    BAD,  BAD,    LATE,     BAD  },
	[EVENT_CLOSE_RESERVED] = { BAD,    BAD,   BAD,    BAD,  BAD,    LATE,     DO   },
};
/* clang-format on */

static enum channel_view channel_view(const struct vmbus_channel *ch)
{
	static const u8 of_state[] = {
		[CHANNEL_CLOSED] = VIEW_CLOSED,
		[CHANNEL_OPENING] = VIEW_OPENING,
		[CHANNEL_OPEN] = VIEW_OPEN,
		[CHANNEL_CLOSING] = VIEW_CLOSING,
	};

	if (!ch)
		return VIEW_UNKNOWN;
	if (ch->rescinded)
		return VIEW_RESCINDED;
	if (ch->state == CHANNEL_OPEN && ch->close_wanted)
		return VIEW_CLOSING;
	if (ch->reserved)
		return ch->state == CHANNEL_OPEN ? VIEW_RESERVED : VIEW_OPENING;
	return of_state[ch->state];
}

struct vmbus_channel *channel_event(struct vmbus *bus, u32 relid, enum channel_event event,
				    bool *refuse)
{
	static const char *const name[] = { "open",    "close",         "modify",
					    "release", "open_reserved", "close_reserved" };
	struct vmbus_channel *ch = offer_find(bus, relid);
	enum verdict verdict = verdicts[event][channel_view(ch)];

	*refuse = verdict == FAIL || verdict == LOSE;
	if (verdict == BAD || verdict == FAIL) {
		message_out_of_place(bus, name[event], relid);
		log_guest(&bus->bad_channel, "vmbus: %s of channel %u out of place", name[event],
			  relid);
	}
	return verdict == DO ? ch : NULL;
}
