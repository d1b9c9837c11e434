/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each role's filter allows: the compiled programs, run by a small BPF machine over rows of
 * calls.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "seccomp/filters.h"
#include "seccomp/seccomp.h"

#define ALLOW SECCOMP_RET_ALLOW
#define TRAP SECCOMP_RET_TRAP
#define LOG SECCOMP_RET_LOG
#define KILL SECCOMP_RET_KILL_PROCESS
#define REFUSE (SECCOMP_RET_ERRNO | EPERM)

struct program {
	const struct sock_filter *op;
	size_t len;
};

/* clang-format off */
#define PROGRAM(array) { array, ARRAY_SIZE(array) }
/* clang-format on */
static const struct program trap[SANDBOX_ROLES] = {
	[SANDBOX_MAIN] = PROGRAM(filter_main_trap),
	[SANDBOX_IO] = PROGRAM(filter_io_trap),
	[SANDBOX_VCPU] = PROGRAM(filter_vcpu_trap),
	[SANDBOX_SLIRP] = PROGRAM(filter_slirp_trap),
	[SANDBOX_WORKER] = PROGRAM(filter_worker_trap),
	[SANDBOX_NBD] = PROGRAM(filter_nbd_trap),
};
static const struct program logged[SANDBOX_ROLES] = {
	[SANDBOX_MAIN] = PROGRAM(filter_main_log),     [SANDBOX_IO] = PROGRAM(filter_io_log),
	[SANDBOX_VCPU] = PROGRAM(filter_vcpu_log),     [SANDBOX_SLIRP] = PROGRAM(filter_slirp_log),
	[SANDBOX_WORKER] = PROGRAM(filter_worker_log), [SANDBOX_NBD] = PROGRAM(filter_nbd_log),
};

/* ---- A BPF machine, of what libseccomp emits ------------------------------------------------ */

static bool jump_taken(const struct sock_filter *op, u32 a)
{
	switch (BPF_OP(op->code)) {
	case BPF_JEQ:
		return a == op->k;
	case BPF_JGT:
		return a > op->k;
	case BPF_JGE:
		return a >= op->k;
	case BPF_JSET:
		return a & op->k;
	default:
		fail_msg("jump 0x%x is not known here", op->code);
		return false;
	}
}

/* The verdict of program on call. */
static u32 simulate(const struct program *program, const struct seccomp_data *call)
{
	u32 a = 0;

	for (size_t pc = 0; pc < program->len; pc++) {
		const struct sock_filter *op = &program->op[pc];

		switch (op->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(op->k % 4 == 0 && op->k + 4 <= sizeof(*call));
			memcpy(&a, (const char *)call + op->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= op->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += op->k;
			break;
		case BPF_RET | BPF_K:
			return op->k;
		default:
			assert_int_equal(BPF_CLASS(op->code), BPF_JMP);
			pc += jump_taken(op, a) ? op->jt : op->jf;
		}
	}
	fail_msg("the program runs past its end");
	return 0;
}

/* ---- Rows ----------------------------------------------------------------------------------- */

struct row {
	enum sandbox_role role;
	int call;
	u64 args[6];
	u32 verdict;
};

static void check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct row *r = &rows[i];
		struct seccomp_data call = { .nr = r->call, .arch = AUDIT_ARCH_X86_64 };
		u32 verdict;

		memcpy(call.args, r->args, sizeof(r->args));
		verdict = simulate(&trap[r->role], &call);
		if (verdict != r->verdict)
			fail_msg("%s: call %d (0x%llx, 0x%llx, 0x%llx): verdict 0x%x, not 0x%x",
				 sandbox_role_name(r->role), r->call,
				 (unsigned long long)r->args[0], (unsigned long long)r->args[1],
				 (unsigned long long)r->args[2], verdict, r->verdict);
	}
}

