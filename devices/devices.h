/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the program that wires the machine needs of each device: create, offer, free; and what comes
 * and goes while the guest runs. Main thread, before the loops run or after they ended, where
 * nothing else is said.
 */
#ifndef DEVICES_DEVICES_H
#define DEVICES_DEVICES_H

#include "base/types.h"
#include "devices/backend/disk.h"
#include "devices/backend/nic.h"
#include "vmbus/vmbus.h"
#include "vmm/vm.h"

struct hyperv;

/* ---- storvsp: a storage controller ----------------------------------------------------------- */

/* A SCSI controller has so many targets, of so many logical units each; guests scan no more. */
#define STORVSP_TARGETS 2
#define STORVSP_LUNS 64
#define STORVSP_UNITS (STORVSP_TARGETS * STORVSP_LUNS)
/* The unit of a controller that a guest calls target:lun. */
#define STORVSP_UNIT(target, lun) ((target)*STORVSP_LUNS + (lun))
#define STORVSP_SUB_CHANNELS_MAX 63u
/* Places of IDE disks: two channels of a master and a slave each. */
#define STORVSP_IDE_MAX 4u

struct storvsp;

/* The ring of the loop that a channel runs on (a channel's requests are submitted there). */
typedef struct uring *(*storvsp_uring_fn)(void *ctx, struct loop *loop);

/*
 * A SCSI controller, without sub-channels. 0 and *s, or -errno. number: the controller's, 0 for the
 * first: part of its instance GUID.
 */
int storvsp_init(struct storvsp **s, unsigned number, storvsp_uring_fn uring, void *ctx);
/*
 * Lets the guest have up to count sub-channels (at most STORVSP_SUB_CHANNELS_MAX): one fewer than
 * vCPUs gives each a queue of its own. 0; -EINVAL: an IDE disk has none; -ENOMEM. Before it is
 * offered.
 */
int storvsp_allow_sub_channels(struct storvsp *s, unsigned count);
/*
 * An accelerated IDE disk, a device of its own: unit 0 is the disk. position: below
 * STORVSP_IDE_MAX, 2 * channel + device. 0 and *s, or -errno.
 */
int storvsp_init_ide(struct storvsp **s, unsigned position, storvsp_uring_fn uring, void *ctx);
/*
 * Disks come, go and change at any time, also while the guest uses the controller: it is told to
 * scan the bus anew (ENUMERATE_BUS, from Windows 7's protocol on). Any thread.
 *
 * attach: puts disk at a unit; it is the storvsp's from then on. attach_dvd: a DVD drive with disk
 * in it, empty where that is NULL. 0; -EINVAL: no such unit; -EEXIST: one is there; -EBUSY:
 * requests for the one before are still under way; -ENOMEM.
 *
 * A guest that has not noticed yet that a disk was taken away takes the next one at its unit for
 * it, and writes to it what was meant for the other: Linux does not look who answers. So the owner
 * gives a unit to another disk only once the guest has let go of the one before, or takes another
 * unit.
 */
int storvsp_attach(struct storvsp *s, unsigned unit, struct disk *disk);
int storvsp_attach_dvd(struct storvsp *s, unsigned unit, struct disk *disk);
/*
 * Takes it away: requests under way end, further ones find nothing there. The disk is released when
 * the last one has ended, perhaps before this returns. Closed then, its image is free for others
 * (locks, space of one that was removed, claim of a block device) once each loop that used it had a
 * turn, and on older kernels a second later (base/uring.h). 0, or -ENOENT.
 */
int storvsp_detach(struct storvsp *s, unsigned unit);
/*
 * Who gets released disks: called on an I/O thread, or within storvsp_detach() or storvsp_change(),
 * and must not call the storvsp. NULL: they are closed there. storvsp_fini() closes the rest
 * itself. Before it is offered.
 */
void storvsp_on_released(struct storvsp *s, void (*released)(void *ctx, struct disk *disk),
			 void *ctx);
/*
 * The disk has size bytes now: grown before, or to be shrunk after, both by disk_resize(). 0, or
 * -ENOENT.
 */
