/* SPDX-License-Identifier: BSD-2-Clause */
/* The storage controllers that the disks' places ask for, each a device of its own on the bus. */
#include <errno.h>
#include <string.h>

#include "machine_internal.h"

/* Channels of all SCSI controllers, at most: others on the bus want some of its 256. */
#define SCSI_CHANNELS 192u
#define CPUS_PER_CHANNEL 4u

static unsigned controller_count(const struct machine *m)
{
	unsigned count = 0;

	for (unsigned i = 0; i < m->files->disk_count; i++)
		if (!m->config->place[i].ide)
			count = MAX(count, (unsigned)m->config->place[i].controller + 1);
	return count;
}

/*
 * A channel for every four vCPUs, as Hyper-V has it. More are rarely faster: Linux sends a request
 * by a channel that interrupts another vCPU than the one it comes from where there is any, so that
 * each completion has to be sent home.
 */
static unsigned channel_count(const struct machine *m, unsigned number)
{
	unsigned wanted = 0;

	for (unsigned i = 0; i < m->files->disk_count; i++) {
		const struct config_place *place = &m->config->place[i];

		if (!place->ide && (unsigned)place->controller == number)
			wanted = MAX(wanted, place->queues);
	}
	if (!wanted)
		wanted = (m->config->cpus + CPUS_PER_CHANNEL - 1) / CPUS_PER_CHANNEL;
	return MIN(wanted, SCSI_CHANNELS / MAX(controller_count(m), 1u));
}

static int add_scsi(struct machine *m, struct storvsp **s, unsigned number)
{
	int err = storvsp_init(s, number, machine_uring, m);

	return err ? err : storvsp_allow_sub_channels(*s, channel_count(m, number) - 1);
}

static int add_disk(struct machine *m, unsigned number)
{
	const struct config_place *place = &m->config->place[number];
	struct disk *disk = m->files->disk[number];
	unsigned unit = place->ide ? 0 : (unsigned)STORVSP_UNIT(place->target, place->lun);
	unsigned position = 2 * (unsigned)place->controller + (unsigned)place->target;
	struct storvsp **s = place->ide ? &m->ide[position] : &m->scsi[place->controller];
	int err = 0;

	if (place->ide)
		err = storvsp_init_ide(s, position, machine_uring, m);
	else if (!*s)
		err = add_scsi(m, s, (unsigned)place->controller);
	if (err)
		return err;
	return m->config->disk[number].dvd ? storvsp_attach_dvd(*s, unit, disk)
					   : storvsp_attach(*s, unit, disk);
}

static int offer(struct machine *m, struct storvsp *s)
{
	if (!s)
		return 0;
	storvsp_device(s)->paced = true;
	return vmbus_offer(m->bus, storvsp_device(s));
}

int machine_add_storage(struct machine *m)
{
	int err = 0;

	for (unsigned i = 0; !err && i < m->files->disk_count; i++)
		err = add_disk(m, i);
	for (unsigned i = 0; !err && i < ARRAY_SIZE(m->ide); i++)
		err = offer(m, m->ide[i]);
	for (unsigned i = 0; !err && i < ARRAY_SIZE(m->scsi); i++)
		err = offer(m, m->scsi[i]);
	return err;
}

void machine_remove_storage(struct machine *m)
{
	for (unsigned i = 0; i < ARRAY_SIZE(m->ide); i++)
		storvsp_fini(m->ide[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(m->scsi); i++)
		storvsp_fini(m->scsi[i]);
}
