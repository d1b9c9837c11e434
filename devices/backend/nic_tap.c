/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opens a tap interface: an existing one by its name, or a new one that lives as long as candela.
 * Addresses, bridges and routes are the host administrator's. Source: the kernel's
 * Documentation/networking/tuntap.rst.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/backend/nic_impl.h"

/* What to do about an error of TUNSETIFF. */
static const char *tap_hint(int err)
{
	switch (err) {
	case EPERM:
		return "not permitted; create it first: ip tuntap add dev NAME mode tap user $USER";
	case EBUSY:
		return "in use by another program";
	case EINVAL:
		return "not a tap interface";
	default:
		return strerror(err);
	}
}

/* The interface's MTU, or the usual one where it cannot be read. */
static u32 tap_mtu(struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	u32 mtu = NIC_MTU;

	if (fd < 0)
		return mtu;
	if (!ioctl(fd, SIOCGIFMTU, ifr) && ifr->ifr_mtu >= 68 &&
	    (u32)ifr->ifr_mtu <= NIC_FRAME_MAX - 18)
		mtu = (u32)ifr->ifr_mtu;
	close(fd);
	return mtu;
}

int nic_tap_open(struct nic **nic, const struct nic_config *config, char *error, size_t error_size)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int err, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		err = -errno;
		snprintf(error, error_size, "net tap: /dev/net/tun: %s%s", strerror(-err),
			 err == -ENOENT ? " (modprobe tun)" : "");
		return err;
	}
	memcpy(ifr.ifr_name, config->tap_name, sizeof(ifr.ifr_name) - 1);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		err = -errno;
		snprintf(error, error_size, "net tap,name=%s: %s", config->tap_name,
			 tap_hint(-err));
		close(fd);
		return err;
	}
	err = nic_fd_new(nic, fd, NULL);
	if (err) {
		snprintf(error, error_size, "net tap: %s", strerror(-err));
		close(fd);
		return err;
	}
	(*nic)->mtu = tap_mtu(&ifr);
	return 0;
}
