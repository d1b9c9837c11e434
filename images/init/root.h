/* SPDX-License-Identifier: BSD-2-Clause */
/* From the initramfs to the root file system that the kernel's command line names. */
#ifndef IMAGES_INIT_ROOT_H
#define IMAGES_INIT_ROOT_H

#include "images/init/modules.h"
#include "images/init/options.h"

/*
 * Waits for the device of o->root, mounts it, moves /dev, /proc and /sys there, makes it the root
 * and frees the initramfs. Where that fails, reports why and powers off.
 */
void root_enter(const struct options *o, struct modules *m);

#endif
