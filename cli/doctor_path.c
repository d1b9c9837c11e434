/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/doctor.h"

static bool is_program(const char *file)
{
	struct stat st;

	return !access(file, X_OK) && !stat(file, &st) && S_ISREG(st.st_mode);
}

bool doctor_in_path(const char *program)
{
	const char *path = getenv("PATH") ?: "/bin:/usr/bin";
	char file[PATH_MAX];

	for (;; path++) {
		int len = (int)strcspn(path, ":");

		/* An empty element is the current directory. */
		if (snprintf(file, sizeof(file), "%.*s%s%s", len, path, len ? "/" : "", program) <
			    (int)sizeof(file) &&
		    is_program(file))
			return true;
		path += len;
		if (!*path)
			return false;
	}
}
