/* SPDX-License-Identifier: BSD-2-Clause */
/* The value of --net: a kind of network, then items with commas between them (config_item()). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/config_parse.h"

static int net_mac(struct config_parse *p, struct nic_config *nic, const char *text)
{
	static const u8 none[6];
	unsigned i = 0;

	for (; i < 6; i++, text += 3) {
		char octet[] = { '0', 'x', text[0], text[0] ? text[1] : '\0', '\0' };
		u64 byte;

		if (!octet[2] || !octet[3] || !config_number(octet, 0xff, &byte) ||
		    text[2] != (i < 5 ? ':' : '\0'))
			return config_fail(p, "mac= wants six hexadecimal bytes, "
					      "such as 52:54:00:12:34:56");
		nic->mac[i] = (u8)byte;
	}
	if (nic->mac[0] & 1 || !memcmp(nic->mac, none, 6))
		return config_fail(p, "mac= wants an address of one machine: "
				      "an even first byte, not all zero");
	nic->mac_given = true;
	return 0;
}

static bool read_port(const char *text, u16 *port)
{
	u64 n;

	if (!config_number(text, UINT16_MAX, &n) || !n)
		return false;
	*port = (u16)n;
	return true;
}

/* An IPv4 address in network byte order; empty is 0. */
static bool read_addr(const char *text, u32 *addr)
{
	struct in_addr in = { 0 };

	if (*text && inet_pton(AF_INET, text, &in) != 1)
		return false;
	*addr = in.s_addr;
	return true;
}

/* The host's half, [[tcp|udp]:[HOSTADDR]:]HOSTPORT. */
static bool read_forward_host(struct nic_hostfwd *f, char *host)
{
	char *addr = strchr(host, ':'), *port;

	if (!addr)
		return read_port(host, &f->host_port);
	*addr++ = '\0';
	port = strchr(addr, ':');
	if (!port)
		return false;
	*port++ = '\0';
	f->udp = !strcmp(host, "udp");
	return (f->udp || !*host || !strcmp(host, "tcp")) && read_addr(addr, &f->host_addr) &&
	       read_port(port, &f->host_port);
}

/* The guest's half, [GUESTADDR]:GUESTPORT. */
static bool read_forward_guest(struct nic_hostfwd *f, char *guest)
{
	char *port = strchr(guest, ':');

	if (!port)
		return false;
	*port++ = '\0';
	return read_addr(guest, &f->guest_addr) && read_port(port, &f->guest_port);
}

static int net_forward(struct config_parse *p, struct nic_config *nic, char *text)
{
	struct nic_hostfwd f = { 0 };
	char *guest = strchr(text, '-');

	if (nic->hostfwd_count == NIC_HOSTFWD_MAX)
		return config_fail(p, "a NIC has at most %d hostfwd", NIC_HOSTFWD_MAX);
	if (guest)
		*guest++ = '\0';
	if (!guest || !read_forward_host(&f, text) || !read_forward_guest(&f, guest))
		return config_fail(p, "hostfwd= wants [tcp|udp:[HOSTADDR]:]HOSTPORT-"
				      "[GUESTADDR]:GUESTPORT, such as tcp:127.0.0.1:2222-:22");
	nic->hostfwd[nic->hostfwd_count++] = f;
	return 0;
}

static int net_tap_name(struct config_parse *p, struct nic_config *nic, const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= sizeof(nic->tap_name) || strpbrk(name, "/: \t\n"))
		return config_fail(p,
				   "name= wants the name of a tap interface, at most %zu letters",
				   sizeof(nic->tap_name) - 1);
	memcpy(nic->tap_name, name, len + 1);
	return 0;
}

