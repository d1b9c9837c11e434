/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the machine share; nobody else includes it. machine.c builds and runs,
 * machine_storage.c has the controllers and disks, machine_console.c the serial lines,
 * machine_guest.c what is loaded, machine_outcome.c what the run came to, machine_crash.c what a
 * guest that crashed says. machine_files.c is the supervisor's (machine.h).
 */
#ifndef MACHINE_INTERNAL_H
#define MACHINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/io_thread.h"
#include "cli/terminal.h"
#include "devices/backend/console.h"
#include "devices/devices.h"
#include "hyperv/hyperv.h"
#include "machine.h"
#include "vmbus/port_synic.h"
#include "vmbus/vmbus.h"
#include "vmm/boot.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* Holds the vCPU threads until the whole process is sandboxed. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned waiting;
	bool open;
	int err;
};

/* A serial port and what is behind it on the host. */
struct line {
	struct serial *serial;
	struct console console;
	int irq_fd;
};

struct machine {
	const struct config *config;
	const struct machine_files *files;
	struct outcome *outcome;
	char error[1024];

	struct loop control;
	struct vm vm;
	struct hyperv *hv;
	struct port_synic port;
	struct vmbus *bus;
	struct io_thread *io;
	struct loop **io_loop;
	unsigned io_begun; /* I/O threads started so far */

	struct storvsp *scsi[CONFIG_CONTROLLERS_MAX], *ide[STORVSP_IDE_MAX]; /* NULL: none */
	struct nic *nic[CONFIG_NICS_MAX]; /* their netvsp owns them */
	struct netvsp *netvsp[CONFIG_NICS_MAX];
	unsigned netvsp_count;
	struct line com1, com2;
	struct exit_port *exit_port;
	struct synic_test_port *synic_test_port; /* NULL: none */
	struct cmos *cmos;

	void *command; /* the initrd's segment for `-- COMMAND` */
	struct boot_state boot;
	struct terminal_keys keys;
	struct loop_fd signals;
	struct gate gate;

	enum vm_end end;
	u64 end_value;
	bool guest_ended;
	_Atomic bool io_failed; /* --on-io-error stop */
	char io_error[512]; /* then */
	int stop_signal; /* the user's or the supervisor's wish */
};

/* Says why in m->error and passes err on. */
int machine_fail(struct machine *m, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The ring of an I/O thread's loop: storvsp_uring_fn. */
struct uring *machine_uring(void *ctx, struct loop *loop);

/* Makes the controllers of all disks and offers them. 0 or -errno. remove takes what there is. */
int machine_add_storage(struct machine *m);
void machine_remove_storage(struct machine *m);

/*
 * The serial lines: COM1 is the console, COM2 carries the output of `-- COMMAND`. 0, or -errno and
 * m->error. machine_remove_lines() sends what is still to be written, for a second at most, and
 * takes lines that were never added too.
 */
int machine_add_lines(struct machine *m);
void machine_remove_lines(struct machine *m);

/*
 * Puts kernel, command line, initrds, ACPI tables and the first vCPU's state in place, once the
 * vCPUs are there. 0; -EINVAL for what the user must mend, another -errno for the rest, and
 * m->error.
 */
int machine_load_guest(struct machine *m);

/*
 * Says in one line why the guest gave up and where. Where is, what comes first: the RIP of the oops
 * in the log it left, its P2 where it is a Linux that left registers, else `rip`, where the VP that
 * reported stands (0: not known). Pure.
 */
void machine_crash_line(const struct hyperv_crash *c, u64 rip, char *text, size_t size);

/* Fill an outcome; machine_tell_outcome() from how the guest ended, once its threads stopped. */
void machine_tell(struct outcome *o, enum outcome_reason reason, int status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void machine_tell_outcome(struct machine *m);

#endif
