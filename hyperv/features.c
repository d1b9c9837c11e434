/* SPDX-License-Identifier: BSD-2-Clause */
#include "hyperv/hyperv.h"

#include <errno.h>
#include <stdio.h>

int hyperv_switches_parse(struct hyperv_switches *s, const char *list, char *error,
			  size_t error_size)
{
	(void)s;
	snprintf(error, error_size, "%s: there is no such feature", list);
	return -EINVAL;
}
