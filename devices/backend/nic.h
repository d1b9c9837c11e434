/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The network contract: Ethernet frames out by ops->send(), in by nic->receive(), both on the one
 * loop given to start(). A back end knows nothing of VMBus or RNDIS.
 */
#ifndef DEVICES_BACKEND_NIC_H
#define DEVICES_BACKEND_NIC_H

#include <sys/uio.h>

#include "base/loop.h"
#include "base/types.h"

#define NIC_MTU 1500u
/* Longest frame either way, Ethernet header included, no checksum (FCS). */
#define NIC_FRAME_MAX 65550u

struct nic;

struct nic_ops {
	/* nic_launch(); NULL: the back end has no thread. */
	int (*launch)(struct nic *nic, int (*thread_start)(void *ctx), void *ctx);
	/* Frames may flow from now on. 0 or -errno. */
	int (*start)(struct nic *nic, struct loop *loop);
	/* No more receive() calls after it; start() may follow again. */
	void (*stop)(struct nic *nic);
	/* Takes a whole frame or drops it: 0, or -errno (-EAGAIN: the queue is full, dropped). */
	int (*send)(struct nic *nic, const struct iovec *iov, unsigned count);
	/* Stops (false) or goes on (true) to call receive(): the guest has no buffer left. */
	void (*receive_enable)(struct nic *nic, bool on);
	void (*close)(struct nic *nic); /* frees nic */
};

struct nic {
	const struct nic_ops *ops;
	u8 mac[6]; /* the guest's; all zero: not given, the device takes nic_default_mac() */
	u32 mtu;
	/*
	 * The device's: a frame came in. False: no room for it, it is dropped or kept at the back
	 * end's choice, and the device has called receive_enable(nic, false).
	 */
	bool (*receive)(struct nic *nic, const void *frame, u32 len);
	void *data; /* the device's */
};

/*
 * The address of a guest's NIC that is given none: 00:15:5d:ca:NN:NN by its number, counted from 0.
 * The same at every start, so that DHCP leases last, but also the same in every other candela:
 * guests that share a network must be given theirs by mac=.
 */
static inline void nic_default_mac(u8 mac[6], unsigned number)
{
	mac[0] = 0x00;
	mac[1] = 0x15;
	mac[2] = 0x5d;
	mac[3] = 0xca;
	mac[4] = (u8)(number >> 8);
	mac[5] = (u8)number;
}

#define NIC_HOSTFWD_MAX 16

struct nic_hostfwd {
	bool udp;
	u32 host_addr; /* network byte order; 0: any */
	u16 host_port; /* host byte order */
	u32 guest_addr; /* network byte order; 0: the DHCP address, 10.0.2.15 */
	u16 guest_port;
};

struct nic_config {
	enum { NIC_USER, NIC_TAP, NIC_FD } kind;
	u8 mac[6];
	bool mac_given;
	char tap_name[16]; /* NIC_TAP: "" lets the kernel choose */
	int fd; /* NIC_FD: a socket or tap that gives one frame a read */
	struct nic_hostfwd hostfwd[NIC_HOSTFWD_MAX];
	unsigned hostfwd_count;
};

/*
 * Opens the back end of config: `fd` and `tap` are one descriptor (nic_fd.c), `user` is that
 * descriptor with libslirp at the other end (nic_user.c). Everything that needs privileges
 * happens here (tap, hostfwd's ports), and no thread is started: the process is sandboxed between
 * nic_open() and nic_launch(). 0 and *nic, or -errno with a sentence for the user in error.
 */
int nic_open(struct nic **nic, const struct nic_config *config, char *error, size_t error_size);

/*
 * Starts the back end's thread, where it has one (`user`). thread_start(ctx), where not NULL, runs
 * first on that thread: it arms the sandbox. Returns once that is done: 0 or -errno. Main thread.
 */
int nic_launch(struct nic *nic, int (*thread_start)(void *ctx), void *ctx);

#endif
