/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command line of `candela run` as data. Pure: argv in, struct or message out; no file is
 * opened here.
 */
#ifndef CLI_CONFIG_H
#define CLI_CONFIG_H

#include "base/types.h"
#include "devices/backend/disk.h"
#include "devices/backend/nic.h"
#include "devices/devices.h"
#include "hyperv/hyperv.h"
#include "seccomp/seccomp.h"

#define CONFIG_DISKS_MAX 64
#define CONFIG_CONTROLLERS_MAX 4
#define CONFIG_NICS_MAX 8
#define CONFIG_IO_THREADS_MAX 16

struct machine_extra;

enum console_kind { CONSOLE_STDIO, CONSOLE_NONE, CONSOLE_FILE, CONSOLE_PTY, CONSOLE_UNIX };

struct chaos_config {
	bool on;
	u64 seed;
	u32 rate; /* of CHAOS_RATE_MAX */
	const char *log; /* NULL: none */
	const char *replay; /* NULL: by seed and rate */
};

/* Where a disk appears in the guest. Of IDE's, controller and target are its two buses' two. */
struct config_place {
	bool ide;
	int controller, target, lun;
	unsigned queues; /* its controller has at least so many; 0: what suits the vCPUs */
};

struct config {
	bool help; /* -h was given: print the help, ignore the rest */
	const char *kernel;
	const char *initrd; /* NULL: none */
	const char *append; /* "" by default */
	unsigned cpus; /* 1 */
	u64 memory; /* bytes; 512 MiB */
	struct disk_config disk[CONFIG_DISKS_MAX];
	struct config_place place[CONFIG_DISKS_MAX]; /* of disk[], no two the same */
	unsigned disk_count;
	struct nic_config nic[CONFIG_NICS_MAX];
	unsigned nic_count;
	enum console_kind console;
	const char *console_path; /* CONSOLE_FILE, CONSOLE_UNIX */
	struct hyperv_config hyperv;
	enum sandbox_mode sandbox;
	unsigned timeout_s; /* 0: none */
	bool reboot_exits;
	bool io_error_stops; /* a disk's failure ends the guest, which does not hear of it */
	unsigned io_threads; /* 1; at most CONFIG_IO_THREADS_MAX */
	const char *result; /* NULL: none */
	const char *trace; /* the list of events, up to its end or a colon; NULL: none */
	const char *trace_file; /* NULL: stderr */
	struct chaos_config chaos;
	int debug_exit_port; /* -1: none */
	int synic_test_port; /* -1: none */
	const char *name; /* "candela" */
	bool force; /* run a Linux kernel on a KVM that cannot really run it */
	int verbosity; /* -1 quiet, 0, 1, 2 */
	const struct machine_extra *extra; /* the program's own devices (machine.h); NULL: none */
	char **command; /* after `--`; NULL: none */
	unsigned command_count;
	/* Storage for what was split off option values: one piece a disk. */
	char *owned[CONFIG_DISKS_MAX];
	unsigned owned_count;
};

/*
 * Parses the arguments after `candela run`: argv[0..argc), which c points into from then on. Of an
 * option given twice the last one counts, but --disk, --dvd, --net and --hyperv-features add up. 0,
 * or -EINVAL (or -ENOMEM) with one line naming the option and the way out in error. config_fini()
 * frees what a successful or failed parse allocated.
 */
int config_parse(struct config *c, int argc, char **argv, char *error, size_t error_size);
void config_fini(struct config *c);

#endif
