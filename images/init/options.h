/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel's command line asks of the init. Pure: bytes in, struct out. The words are the
 * kernel's own (Documentation/admin-guide/kernel-parameters.txt) and systemd's modules_load=.
 */
#ifndef IMAGES_INIT_OPTIONS_H
#define IMAGES_INIT_OPTIONS_H

#include "base/types.h"

#define OPTIONS_ROOT_WAIT_S 30

struct options {
	const char *root; /* device, LABEL=, UUID= or PARTUUID=; NULL: stay in the initramfs */
	const char *root_type; /* names separated by commas; NULL: look at the file system */
	const char *root_flags; /* "" by default */
	const char *modules; /* further modules, separated by commas; "" by default */
	bool root_writable; /* rw; ro is the default, as the kernel's */
	unsigned root_wait_s; /* OPTIONS_ROOT_WAIT_S; rootwait=N; UINT_MAX for a bare rootwait */
};

/* Splits line, which is changed and must outlive *o. The last of equal words counts. */
void options_parse(struct options *o, char *line);

#endif