int storvsp_resize(struct storvsp *s, unsigned unit, u64 size);
/*
 * Takes the medium out of a DVD drive (it is released, as by storvsp_detach()) and puts disk in, or
 * nothing. 0; -ENOENT; -EINVAL: no DVD drive; -EBUSY: requests for the medium before the present one
 * are under way.
 */
int storvsp_change(struct storvsp *s, unsigned unit, struct disk *disk);
/* Presses the drive's button. 0; -ENOENT; -EINVAL: no DVD drive. */
int storvsp_eject(struct storvsp *s, unsigned unit);
struct vmbus_device *storvsp_device(struct storvsp *s);
void storvsp_fini(struct storvsp *s);

/* ---- netvsp: a synthetic NIC ----------------------------------------------------------------- */

struct netvsp;

/*
 * 0 and *n, or -errno. nic is the netvsp's from now on. Where it has no address it gets
 * nic_default_mac() of number, the NIC's, from 0, which is also part of its instance GUID.
 */
int netvsp_init(struct netvsp **n, unsigned number, struct nic *nic);
struct vmbus_device *netvsp_device(struct netvsp *n);
void netvsp_fini(struct netvsp *n);

/* ---- Legacy parts on I/O ports --------------------------------------------------------------- */

struct serial;

/*
 * A 16550A whose interrupt is raised through irq_fd (an eventfd, edge; not closed here). output
 * gets what the guest sends, a byte at a time, on the vCPU thread. 0 and *s, or -errno.
 */
int serial_init(struct serial **s, int irq_fd, void (*output)(void *ctx, const void *data, u32 len),
		void *ctx);
/* The I/O range to add to vm->io. */
struct io_range serial_range(struct serial *s, u64 base);
/* Feeds input to the guest; the bytes taken (its FIFO is small). Any thread. */
u32 serial_input(struct serial *s, const void *data, u32 len);
/*
 * Calls room(ctx) when the guest has taken input after serial_input() took less than it got: on the
 * vCPU thread. To be set before the guest runs.
 */
void serial_on_room(struct serial *s, void (*room)(void *ctx), void *ctx);
void serial_fini(struct serial *s);

/*
 * ACPI sleep control, reset register, keyboard controller reset (port 0x64) and port 0xcf9: report
 * VM_END_POWEROFF or VM_END_REBOOT. Without state: adds its ranges to vm->io. 0 or -errno.
 */
int pm_add(struct vm *vm);

struct cmos;

/* The CMOS clock, ports 0x70 and 0x71: the host's UTC. 0 and *c, or -ENOMEM. */
int cmos_init(struct cmos **c);
/* The I/O range to add to vm->io. */
struct io_range cmos_range(struct cmos *c);
void cmos_fini(struct cmos *c);

struct exit_port;

/* What the init of `-- COMMAND` says about it (images/init/exit_port.h). 0 and *p, or -ENOMEM. */
int exit_port_init(struct exit_port **p);
/* The I/O range to add to vm->io. */
struct io_range exit_port_range(struct exit_port *p);
/* What was said so far, for after vm_stop(): did the init start at all? */
bool exit_port_started(const struct exit_port *p);
/* The command's status, 0 to 255; -1: it was not run, or did not end. */
int exit_port_status(const struct exit_port *p);
/*
 * Why it was not run: printable ASCII, '\n' between lines, "" where nothing was said. Lives as long
 * as p.
 */
const char *exit_port_message(const struct exit_port *p);
void exit_port_fini(struct exit_port *p);

struct synic_test_port;

/* --synic-test-port: synthetic interrupts and connections at a test guest's wish. 0 or -ENOMEM. */
int synic_test_port_init(struct synic_test_port **t, struct hyperv *hv);
/* The I/O range to add to vm->io. */
struct io_range synic_test_port_range(struct synic_test_port *t, u64 base);
/* After hyperv_vp_init() of each VP. 0 or -errno. */
int synic_test_port_add_vp(struct synic_test_port *t, u32 vp_index);
void synic_test_port_fini(struct synic_test_port *t);

#endif
