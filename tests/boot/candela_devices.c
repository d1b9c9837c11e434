/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * candela with devices of its own: the same `run` command line, and an echo and a plug device on
 * the bus. With CANDELA_MONITOR_US=0 in the environment the guest signals them by hypercalls.
 * CANDELA_BAY="a.iso b.iso", or without discs, adds the bay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/config.h"
#include "cli/supervisor.h"
#include "machine.h"
#include "tests/boot/bay.h"
#include "tests/boot/echo.h"
#include "tests/boot/plug.h"

struct devices {
	u32 monitor_us;
	struct disk_config disc_config[BAY_DISCS];
	struct disk *disc[BAY_DISCS];
	struct vmbus_device echo;
	bool with_bay;
	struct bay *bay;
	struct plug *plug;
};

static int discs_open(struct devices *d, char *names, char *error, size_t size)
{
	const char *name = strtok(names, " ");
	int err = 0;

	for (unsigned i = 0; !err && name && i < BAY_DISCS; i++) {
		d->disc_config[i] = (struct disk_config){
			.path = name, .read_only = true, .dvd = true, .format = DISK_RAW
		};
		err = disk_open(&d->disc[i], &d->disc_config[i], error, size);
		name = strtok(NULL, " ");
	}
	return err;
}

static int add_bay(struct devices *d, const struct machine_bus *on)
{
	int err = bay_init(&d->bay, on, d->disc);

	return err ? err : vmbus_offer(on->bus, bay_device(d->bay));
}

static int devices_add(void *ctx, const struct machine_bus *on)
{
	struct devices *d = ctx;
	int err;

	echo_init(&d->echo, 0, d->monitor_us);
	err = vmbus_offer(on->bus, &d->echo);
	if (!err && d->with_bay)
		err = add_bay(d, on);
	if (!err)
		err = plug_init(&d->plug, on, d->monitor_us, d->bay);
	return err ? err : vmbus_offer(on->bus, plug_device(d->plug));
}

static void devices_remove(void *ctx)
{
	struct devices *d = ctx;

	plug_fini(d->plug);
	bay_fini(d->bay);
}

int main(int argc, char **argv)
{
	const char *monitor_us = getenv("CANDELA_MONITOR_US");
	char *discs = getenv("CANDELA_BAY");
	struct devices devices = { .monitor_us = monitor_us ? (u32)atoi(monitor_us) : 100,
				   .with_bay = discs };
	const struct machine_extra extra = { devices_add, devices_remove, &devices };
	struct config config;
	char error[1024];
	int status;

	if (argc < 2 || strcmp(argv[1], "run")) {
		fprintf(stderr, "usage: candela_devices run OPTION...\n");
		return 2;
	}
	if (config_parse(&config, argc - 2, argv + 2, error, sizeof(error)) ||
	    (discs && discs_open(&devices, discs, error, sizeof(error)))) {
		status = supervisor_refuse(&config, error);
	} else {
		config.extra = &extra;
		log_set_level(config.verbosity > 0 ? LOG_INFO : LOG_WARN);
		status = supervisor_run(&config);
	}
	config_fini(&config);
	return status;
}
