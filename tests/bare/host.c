/* SPDX-License-Identifier: BSD-2-Clause */
/* One run of a bare guest: wiring, VPs, what it reaches, its end. */
#include "tests/bare/host.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hyperv/hypercall.h"
#include "hyperv/ports.h"
#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"
#include "tests/bare/host_boot.h"
#include "tests/patience.h"
#include "vmm/vcpu.h"

#define RAM MiB(64)
#define DEADLINE_MS ((int)PATIENCE_S * 1000)
#define ECHO_COPIES 2

/* ---- What the guest reaches ------------------------------------------------------------------ */

static void write_text(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;

	(void)offset, (void)len;
	if (h->text_len < sizeof(h->text) - 1)
		h->text[h->text_len++] = *(const char *)data;
}

static void write_verdict(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct host *h = ctx;
	u32 v = 0;

	(void)offset;
	memcpy(&v, data, MIN(len, sizeof(v)));
	atomic_store(&h->verdict, v);
	eventfd_write(h->fd[FD_DONE], 1);
}

static void read_backend(void *ctx, u64 offset, void *data, unsigned len)
{
	const struct host *h = ctx;
	u32 is = h->choice == HYPERV_KERNEL ? BARE_IS_KERNEL : 0;

	(void)offset;
	memcpy(data, &is, MIN(len, sizeof(is)));
}

static void guest_end(void *ctx, enum vm_end why, u64 value)
{
	struct host *h = ctx;

	h->end_value = value;
	atomic_store(&h->end, why);
	eventfd_write(h->fd[FD_DONE], 1);
}

/* Counts on the way to the real hook. */
static bool out32(void *ctx, struct vcpu *vcpu, u16 port, u32 value)
{
	struct host *h = container_of(vcpu->vm, struct host, vm);

	h->signal_exits += port == HYPERCALL_PORT_SIGNAL;
	return h->out32(ctx, vcpu, port, value);
}

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	struct host *h = ctx;
	u32 word;

	(void)connection_id;
	if (atomic_load(&h->blocked))
		return HV_STATUS_INSUFFICIENT_BUFFERS;
	if (type != 1 || size != sizeof(word))
		return HV_STATUS_INVALID_PARAMETER;
	memcpy(&word, payload, sizeof(word));
	atomic_store(&h->word, word);
	eventfd_write(h->fd[FD_INBOX], 1);
	return HV_STATUS_SUCCESS;
}

static void slot_free(void *ctx, u32 vp_index, u32 sint)
{
	struct host *h = ctx;

	atomic_fetch_add(&h->slot_frees[vp_index][sint], 1);
	if (vp_index == 0 && sint == BARE_SINT)
		eventfd_write(h->fd[FD_FREE], 1);
}

/* Sends what copies are left; a full slot puts the rest off until it is free. */
static void send_copies(struct host *h)
{
	while (h->copies < ECHO_COPIES) {
		u32 word = atomic_load(&h->word) + h->copies;
		int err = synic_post_message(h->hv, 0, BARE_SINT, 1, &word, sizeof(word));

		if (err == -EAGAIN) {
			h->busy++;
			return;
		}
		assert_int_equal(err, 0);
		h->copies++;
	}
}

/* A guest without SynIC hears nothing; one that waits for it would be late. */
static void ring_back(struct host *h)
{
	int err = synic_set_event(h->hv, 0, BARE_SINT, BARE_FLAG);

	assert_true(!err || err == -ENODEV);
}

/* ---- Set-up ---------------------------------------------------------------------------------- */

static void wire(struct host *h)
{
	const struct io_range ports[] = {
		{ .base = BARE_PORT_TEXT, .len = 1, .write = write_text, .ctx = h },
		{ .base = BARE_PORT_VERDICT, .len = 4, .write = write_verdict, .ctx = h },
		{ .base = BARE_PORT_BACKEND, .len = 4, .read = read_backend, .ctx = h },
		{ .base = BARE_PORT_ARGUMENT,
		  .len = 8,
		  .read = ask_read,
		  .write = ask_write,
		  .ctx = h },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		assert_int_equal(io_add(&h->vm.io, &ports[i]), 0);
	h->vm.hooks.ctx = h;
	h->vm.hooks.end = guest_end;
	h->out32 = h->vm.hooks.out32;
	h->vm.hooks.out32 = out32;
	assert_int_equal(ports_add_message(h->hv, BARE_CONNECTION_ECHO, receive, h), 0);
	assert_int_equal(ports_bind_event(h->hv, BARE_CONNECTION_DOORBELL, h->fd[FD_DOORBELL]), 0);
	synic_on_slot_free(h->hv, slot_free, h);
}

static void load(struct host *h, const char *guest)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.elf", BARE_DIR, guest);
	if (host_boot_load(&h->vm, path, h->error, sizeof(h->error)))
		fail_msg("%s", h->error);
}

