/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs the bare test guests on the real thing: /dev/kvm, vmm/ and hyperv/, each guest on both
 * Hyper-V back ends. A back end this host cannot give is skipped, and so said. A guest ends with a
 * verdict on a port, or with the end it is meant to have.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "hyperv/hyperv.h"
#include "hyperv/ports.h"
#include "hyperv/synic.h"
#include "hyperv/tlfs.h"
#include "tests/bare/bare_proto.h"
#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

#define RAM MiB(64)
#define DEADLINE_MS 60000
#define ECHO_COPIES 2
#define USER_PORT_SIGNAL 0xe0

enum { FD_DONE, FD_INBOX, FD_DOORBELL, FD_FREE, FDS };

struct host {
	struct vm vm;
	struct hyperv *hv;
	char error[512];
	int fd[FDS];
	char text[512];
	size_t text_len;
	_Atomic u32 verdict;
	_Atomic u32 end; /* enum vm_end, or NO_END */
	/* The message under way: from the VP's thread, handed over by FD_INBOX. */
	_Atomic u32 word;
	u32 copies, busy;
	/* The Hyper-V layer's hook, and how often the signal port reached it. */
	bool (*out32)(void *ctx, struct vcpu *vcpu, u16 port, u32 value);
	u32 signal_exits;
};

#define NO_VERDICT UINT32_MAX
#define NO_END UINT32_MAX

/* ---- What the guest reaches -------------------------------------------------------------------- */

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

static void guest_end(void *ctx, enum vm_end why, u64 value)
{
	struct host *h = ctx;

	(void)value;
	atomic_store(&h->end, why);
	eventfd_write(h->fd[FD_DONE], 1);
}

/* Counts on the way to the real hook. */
static bool out32(void *ctx, struct vcpu *vcpu, u16 port, u32 value)
{
	struct host *h = container_of(vcpu->vm, struct host, vm);

	h->signal_exits += port == USER_PORT_SIGNAL;
	return h->out32(ctx, vcpu, port, value);
}

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	struct host *h = ctx;
	u32 word;

	(void)connection_id;
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

/* ---- One run ------------------------------------------------------------------------------------- */

