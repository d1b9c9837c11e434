/* SPDX-License-Identifier: BSD-2-Clause */
/* Picks the back end, and checks what all of them share. */
#include "devices/backend/nic.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "devices/backend/nic_impl.h"

static int fd_open(struct nic **nic, const struct nic_config *config, char *error,
		   size_t error_size)
{
	int err = nic_fd_new(nic, config->fd, NULL);

	if (err == -EINVAL)
		snprintf(error, error_size,
			 "net fd=%d: not a tap or a datagram or seqpacket socket, which give one "
			 "frame a read",
			 config->fd);
	else if (err == -EBADF)
		snprintf(error, error_size,
			 "net fd=%d: no such descriptor is open; it is inherited from what starts "
			 "candela",
			 config->fd);
	else if (err)
		snprintf(error, error_size, "net fd=%d: %s", config->fd, strerror(-err));
	return err;
}

int nic_open(struct nic **nic, const struct nic_config *config, char *error, size_t error_size)
{
	int err = -EINVAL;

	if (config->mac_given && config->mac[0] & 1) {
		snprintf(
			error, error_size,
			"net mac=: a NIC's address is not a group address: the first byte is even");
		return -EINVAL;
	}
	switch (config->kind) {
	case NIC_USER:
		err = nic_user_open(nic, config, error, error_size);
		break;
	case NIC_TAP:
		err = nic_tap_open(nic, config, error, error_size);
		break;
	case NIC_FD:
		err = fd_open(nic, config, error, error_size);
		break;
	}
	if (!err && config->mac_given)
		memcpy((*nic)->mac, config->mac, sizeof((*nic)->mac));
	return err;
}

int nic_launch(struct nic *nic, int (*thread_start)(void *ctx), void *ctx)
{
	return nic->ops->launch ? nic->ops->launch(nic, thread_start, ctx) : 0;
}