static void begin(struct host *h, const struct guest *guest, enum hyperv_choice choice)
{
	struct hyperv_config config = { .choice = choice };
	int err;

	*h = (struct host){ .copies = ECHO_COPIES, .choice = choice };
	atomic_store(&h->verdict, NO_VERDICT);
	atomic_store(&h->end, NO_END);
	for (unsigned i = 0; i < FDS; i++)
		h->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (guest->features &&
	    hyperv_switches_parse(&config.switches, guest->features, h->error, sizeof(h->error)))
		fail_msg("%s: %s", guest->name, h->error);
	err = vm_init(&h->vm, guest->vps ? guest->vps : 1, RAM, h->error, sizeof(h->error));
	if (!err)
		err = hyperv_init(&h->hv, &h->vm, &config, h->error, sizeof(h->error));
	if (err == -EINVAL)
		fail_msg("%s: %s", guest->name, h->error);
	if (err) {
		print_message("SKIPPED on this host: %s\n", h->error);
		vm_fini(&h->vm);
		skip();
	}
}

/* ---- One run --------------------------------------------------------------------------------- */

/* Serves the guest until it is done. */
static void serve(struct host *h)
{
	struct pollfd p[FDS];
	eventfd_t n;

	for (unsigned i = 0; i < FDS; i++)
		p[i] = (struct pollfd){ .fd = h->fd[i], .events = POLLIN };
	while (poll(p, FDS, DEADLINE_MS) > 0) {
		for (unsigned i = 0; i < FDS; i++) {
			if (p[i].revents)
				eventfd_read(h->fd[i], &n);
		}
		if (p[FD_DONE].revents)
			return;
		if (p[FD_INBOX].revents)
			h->copies = 0;
		if (p[FD_INBOX].revents || p[FD_FREE].revents)
			send_copies(h);
		if (p[FD_DOORBELL].revents)
			ring_back(h);
		if (p[FD_STORM].revents)
			ask_storm(h);
	}
	h->late = true;
}

static void end(struct host *h)
{
	u32 why = atomic_load(&h->end);
	bool puzzling = h->late || why == VM_END_TRIPLE_FAULT || why == VM_END_INTERNAL;
	char text[256];

	vm_stop(&h->vm);
	ports_unbind_event(h->hv, BARE_CONNECTION_DOORBELL, h->fd[FD_DOORBELL]);
	if (h->text_len)
		print_message("guest: %s", h->text);
	for (unsigned i = 0; puzzling && i < h->vm.cpu_count; i++) {
		vcpu_describe(&h->vm.vcpu[i], text, sizeof(text));
		print_message("VP %u: %s\n", i, text);
	}
}

void host_run(struct host *h, const struct guest *guest, enum hyperv_choice choice)
{
	begin(h, guest, choice);
	wire(h);
	for (u32 i = 0; i < h->vm.cpu_count; i++)
		assert_int_equal(host_boot_vcpu(&h->vm, h->hv, i), 0);
	load(h, guest->name);
	assert_int_equal(vm_start(&h->vm), 0);
	serve(h);
	end(h);
}

void host_fini(struct host *h)
{
	hyperv_fini(h->hv);
	for (unsigned i = 0; i < h->vm.cpu_count; i++)
		vcpu_fini(&h->vm.vcpu[i]);
	vm_fini(&h->vm);
	for (unsigned i = 0; i < FDS; i++)
		close(h->fd[i]);
}

void host_run_passing(struct host *h, const struct guest *guest, enum hyperv_choice choice)
{
	host_run(h, guest, choice);
	if (atomic_load(&h->end) != NO_END)
		fail_msg("%s: the guest ended by itself (%u, 0x%llx)", guest->name,
			 atomic_load(&h->end), (unsigned long long)h->end_value);
	if (atomic_load(&h->verdict))
		fail_msg("%s: verdict %u, 0x%x (tests/bare/guests/%s.c line)", guest->name,
			 atomic_load(&h->verdict), atomic_load(&h->verdict), guest->name);
}