static int net_item(struct config_parse *p, struct nic_config *nic, char *item)
{
	char *mac = config_item_value(item, "mac");
	char *forward = nic->kind == NIC_USER ? config_item_value(item, "hostfwd") : NULL;
	char *name = nic->kind == NIC_TAP ? config_item_value(item, "name") : NULL;

	if (mac)
		return net_mac(p, nic, mac);
	if (forward)
		return net_forward(p, nic, forward);
	if (name)
		return net_tap_name(p, nic, name);
	return config_fail(p, "'%s' is not understood; this kind of network takes %s", item,
			   nic->kind == NIC_USER  ? "hostfwd=... and mac=..."
			   : nic->kind == NIC_TAP ? "name=... and mac=..."
						  : "mac=...");
}

/* The first item: what kind of network it is. */
static int net_kind(struct config_parse *p, struct nic_config *nic, char *kind)
{
	const char *fd = config_item_value(kind, "fd");
	u64 n;

	nic->fd = -1;
	if (!strcmp(kind, "user")) {
		nic->kind = NIC_USER;
	} else if (!strcmp(kind, "tap")) {
		nic->kind = NIC_TAP;
	} else if (fd) {
		nic->kind = NIC_FD;
		if (!config_number(fd, INT32_MAX, &n) || n < 3)
			return config_fail(p, "fd= wants the number of an open descriptor, "
					      "3 or more");
		nic->fd = (int)n;
	} else {
		return config_fail(p, "give user, tap, fd=N or none");
	}
	return 0;
}

static int net_items(struct config_parse *p, char *list)
{
	struct nic_config nic = { 0 };
	struct config_keys keys = { 0 };
	int err = net_kind(p, &nic, config_item(&list));

	while (!err && list) {
		char *item = config_item(&list);

		/* hostfwd= adds up. */
		if (!config_item_value(item, "hostfwd"))
			err = config_key_once(p, &keys, item);
		if (!err)
			err = net_item(p, &nic, item);
	}
	if (!err)
		p->c->nic[p->c->nic_count++] = nic;
	return err;
}

int config_net(struct config_parse *p)
{
	char *list;
	int err;

	if (!strcmp(p->value, "none")) {
		p->no_nic = true;
		return 0;
	}
	if (p->c->nic_count == CONFIG_NICS_MAX)
		return config_fail(p, "a guest has at most %d NICs", CONFIG_NICS_MAX);
	list = strdup(p->value);
	if (!list) {
		config_fail(p, "out of memory");
		return -ENOMEM;
	}
	err = net_items(p, list);
	free(list);
	return err;
}

/* The address that the guest sees. */
static void net_mac_of(const struct config *c, unsigned number, u8 mac[6])
{
	const struct nic_config *nic = &c->nic[number];

	if (nic->mac_given)
		memcpy(mac, nic->mac, sizeof(nic->mac));
	else
		nic_default_mac(mac, number);
}

static bool net_same_mac(const struct config *c, unsigned a, unsigned b)
{
	u8 mac_a[6], mac_b[6];

	net_mac_of(c, a, mac_a);
	net_mac_of(c, b, mac_b);
	return !memcmp(mac_a, mac_b, sizeof(mac_a));
}

/* Of two NICs with the same address one at least was given it: the defaults differ. */
static int net_mac_fail(struct config_parse *p, unsigned a, unsigned b)
{
	bool both = p->c->nic[a].mac_given && p->c->nic[b].mac_given;
	unsigned given = p->c->nic[a].mac_given ? a : b, other = given == a ? b : a;

	p->option = "--net";
	p->value = NULL;
	if (both)
		return config_fail(p, "NICs %u and %u have the same mac=; give each its own", a, b);
	return config_fail(p,
			   "mac= of NIC %u is the address that NIC %u has by default; "
			   "give NIC %u another, or NIC %u a mac= of its own",
			   given, other, given, other);
}

int config_nics(struct config_parse *p)
{
	for (unsigned b = 1; b < p->c->nic_count; b++)
		for (unsigned a = 0; a < b; a++)
			if (net_same_mac(p->c, a, b))
				return net_mac_fail(p, a, b);
	return 0;
}
