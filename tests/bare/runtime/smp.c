/* SPDX-License-Identifier: BSD-2-Clause */
/* The other VPs: starting them, giving them work; and calls from CPL 3. */
#include "tests/bare/runtime/vp.h"

#define ICR_INIT 0x4500
#define ICR_SIPI 0x4600

_Static_assert(BARE_REAL_PAGE == REAL_PAGE, "asm.h");

struct __attribute__((packed)) gdt_pointer {
	uint16_t limit;
	uint32_t base;
};

extern const uint8_t bare_trampoline[], bare_trampoline_end[];
extern const uint8_t bare_trampoline_probe[], bare_trampoline_gdt[];
extern const struct gdt_pointer boot_gdt_pointer;

uint8_t bare_stacks[BARE_VPS][STACK_SIZE] __attribute__((aligned(STACK_SIZE)));
static volatile bool alive[BARE_VPS];

unsigned bare_vp_index(void)
{
	return bare_vp()->index;
}

static void *in_trampoline(const uint8_t *label)
{
	return (uint8_t *)TRAMPOLINE + (label - bare_trampoline);
}

static void start(unsigned vp, uint16_t probe)
{
	uint8_t *to = (uint8_t *)TRAMPOLINE;

	for (const uint8_t *from = bare_trampoline; from < bare_trampoline_end; from++)
		*to++ = *from;
	*(struct gdt_pointer *)in_trampoline(bare_trampoline_gdt) = boot_gdt_pointer;
	*(volatile uint16_t *)in_trampoline(bare_trampoline_probe) = probe;
	alive[vp] = false;
	bare_icr(vp, ICR_INIT);
	bare_icr(vp, ICR_SIPI | TRAMPOLINE / 4096);
	while (!alive[vp])
		bare_pause();
}

void bare_start_vps(unsigned vps)
{
	for (unsigned vp = 1; vp < vps; vp++)
		start(vp, 0);
}

unsigned bare_real_mode_call(unsigned vp)
{
	start(vp, 1);
	return *(volatile uint16_t *)in_trampoline(bare_trampoline_probe);
}

void bare_vp_main(void)
{
	struct bare_vp *vp = bare_vp();

	vp->index = bare_cpuid(1).ebx >> 24;
	vp->x2apic = false;
	vp->done = vp->asked;
	bare_trap_init();
	bare_apic_init();
	alive[vp->index] = true;
	for (;;) {
		bare_irq_off();
		if (vp->done == vp->asked) {
			__asm__ volatile("sti; hlt" : : : "memory");
			continue;
		}
		bare_irq_on();
		vp->fn(vp->arg);
		vp->done++;
	}
}

void bare_on(unsigned index, void (*fn)(uint64_t arg), uint64_t arg)
{
	struct bare_vp *vp = bare_vp_at(index);

	vp->fn = fn;
	vp->arg = arg;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	vp->asked++;
	bare_ipi(index, BARE_WAKE);
}

void bare_join(unsigned index)
{
	const struct bare_vp *vp = bare_vp_at(index);

	while (vp->done != vp->asked)
		bare_pause();
}

void bare_call_on(unsigned vp, void (*fn)(uint64_t arg), uint64_t arg)
{
	bare_on(vp, fn, arg);
	bare_join(vp);
}

/* ---- CPL 3 ----------------------------------------------------------------------------------- */

#define USER_SLOT 510 /* of the window: code, then stack */

struct user_call {
	uint64_t page, control, input;
};

static uint8_t user_page[2][HV_PAGE_SIZE] __attribute__((aligned(HV_PAGE_SIZE)));

static void to_user(void *arg)
{
	const struct user_call *c = arg;
	register uint64_t r8 __asm__("r8") = 0;

	__asm__ volatile("push %[ss]; push %[rsp]; push $2; push %[cs]; push %[rip]; iretq"
			 :
			 : [ss] "i"(SELECTOR_USER_DATA), [cs] "i"(SELECTOR_USER_CODE),
			   [rsp] "r"((uint64_t)bare_window(USER_SLOT + 1) + HV_PAGE_SIZE),
			   [rip] "r"(bare_window(USER_SLOT)), "a"(c->page), "c"(c->control),
			   "d"(c->input), "r"(r8)
			 : "memory");
}

unsigned bare_user_call(uint64_t page, uint64_t control, uint64_t input)
{
	struct user_call c = { page, control, input };
	static const uint8_t code[] = { 0xff, 0xd0, 0xf4 }; /* call *%rax; hlt, which is #GP */

	for (unsigned i = 0; i < sizeof(code); i++)
		user_page[0][i] = code[i];
	bare_map(USER_SLOT, user_page[0], BARE_PAGE_USER);
	bare_map(USER_SLOT + 1, user_page[1], BARE_PAGE_USER);
	bare_invlpg(bare_window(USER_SLOT));
	bare_invlpg(bare_window(USER_SLOT + 1));
	return bare_try(to_user, &c);
}
