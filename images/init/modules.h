/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads kernel modules from /lib/modules/RELEASE, plain or compressed, with all they need.
 *
 * While the init works in the initramfs it is also the kernel's own modprobe: what the kernel asks
 * for by alias (file systems, checksums) is found there too.
 */
#ifndef IMAGES_INIT_MODULES_H
#define IMAGES_INIT_MODULES_H

#include "base/types.h"

struct modules {
	char *index; /* the text of modules.dep, or of a walk through the folder */
	char *modprobe; /* what the kernel ran before; NULL: not taken over */
	char failure[128]; /* the first module that is there and cannot be loaded, and why */
};

/* Finds the modules of the running kernel and becomes its modprobe. No modules at all is fine. */
void modules_init(struct modules *m, const char *self);

/* Gives the kernel its modprobe back, unless only ours is there. */
void modules_fini(struct modules *m, const char *self);

/*
 * Loads a module, those it needs first. 0 also where it is loaded or built in; -ENOENT where there
 * is none; -errno with m->failure where it cannot be loaded. -ENODEV (no such hardware) is no
 * failure.
 */
int module_load(struct modules *m, const char *name);

/* Loads each module of a list separated by commas; errors stay in m->failure. */
void modules_load_list(struct modules *m, const char *list);

/* modprobe -q -- NAME, as the kernel calls it: its exit status. */
int modules_helper(int argc, char **argv);

#endif
