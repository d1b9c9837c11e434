/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the host's processors have hardware virtualization, as /proc/cpuinfo tells. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"

void doctor_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 0;

	while (fd >= 0 && (n = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	if (fd >= 0)
		close(fd);
}

bool doctor_cpu_has(const char *text, const char *flag)
{
	const char *line = strncmp(text, "flags", 5) ? strstr(text, "\nflags") : text;
	const char *at = line ? strchr(line, ':') : NULL;
	const char *end = at ? at + strcspn(at, "\n") : NULL;
	size_t len = strlen(flag);

	for (; at && (at = strstr(at, flag)) && at < end; at += len)
		if (at[-1] == ' ' && strchr(" \n", at[len]))
			return true;
	return false;
}

void doctor_cpu(bool *vmx, bool *svm)
{
	char text[8192];

	doctor_read("/proc/cpuinfo", text, sizeof(text));
	*vmx = doctor_cpu_has(text, "vmx");
	*svm = doctor_cpu_has(text, "svm");
}

bool doctor_stock_guest_ok(void)
{
	bool vmx, svm;

	doctor_cpu(&vmx, &svm);
	return vmx || svm;
}
