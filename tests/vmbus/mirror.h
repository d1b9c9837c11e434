/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device for tests of the bus: each channel sends every packet back, and the primary one as many
 * of its own as the test wants. It offers all the sub-channels it may, can be moved, frozen and
 * saved.
 */
#ifndef TESTS_VMBUS_MIRROR_H
#define TESTS_VMBUS_MIRROR_H

#include "vmbus/vmbus.h"

struct mirror {
	struct vmbus_device dev; /* ops: &mirror_ops; all else is the test's */
	_Atomic u64 to_send; /* packets of its own, numbered by their transaction id and payload */
};

extern const struct vmbus_device_ops mirror_ops;

#endif
