/* SPDX-License-Identifier: BSD-2-Clause */
/* The echo device: see echo.c. Its class, for those who look for it from the guest's side. */
#ifndef TESTS_BOOT_ECHO_H
#define TESTS_BOOT_ECHO_H

#include "vmbus/vmbus.h"

extern const struct vmbus_device_ops echo_ops;

/*
 * Makes dev the echo device with this number, to be given to vmbus_offer() or vmbus_plug().
 * monitor_us: as in struct vmbus_device; 0: the guest signals by hypercall.
 */
void echo_init(struct vmbus_device *dev, u16 number, u32 monitor_us);

#endif