static void vcpu_rows(void **state)
{
	static const struct row rows[] = {
		{ SANDBOX_VCPU, SYS_ioctl, { 9, KVM_RUN }, ALLOW },
		{ SANDBOX_VCPU, SYS_ioctl, { 9, KVM_SET_GSI_ROUTING }, ALLOW },
		{ SANDBOX_VCPU, SYS_ioctl, { 9, KVM_CREATE_VM }, TRAP },
		{ SANDBOX_VCPU, SYS_ioctl, { 9, KVM_SET_USER_MEMORY_REGION }, TRAP },
		{ SANDBOX_VCPU, SYS_ioctl, { 9, 0x5412 /* TIOCSTI */ }, TRAP },
		{ SANDBOX_VCPU, SYS_ioctl, { 9, KVM_RUN | 1ull << 32 }, TRAP },
		{ SANDBOX_VCPU, SYS_write, { 2, 0, 1 }, ALLOW },
		{ SANDBOX_VCPU, SYS_futex, { 0 }, ALLOW },
		{ SANDBOX_VCPU, SYS_rt_sigreturn, { 0 }, ALLOW },
		{ SANDBOX_VCPU, SYS_exit, { 0 }, ALLOW },
		{ SANDBOX_VCPU, SYS_exit_group, { 1 }, ALLOW },
		{ SANDBOX_VCPU, SYS_read, { 0 }, TRAP },
		{ SANDBOX_VCPU, SYS_mmap, { 0 }, TRAP },
		{ SANDBOX_VCPU, SYS_mprotect, { 0 }, TRAP },
		{ SANDBOX_VCPU, SYS_openat, { 0 }, TRAP },
		{ SANDBOX_VCPU, SYS_socket, { AF_INET }, TRAP },
		{ SANDBOX_VCPU, SYS_tgkill, { 0 }, TRAP },
		{ SANDBOX_VCPU, SYS_io_uring_enter, { 0 }, TRAP },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void io_rows(void **state)
{
	static const struct row rows[] = {
		{ SANDBOX_IO, SYS_io_uring_enter, { 0 }, ALLOW },
		{ SANDBOX_IO, SYS_epoll_wait, { 0 }, ALLOW },
		{ SANDBOX_IO, SYS_epoll_pwait2, { 0 }, ALLOW },
		{ SANDBOX_IO, SYS_pwritev2, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_io_uring_register, { 9, IORING_REGISTER_FILES_UPDATE }, ALLOW },
		{ SANDBOX_IO, SYS_mmap, { 0, 4096, PROT_READ | PROT_WRITE }, ALLOW },
		{ SANDBOX_IO, SYS_mmap, { 0, 4096, PROT_NONE }, ALLOW },
		{ SANDBOX_IO, SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC }, TRAP },
		{ SANDBOX_IO, SYS_mprotect, { 0, 4096, PROT_READ | PROT_WRITE }, ALLOW },
		{ SANDBOX_IO, SYS_mprotect, { 0, 4096, PROT_EXEC }, TRAP },
		{ SANDBOX_IO, SYS_ioctl, { 9, KVM_IOEVENTFD }, ALLOW },
		{ SANDBOX_IO, SYS_ioctl, { 9, KVM_RUN }, TRAP },
		{ SANDBOX_IO, SYS_io_uring_setup, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_io_uring_register, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_openat, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_socket, { AF_INET }, TRAP },
		{ SANDBOX_IO, SYS_execve, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_clone, { 0 }, TRAP },
		{ SANDBOX_IO, SYS_ftruncate, { 0 }, TRAP },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void main_rows(void **state)
{
	static const struct row rows[] = {
		{ SANDBOX_MAIN, SYS_epoll_wait, { 0 }, ALLOW },
		{ SANDBOX_MAIN, SYS_epoll_pwait2, { 0 }, ALLOW },
		{ SANDBOX_MAIN, SYS_read, { 0 }, ALLOW },
		{ SANDBOX_MAIN, SYS_ioctl, { 9, KVM_HYPERV_EVENTFD }, ALLOW },
		{ SANDBOX_MAIN, SYS_ioctl, { 9, KVM_IRQFD }, ALLOW },
		{ SANDBOX_MAIN, SYS_ioctl, { 9, KVM_CREATE_VCPU }, TRAP },
		{ SANDBOX_MAIN, SYS_eventfd2, { 0 }, ALLOW },
		{ SANDBOX_MAIN, SYS_close, { 0 }, ALLOW },
		{ SANDBOX_MAIN, SYS_fcntl, { 9, F_DUPFD_CLOEXEC }, ALLOW },
		{ SANDBOX_MAIN, SYS_fcntl, { 9, F_DUPFD }, TRAP },
		{ SANDBOX_MAIN, SYS_dup, { 9 }, TRAP },
		{ SANDBOX_MAIN, SYS_tgkill, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_mmap, { 0, 4096, PROT_EXEC }, TRAP },
		{ SANDBOX_MAIN, SYS_clone, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_clone3, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_execve, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_openat, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_kill, { 0 }, TRAP },
		{ SANDBOX_MAIN, SYS_ptrace, { 0 }, TRAP },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void slirp_rows(void **state)
{
	static const struct row rows[] = {
		{ SANDBOX_SLIRP, SYS_poll, { 0 }, ALLOW },
		{ SANDBOX_SLIRP, SYS_socket, { AF_INET, SOCK_STREAM }, ALLOW },
		{ SANDBOX_SLIRP, SYS_socket, { AF_INET6, SOCK_DGRAM }, ALLOW },
		{ SANDBOX_SLIRP, SYS_socket, { AF_UNIX, SOCK_STREAM }, REFUSE },
		{ SANDBOX_SLIRP, SYS_socket, { AF_NETLINK, SOCK_RAW }, TRAP },
		{ SANDBOX_SLIRP, SYS_openat, { 0, 0, O_RDONLY | O_CLOEXEC }, ALLOW },
		{ SANDBOX_SLIRP, SYS_openat, { 0, 0, O_WRONLY }, TRAP },
		{ SANDBOX_SLIRP, SYS_openat, { 0, 0, O_RDWR }, TRAP },
		{ SANDBOX_SLIRP, SYS_openat, { 0, 0, O_CREAT }, TRAP },
		{ SANDBOX_SLIRP, SYS_openat, { 0, 0, O_TMPFILE }, TRAP },
		{ SANDBOX_SLIRP, SYS_open, { 0 }, TRAP },
		{ SANDBOX_SLIRP, SYS_ioctl, { 9, KVM_RUN }, TRAP },
		{ SANDBOX_SLIRP, SYS_fcntl, { 9, F_SETFL }, ALLOW },
		{ SANDBOX_SLIRP, SYS_fcntl, { 9, F_DUPFD }, TRAP },
		{ SANDBOX_SLIRP, SYS_io_uring_enter, { 0 }, TRAP },
		{ SANDBOX_SLIRP, SYS_unlink, { 0 }, TRAP },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

static void disk_rows(void **state)
{
	static const struct row rows[] = {
		{ SANDBOX_WORKER, SYS_preadv, { 0 }, ALLOW },
		{ SANDBOX_WORKER, SYS_pwritev2, { 0 }, ALLOW },
		{ SANDBOX_WORKER, SYS_fallocate, { 0 }, ALLOW },
		{ SANDBOX_WORKER, SYS_openat, { 0 }, TRAP },
		{ SANDBOX_WORKER, SYS_socket, { AF_INET }, TRAP },
		{ SANDBOX_WORKER, SYS_ioctl, { 9, KVM_IRQFD }, TRAP },
		{ SANDBOX_NBD, SYS_sendto, { 0 }, ALLOW },
		{ SANDBOX_NBD, SYS_recvfrom, { 0 }, ALLOW },
		{ SANDBOX_NBD, SYS_poll, { 0 }, ALLOW },
		{ SANDBOX_NBD, SYS_socket, { AF_INET }, TRAP },
		{ SANDBOX_NBD, SYS_connect, { 0 }, TRAP },
		{ SANDBOX_NBD, SYS_openat, { 0 }, TRAP },
		{ SANDBOX_NBD, SYS_mmap, { 0, 4096, PROT_READ | PROT_EXEC }, TRAP },
		{ SANDBOX_NBD, SYS_pwritev2, { 0 }, TRAP },
	};

	(void)state;
	check(rows, ARRAY_SIZE(rows));
}

/* The 32-bit and x32 doors to the kernel kill, whatever the call and the mode. */
static void other_doors(void **state)
{
	const struct seccomp_data i386 = { .nr = SYS_write, .arch = AUDIT_ARCH_I386 };
	const struct seccomp_data x32 = { .nr = SYS_write | 0x40000000, .arch = AUDIT_ARCH_X86_64 };

	(void)state;
	for (int role = 0; role < SANDBOX_ROLES; role++) {
		assert_int_equal(simulate(&trap[role], &i386), KILL);
		assert_int_equal(simulate(&trap[role], &x32), KILL);
		assert_int_equal(simulate(&logged[role], &i386), KILL);
		assert_int_equal(simulate(&logged[role], &x32), KILL);
	}
}

/* --sandbox log differs in what happens to a violation, in nothing else. */
static void log_mode(void **state)
{
	(void)state;
	for (int role = 0; role < SANDBOX_ROLES; role++) {
		for (int nr = 0; nr < 600; nr++) {
			const struct seccomp_data call = { .nr = nr, .arch = AUDIT_ARCH_X86_64 };
			u32 verdict = simulate(&trap[role], &call);

			assert_int_equal(simulate(&logged[role], &call),
					 verdict == TRAP ? LOG : verdict);
		}
	}
}

/* Whatever the arguments, no role has these. */
static void nobody_may(void **state)
{
	static const char *const never[] = {
		"execve", "execveat", "fork",   "vfork",  "clone",          "clone3",
		"ptrace", "open",     "creat",  "unlink", "rename",         "mount",
		"bpf",    "setuid",   "setgid", "prctl",  "io_uring_setup", "memfd_create",
	};

	(void)state;
	for (int role = 0; role < SANDBOX_ROLES; role++)
		for (const char *const *call = sandbox_calls((enum sandbox_role)role); *call;
		     call++)
			for (size_t i = 0; i < ARRAY_SIZE(never); i++)
				assert_string_not_equal(*call, never[i]);
}

static void vcpu_has_few_calls(void **state)
{
	const char *const *calls = sandbox_calls(SANDBOX_VCPU);
	size_t n = 0;

	(void)state;
	while (calls[n])
		n++;
	assert_in_range(n, 1, 12);
	assert_string_equal(calls[0], "ioctl");
}

static void role_names(void **state)
{
	(void)state;
	assert_string_equal(sandbox_role_name(SANDBOX_MAIN), "main");
	assert_string_equal(sandbox_role_name(SANDBOX_IO), "io");
	assert_string_equal(sandbox_role_name(SANDBOX_VCPU), "vcpu");
	assert_string_equal(sandbox_role_name(SANDBOX_SLIRP), "slirp");
	assert_string_equal(sandbox_role_name(SANDBOX_WORKER), "worker");
	assert_string_equal(sandbox_role_name(SANDBOX_NBD), "nbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vcpu_rows),          cmocka_unit_test(io_rows),
		cmocka_unit_test(main_rows),          cmocka_unit_test(slirp_rows),
		cmocka_unit_test(disk_rows),          cmocka_unit_test(other_doors),
		cmocka_unit_test(log_mode),           cmocka_unit_test(nobody_may),
		cmocka_unit_test(vcpu_has_few_calls), cmocka_unit_test(role_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
