/* SPDX-License-Identifier: BSD-2-Clause */
/* Between the files that implement nic.h; others include nic.h only. */
#ifndef DEVICES_BACKEND_NIC_IMPL_H
#define DEVICES_BACKEND_NIC_IMPL_H

#include "devices/backend/nic.h"

/* Who sits at the other end of a NIC's descriptor, where that is part of candela. */
struct nic_peer {
	/* Part of nic_launch(). */
	int (*launch)(struct nic_peer *peer, int (*thread_start)(void *ctx), void *ctx);
	/* Part of closing the NIC, after its descriptor was closed; frees the peer. */
	void (*close)(struct nic_peer *peer);
};

/*
 * A NIC on fd, which gives and takes one frame per call: a tap without packet information, a
 * datagram or sequenced-packet socket. fd and peer (or NULL) are the NIC's once this succeeds.
 * 0 and *nic, -EINVAL for a descriptor of another kind, or -errno.
 */
int nic_fd_new(struct nic **nic, int fd, struct nic_peer *peer);

/* The NIC_TAP and NIC_USER parts of nic_open(). */
int nic_tap_open(struct nic **nic, const struct nic_config *config, char *error, size_t error_size);
int nic_user_open(struct nic **nic, const struct nic_config *config, char *error,
		  size_t error_size);

#endif
