/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plug device: adds and removes further devices (echo devices, and SCSI controllers with a disk
 * of memory) at the guest's wish (plug_proto.h), by vmbus_plug() and vmbus_unplug() from the I/O
 * thread its channel runs on. Where there is a bay it does to that what the guest says.
 */
#ifndef TESTS_BOOT_PLUG_H
#define TESTS_BOOT_PLUG_H

#include "machine.h"
#include "tests/boot/bay.h"

struct plug;

/*
 * 0 and *p, or -errno. monitor_us: of itself and of its echo devices. bay: NULL, or what it
 * commands; outlives it.
 */
int plug_init(struct plug **p, const struct machine_bus *on, u32 monitor_us, struct bay *bay);
struct vmbus_device *plug_device(struct plug *p);
/* The bus has ended. NULL is fine. */
void plug_fini(struct plug *p);

#endif