static void wire(struct host *h)
{
	const struct io_range ports[] = {
		{ .base = BARE_PORT_TEXT, .len = 1, .write = write_text, .ctx = h },
		{ .base = BARE_PORT_VERDICT, .len = 4, .write = write_verdict, .ctx = h },
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

static void create_vcpu(struct host *h)
{
	static struct cpuid t;

	assert_int_equal(cpuid_supported(h->vm.kvm_fd, &t), 0);
	cpuid_for_vp(&t, 0, 1);
	assert_int_equal(hyperv_cpuid(h->hv, &t), 0);
	assert_int_equal(vcpu_init(&h->vm.vcpu[0], &h->vm, 0, &t.head), 0);
	assert_int_equal(hyperv_vp_init(h->hv, &h->vm.vcpu[0]), 0);
}

static void load(struct host *h, const char *guest)
{
	struct boot_config config = {
		.kernel_name = guest, .cmdline = "", .cache_fd = -1, .cpus = 1
	};
	struct boot_state state = { 0 };
	int fd = h->vm.vcpu[0].fd;
	char path[256];

	snprintf(path, sizeof(path), "%s/%s.elf", BARE_DIR, guest);
	config.kernel_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (config.kernel_fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(kvm_get_sregs(fd, &state.sregs), 0);
	if (boot_load(&h->vm.mem, &config, &state, h->error, sizeof(h->error)))
		fail_msg("%s", h->error);
	close(config.kernel_fd);
	assert_false(state.linux_guest);
	assert_int_equal(kvm_set_sregs(fd, &state.sregs), 0);
	assert_int_equal(kvm_set_regs(fd, &state.regs), 0);
}

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
			assert_int_equal(synic_set_event(h->hv, 0, BARE_SINT, BARE_FLAG), 0);
	}
}

static void begin(struct host *h, enum hyperv_choice choice)
{
	int err;

	*h = (struct host){ .copies = ECHO_COPIES };
	atomic_store(&h->verdict, NO_VERDICT);
	atomic_store(&h->end, NO_END);
	for (unsigned i = 0; i < FDS; i++)
		h->fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = vm_init(&h->vm, 1, RAM, h->error, sizeof(h->error));
	if (!err)
		err = hyperv_init(&h->hv, &h->vm, &(struct hyperv_config){ .choice = choice },
				  h->error, sizeof(h->error));
	if (err) {
		print_message("SKIPPED on this host: %s\n", h->error);
		vm_fini(&h->vm);
		skip();
	}
}

static void end(struct host *h)
{
	vm_stop(&h->vm);
	ports_unbind_event(h->hv, BARE_CONNECTION_DOORBELL, h->fd[FD_DOORBELL]);
	if (h->text_len)
		print_message("guest: %s", h->text);
}

static void host_fini(struct host *h)
{
	hyperv_fini(h->hv);
	for (unsigned i = 0; i < h->vm.cpu_count; i++)
		vcpu_fini(&h->vm.vcpu[i]);
	vm_fini(&h->vm);
	for (unsigned i = 0; i < FDS; i++)
		close(h->fd[i]);
}

static void run(struct host *h, const char *guest, enum hyperv_choice choice)
{
	begin(h, choice);
	wire(h);
	create_vcpu(h);
	load(h, guest);
	assert_int_equal(vm_start(&h->vm), 0);
	serve(h);
	end(h);
}

/* A guest that must pass: its verdict is the line that failed. */
static void run_passing(const char *guest, enum hyperv_choice choice)
{
	static struct host h;

	run(&h, guest, choice);
	if (atomic_load(&h.end) != NO_END)
		fail_msg("%s: the guest ended by itself (%u)", guest, atomic_load(&h.end));
	if (atomic_load(&h.verdict))
		fail_msg("%s: verdict %u (tests/bare/%s.c line)", guest, atomic_load(&h.verdict),
			 guest);
	print_message("%s on %s: %u full slots waited for, %u signals left the kernel\n", guest,
		      hyperv_backend_name(h.hv), h.busy, h.signal_exits);
	/* Only those to a connection that nobody bound: a doorbell costs no exit. */
	if (!strcmp(guest, "synic") && choice == HYPERV_USER)
		assert_int_equal(h.signal_exits, BARE_DOORBELL_ROUNDS);
	host_fini(&h);
}

static void run_crash(enum hyperv_choice choice)
{
	static struct host h;
	const struct hyperv_crash *c;

	run(&h, "crash", choice);
	assert_int_equal(atomic_load(&h.verdict), NO_VERDICT);
	assert_int_equal(atomic_load(&h.end), VM_END_PANIC);
	c = hyperv_crash_report(h.hv);
	assert_true(c->valid);
	assert_int_equal(c->param[0], 0x11);
	assert_string_equal(c->message, "bare guest: nothing left to do.");
	host_fini(&h);
}

static void run_reset(enum hyperv_choice choice)
{
	static struct host h;

	run(&h, "reset", choice);
	assert_int_equal(atomic_load(&h.verdict), NO_VERDICT);
	assert_int_equal(atomic_load(&h.end), VM_END_REBOOT);
	host_fini(&h);
}

/* Whoever starts us may have blocked the signal that stops a vCPU: the mask is inherited. */
static void a_blocked_signal_still_stops_a_vcpu(void **state)
{
	sigset_t mask, old;

	(void)state;
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, &old);
	alarm(DEADLINE_MS / 1000);
	run_passing("ident", HYPERV_USER);
	alarm(0);
	sigprocmask(SIG_SETMASK, &old, NULL);
}

/* ---- The table ------------------------------------------------------------------------------------- */

#define ON_BOTH(name, call_user, call_kernel)      \
	static void name##_on_user(void **state)   \
	{                                          \
		(void)state;                       \
		call_user;                         \
	}                                          \
	static void name##_on_kernel(void **state) \
	{                                          \
		(void)state;                       \
		call_kernel;                       \
	}

#define PASSES(name) \
	ON_BOTH(name, run_passing(#name, HYPERV_USER), run_passing(#name, HYPERV_KERNEL))

PASSES(ident)
PASSES(clock)
PASSES(synic)
ON_BOTH(crash, run_crash(HYPERV_USER), run_crash(HYPERV_KERNEL))
ON_BOTH(reset, run_reset(HYPERV_USER), run_reset(HYPERV_KERNEL))

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ident_on_user),
		cmocka_unit_test(ident_on_kernel),
		cmocka_unit_test(clock_on_user),
		cmocka_unit_test(clock_on_kernel),
		cmocka_unit_test(synic_on_user),
		cmocka_unit_test(synic_on_kernel),
		cmocka_unit_test(crash_on_user),
		cmocka_unit_test(crash_on_kernel),
		cmocka_unit_test(reset_on_user),
		cmocka_unit_test(reset_on_kernel),
		cmocka_unit_test(a_blocked_signal_still_stops_a_vcpu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
