/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The composition root: what a configuration becomes. machine_files.c opens what lies outside
 * (files, disks, consoles), once; machine.c builds a machine on it, runs it and takes it apart,
 * once for every start of the guest, in a process of its own (cli/supervisor.h).
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "cli/config.h"
#include "devices/devices.h"

/* What further devices stand on. */
struct machine_bus {
	struct vmbus *bus;
	struct loop *control; /* the main thread's: the bus's messages, gone(), plugged() */
	storvsp_uring_fn uring; /* of an I/O loop, as for storvsp_init() */
	void *uring_ctx;
};

/*
 * Devices that a program brings which links this machine with a main() of its own and sets
 * config.extra (vmbus/DEVICES.md; tests/boot/candela_devices.c). Main thread of the machine's
 * process: every start of the guest finds ctx as it was before the first.
 */
struct machine_extra {
	/*
	 * Offers them, behind those of the command line; sandboxed, I/O threads there, the guest
	 * not. 0 or -errno.
	 */
	int (*add)(void *ctx, const struct machine_bus *on);
	/*
	 * Frees them: the bus has ended, the loops have not. Also where add() failed or never came.
	 */
	void (*remove)(void *ctx);
	void *ctx;
};

/* Why a guest's run ended, in the order of the exit statuses' table in candela(1). */
enum outcome_reason {
	OUTCOME_NONE, /* the machine's process died without a word, or was stopped */
	OUTCOME_POWEROFF,
	OUTCOME_COMMAND,
	OUTCOME_DEBUG_EXIT,
	OUTCOME_REBOOT,
	OUTCOME_PANIC,
	OUTCOME_TIMEOUT,
	OUTCOME_HOST,
	OUTCOME_USAGE,
	OUTCOME_SIGNAL,
};

/* What a channel that the guest opened has carried, as struct vmbus_channel_status has it. */
struct outcome_channel {
	char device[16];
	u32 relid, sub_index;
	u64 packets_in, bytes_in, packets_out, bytes_out;
	u64 signals, interrupts, throttled;
};

#define OUTCOME_CHANNELS_MAX 64u

/* What a disk has done, and which it was. */
struct outcome_disk {
	char name[128]; /* cut where it is longer */
	struct disk_counters counters;
};

/* Written by the machine's process, read by the supervisor, in memory both share. */
struct outcome {
	enum outcome_reason reason;
	int status;
	char text[1024]; /* one line for the user, "" where nothing needs saying */
	char crash[4096]; /* what the guest left behind when it panicked, or "" */
	bool linux_guest; /* it ran, and is a Linux: it ought to contact the VMBus */
	bool vmbus_contacted;
	u32 vmbus_version; /* 0x00050003 for 5.3; 0: none */
	char hyperv[8]; /* the back end's name */
	struct outcome_channel channel[OUTCOME_CHANNELS_MAX]; /* the first ones, by relid */
	unsigned channel_count;
	struct outcome_disk disk[CONFIG_DISKS_MAX];
	unsigned disk_count;
};

struct machine_files {
	int kernel_fd;
	int initrd_fd; /* -1: none */
	int cache_fd; /* -1: nowhere to keep unpacked kernels */
	struct chaos *chaos; /* NULL: none */
	struct disk *disk[CONFIG_DISKS_MAX];
	unsigned disk_count;
	int console_in, console_out, console_listen; /* -1: not there */
	bool console_bound; /* the name of the console's socket is ours to remove */
	int pty_slave; /* kept open so that the line survives its readers; -1 */
};

/*
 * Opens all that config names. 0; -EINVAL for what the user must mend (status 2), another -errno
 * for the host (status 1), with a sentence in error. Close in any case.
 */
int machine_files_open(struct machine_files *f, const struct config *config, char *error,
		       size_t error_size);
void machine_files_close(struct machine_files *f, const struct config *config);

/*
 * Before each start of the guest: makes the connections its disks need (for the first one they are
 * there); 0, or -errno with a sentence in error. After the fork: they are the machine's.
 */
int machine_files_connect(struct machine_files *f, char *error, size_t error_size);
void machine_files_let_go(struct machine_files *f);

/*
 * Builds, sandboxes and runs the machine until the guest ends, SIGTERM arrives or the user quits;
 * fills *outcome. The calling process gives itself up to it: its main thread ends sandboxed.
 */
void machine_run(const struct config *config, const struct machine_files *files,
		 struct outcome *outcome);

#endif
