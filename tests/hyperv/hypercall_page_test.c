/* SPDX-License-Identifier: BSD-2-Clause */
/* The hypercall pages' bytes, and what their ports make of the registers. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/hyperv/hypercall_bed.h"

#define UNDEFINED_OFFSET 0x60
#define PAGE_RIP 0xffffffff81234000ull
#define ID 7

static bool out(struct fake *f, u16 port, u32 value)
{
	return hypercall_page_out(&f->hv.vp[0], port, value);
}

/* Makes a call by the page: what a 64-bit caller left in its registers. */
static struct kvm_regs *call64(struct fake *f, u64 control, u64 input, u64 output)
{
	struct kvm_regs *r = &f->kvm[0].regs;

	*r = (struct kvm_regs){ .rax = 0xa,
				.rbx = 0xb,
				.rcx = control,
				.rdx = input,
				.r8 = output,
				.rip = PAGE_RIP + 0x27 };
	assert_true(out(f, HYPERCALL_PORT_CALL, 0xa));
	return r;
}

static void results_come_in_rax(void **state)
{
	struct fake *f = *state;
	struct kvm_regs *r = call64(f, 0x7777, 1, 2);

	assert_int_equal(r->rax, HV_STATUS_INVALID_HYPERCALL_CODE);
	assert_int_equal(r->rbx, 0xb);
	assert_int_equal(r->rdx, 1);
	assert_int_equal(r->r8, 2);
	assert_true(r->rip == PAGE_RIP + 0x27);
	assert_int_equal(call64(f, HV_CALL_EXT_QUERY_CAPABILITIES, 0, BED_OUTPUT)->rax, 0);
	assert_true(call64(f, HV_CALL_FLUSH_LIST | BED_REPS(3, 0), BED_INPUT, 0)->rax ==
		    BED_RESULT(0, 3));
	assert_false(out(f, 0x80, 0));
}

/* EDX:EAX, EBX:ECX, EDI:ESI; and the result in EDX:EAX. */
static void callers_of_32_bits_have_pairs(void **state)
{
	const u64 control = HV_CALL_FLUSH_LIST | BED_REPS(3, 1);
	struct fake *f = *state;
	struct kvm_regs *r = &f->kvm[0].regs;

	bed.sregs.cs.l = 0;
	*r = (struct kvm_regs){ .rdx = control >> 32, .rax = (u32)control, .rcx = BED_INPUT };
	assert_true(out(f, HYPERCALL_PORT_CALL, 0));
	assert_int_equal(r->rdx, 3);
	assert_int_equal(r->rax, 0);
	assert_int_equal(r->rcx, BED_INPUT);
	*r = (struct kvm_regs){ .rax = HV_CALL_FLUSH_SPACE, .rbx = 1, .rcx = BED_INPUT };
	assert_true(out(f, HYPERCALL_PORT_CALL, 0));
	assert_int_equal(r->rax, HV_STATUS_INVALID_ALIGNMENT);
	*r = (struct kvm_regs){ .rax = HV_CALL_EXT_QUERY_CAPABILITIES, .rsi = BED_OUTPUT };
	assert_true(out(f, HYPERCALL_PORT_CALL, 0));
	assert_int_equal(r->rax, HV_STATUS_SUCCESS);
	*r = (struct kvm_regs){ .rax = HV_CALL_EXT_QUERY_CAPABILITIES,
				.rsi = BED_OUTPUT,
				.rdi = 1 };
	assert_true(out(f, HYPERCALL_PORT_CALL, 0));
	assert_int_equal(r->rax, HV_STATUS_INVALID_ALIGNMENT);
}

/* The page takes EDX, or ECX of a 32-bit caller, off EAX again: what is left is the status. */
static void signals_leave_a_status_behind(void **state)
{
	struct fake *f = *state;
	struct kvm_regs *r = &f->kvm[0].regs;
	int fd = eventfd(0, EFD_NONBLOCK);
	eventfd_t n;

	assert_int_equal(ports_bind_event(&f->hv, ID, fd), 0);
	*r = (struct kvm_regs){ .rax = ID, .rcx = 0x1005d, .rdx = ID };
	assert_true(out(f, HYPERCALL_PORT_SIGNAL, ID));
	assert_int_equal(r->rax - r->rdx, HV_STATUS_SUCCESS);
	assert_int_equal(eventfd_read(fd, &n), 0);
	*r = (struct kvm_regs){ .rax = ID + 1, .rcx = 0x1005d, .rdx = ID + 1 };
	assert_true(out(f, HYPERCALL_PORT_SIGNAL, ID + 1));
	assert_int_equal(r->rax - r->rdx, HV_STATUS_INVALID_CONNECTION_ID);
	*r = (struct kvm_regs){ .rax = UINT32_MAX, .rcx = 0x1005d, .rdx = UINT32_MAX };
	assert_true(out(f, HYPERCALL_PORT_SIGNAL, UINT32_MAX));
	assert_int_equal((u32)(r->rax - r->rdx), HV_STATUS_INVALID_HYPERCALL_INPUT);
	bed.sregs.cs.l = 0;
	*r = (struct kvm_regs){ .rax = ID + 1, .rcx = ID + 1 };
	assert_true(out(f, HYPERCALL_PORT_SIGNAL, ID + 1));
	assert_int_equal(r->rax - r->rcx, HV_STATUS_INVALID_CONNECTION_ID);
	ports_unbind_event(&f->hv, ID, fd);
	close(fd);
}

