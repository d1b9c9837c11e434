/* SPDX-License-Identifier: BSD-2-Clause */
/* The program: which command, and its exit status. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/config.h"
#include "cli/doctor.h"
#include "cli/help.h"
#include "cli/supervisor.h"

#define STATUS_USAGE 2

static int command_run(int argc, char **argv)
{
	struct config config;
	char error[1024];
	int status;

	if (config_parse(&config, argc, argv, error, sizeof(error))) {
		status = supervisor_refuse(&config, error);
	} else if (config.help) {
		status = help_print("run");
	} else {
		log_set_level(config.verbosity < 0    ? LOG_ERROR
			      : config.verbosity == 0 ? LOG_WARN
						      : LOG_INFO);
		status = supervisor_run(&config);
	}
	config_fini(&config);
	return status;
}

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "help";

	log_set_colour(isatty(STDERR_FILENO));
	if (!strcmp(command, "run"))
		return command_run(argc - 2, argv + 2);
	if (!strcmp(command, "doctor"))
		return doctor_main(argc - 2, argv + 2);
	if (!strcmp(command, "version") || !strcmp(command, "--version"))
		return help_version();
	if (!strcmp(command, "help") || !strcmp(command, "--help") || !strcmp(command, "-h"))
		return help_main(argc - 2, argv + 2);
	log_error("there is no command '%s'; `candela help` lists them", command);
	return STATUS_USAGE;
}
