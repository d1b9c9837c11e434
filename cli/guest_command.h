/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What candela adds to a Linux guest for `-- COMMAND`: a cpio segment for its initramfs and a word
 * for its command line. The segment holds /candela/init (images/init, embedded in candela) and
 * /candela/command, the argv; with it alone the initramfs is complete. How the guest answers is in
 * images/init/exit_port.h.
 */
#ifndef CLI_GUEST_COMMAND_H
#define CLI_GUEST_COMMAND_H

#include "base/types.h"

/* Bytes of arguments with their NULs; a guest's execve() takes little more. */
#define GUEST_COMMAND_MAX KiB(128)

/*
 * Builds the segment (cpio "newc", Documentation/driver-api/early-userspace/buffer-format.rst) for
 * count arguments, at least one: malloc'ed bytes, the caller's, in *segment, a multiple of 4 long.
 * It belongs before the user's initrd: the kernel's LZ4 decoder takes what follows its stream for
 * more of it. 0, -EINVAL without arguments, -E2BIG past GUEST_COMMAND_MAX, -ENOMEM. Pure.
 */
int guest_command_build(char *const *argv, unsigned count, void **segment, size_t *size);

/* What goes to the end of the kernel's command line, without blanks around it. */
const char *guest_command_cmdline(void);

#endif