static void who_may_not_call_gets_nothing(void **state)
{
	struct fake *f = *state;

	bed.sregs.ss.dpl = 3;
	assert_int_equal(call64(f, 0x7777, 0, 0)->rax, 0xa);
	bed.sregs = (struct kvm_sregs){ .cr0 = 0 };
	assert_int_equal(call64(f, 0x7777, 0, 0)->rax, 0xa);
}

static void undefined_calls_end_where_the_page_raises_it(void **state)
{
	struct fake *f = *state;
	struct kvm_regs *r;

	f->hv.offered.features = 0;
	r = call64(f, BED_FAST(HV_CALL_FLUSH_SPACE), 0, HV_FLUSH_ALL_PROCESSORS);
	assert_true(r->rip == PAGE_RIP + UNDEFINED_OFFSET);
	assert_int_equal(r->rax, 0xa);
}

static sigjmp_buf back;
static volatile uintptr_t illegal;

static void on_illegal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	illegal = (uintptr_t)info->si_addr;
	siglongjmp(back, 1);
}

/* Runs the page here, which is CPL 3: not even PORT_SIGNAL must be written to. */
static void assert_undefined_here(u8 *page, u64 control)
{
	illegal = 0;
	if (!sigsetjmp(back, 1))
		__asm__ volatile("call *%[page]"
				 :
				 : [page] "r"(page), "c"(control), "d"(1ul)
				 : "rax", "memory", "cc");
	assert_int_equal(illegal, (uintptr_t)page + UNDEFINED_OFFSET);
}

static void pages_refuse_user_mode(void **state)
{
	const struct sigaction action = { .sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO };
	struct sigaction old;
	u8 *page = mmap(NULL, HV_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(page != MAP_FAILED);
	sigaction(SIGILL, &action, &old);
	hypercall_page_fill_user(page, false);
	assert_undefined_here(page, 0x1005d);
	assert_undefined_here(page, 0x5c);
	hypercall_page_fill_user(page, true);
	assert_undefined_here(page, 0x1005d);
	hypercall_page_fill_kernel(page, false);
	assert_undefined_here(page, 0x5c);
	assert_undefined_here(page, 0x8001);
	sigaction(SIGILL, &old, NULL);
	munmap(page, HV_PAGE_SIZE);
}

static void kvm_is_called_as_its_host_likes(void **state)
{
	static const u8 vmcall[] = { 0x0f, 0x01, 0xc1, 0xc3 },
			vmmcall[] = { 0x0f, 0x01, 0xd9, 0xc3 };
	u8 page[HV_PAGE_SIZE];

	(void)state;
	hypercall_page_fill_kernel(page, false);
	assert_non_null(memmem(page, sizeof(page), vmcall, sizeof(vmcall)));
	assert_null(memmem(page, sizeof(page), vmmcall, sizeof(vmmcall)));
	hypercall_page_fill_kernel(page, true);
	assert_non_null(memmem(page, sizeof(page), vmmcall, sizeof(vmmcall)));
	assert_null(memmem(page, sizeof(page), vmcall, sizeof(vmcall)));
}

static void calls_may_be_indirect_where_branches_are_tracked(void **state)
{
	static const u8 endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	u8 page[HV_PAGE_SIZE];

	(void)state;
	hypercall_page_fill_kernel(page, false);
	assert_memory_equal(page, endbr64, sizeof(endbr64));
	hypercall_page_fill_user(page, true);
	assert_memory_equal(page, endbr64, sizeof(endbr64));
	hypercall_page_fill_user(page, false);
	assert_memory_not_equal(page, endbr64, sizeof(endbr64));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, bed_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(results_come_in_rax),
		TEST(callers_of_32_bits_have_pairs),
		TEST(signals_leave_a_status_behind),
		TEST(who_may_not_call_gets_nothing),
		TEST(undefined_calls_end_where_the_page_raises_it),
		TEST(pages_refuse_user_mode),
		TEST(kvm_is_called_as_its_host_likes),
		TEST(calls_may_be_indirect_where_branches_are_tracked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
