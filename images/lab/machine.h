/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h: the lab's emulated machine: its QEMU command line and process. One thread.
 */
#ifndef IMAGES_LAB_MACHINE_H
#define IMAGES_LAB_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define MACHINE_SHARES 8

struct machine {
	const char *qemu; /* program */
	const char *preload; /* library it is started with */
	const char *kernel; /* directory of images/kernel */
	const char *boot; /* of images/lab/boot */
	const char *cpus; /* as QEMU takes them */
	const char *memory;
	bool network; /* a NIC on QEMU's user network, 10.0.3.0/24 */
	const char *shares[MACHINE_SHARES]; /* directories shared writable, as 9p tag share0... */
	size_t share_count;
	pid_t pid; /* 0: not started */
	int channel; /* the agent's port, non-blocking; -1 */
	int log; /* QEMU's words and the console, non-blocking; -1 */
};

/* Start it: 0 or -errno. It dies with this process, however that ends. */
int machine_start(struct machine *machine);

/*
 * Collect it where it has ended by itself, waiting for that up to `wait_ms` milliseconds: true, with
 * its wait status in `status`; false when it still runs, or never did.
 */
bool machine_ended(struct machine *machine, int wait_ms, int *status);

/* Kill it and collect it. Safe to repeat. */
void machine_stop(struct machine *machine);

#endif
