/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel modules as they lie on disk, plain or compressed, to plain bytes. Pure. */
#ifndef IMAGES_INIT_UNPACK_H
#define IMAGES_INIT_UNPACK_H

#include "base/types.h"

/* No module comes near this. */
#define UNPACK_MAX MiB(128)

/*
 * Unpacks an xz, Zstandard or gzip stream, told by its first bytes. 0 and *out (malloc'ed, the
 * caller's) with *out_len; -ENODATA where it is none of them; -EBADMSG where it is damaged;
 * -EFBIG past UNPACK_MAX; -ENOMEM.
 */
int unpack(const void *in, size_t len, void **out, size_t *out_len);

#endif
