/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A partition on plain memory under a guest that makes every hypercall by every convention, writes
 * every synthetic MSR, lays overlay pages over each other and over its own input, while time passes
 * and the host has messages and events for it.
 */
#include <sys/eventfd.h>

#include "tests/fuzz/fuzz.h"
#include "tests/hyperv/hypercall_bed.h"

#define MESSAGE_PORT 5
#define EVENT_PORT 7

static struct {
	struct fake *f;
	u16 port_status;
	unsigned received;
} guest;

static u16 receive(void *ctx, u32 connection_id, u32 type, const void *payload, u32 size)
{
	static u8 copy[HV_MESSAGE_PAYLOAD_MAX];

	(void)ctx, (void)type;
	FUZZ_CHECK(connection_id == MESSAGE_PORT && size <= sizeof(copy));
	memcpy(copy, payload, size);
	guest.received++;
	return guest.port_status;
}

static struct hyperv_vp *any_vp(struct fuzz_input *in)
{
	return &guest.f->hv.vp[fuzz_below(in, FAKE_VPS)];
}

/* An address: of few pages, so that things meet; or any. */
static gpa_t any_gpa(struct fuzz_input *in)
{
	u8 kind = fuzz_u8(in);

	if (kind < 200)
		return (kind % 8 + 1) * HV_PAGE_SIZE +
		       (kind >= 100 ? fuzz_u16(in) % HV_PAGE_SIZE : 0);
	return kind < 230 ? FAKE_RAM - fuzz_u16(in) % (2 * HV_PAGE_SIZE) : fuzz_value(in);
}

static void op_write(struct fuzz_input *in)
{
	gpa_t gpa = any_gpa(in);
	u32 len = fuzz_below(in, 64);
	u8 bytes[64];

	fuzz_bytes(in, bytes, len);
	gmem_write(&guest.f->mem, gpa, bytes, len);
}

/* Input as calls have it: 8-byte words, mostly small. */
static u32 words_make(struct fuzz_input *in, u64 *word, u32 max)
{
	u32 count = fuzz_below(in, max + 1);

	for (u32 i = 0; i < count; i++)
		word[i] = fuzz_value(in) | (fuzz_rarely(in, 4) ? fuzz_value(in) << 32 : 0);
	return count;
}

static u64 control_make(struct fuzz_input *in)
{
	static const u16 codes[] = {
		HV_CALL_FLUSH_SPACE,
		HV_CALL_FLUSH_LIST,
		HV_CALL_SEND_IPI,
		HV_CALL_FLUSH_SPACE_EX,
		HV_CALL_FLUSH_LIST_EX,
		HV_CALL_SEND_IPI_EX,
		HV_CALL_GET_VP_REGISTERS,
		HV_CALL_SET_VP_REGISTERS,
		HV_CALL_POST_MESSAGE,
		HV_CALL_SIGNAL_EVENT,
		HV_CALL_NOTIFY_LONG_SPIN_WAIT,
		HV_CALL_RETARGET_DEVICE_INTERRUPT,
		HV_CALL_EXT_QUERY_CAPABILITIES,
	};
	u8 code = fuzz_u8(in), how = fuzz_u8(in);
	u64 control = code < 240 ? codes[code % ARRAY_SIZE(codes)] : fuzz_u16(in);

	control |= how & 1 ? HV_CONTROL_FAST : 0;
	if (how & 2)
		control |= BED_VAR(fuzz_rarely(in, 4) ? fuzz_u16(in) & 0x3ff : fuzz_below(in, 8));
	if (how & 4)
		control |=
			BED_REPS(fuzz_rarely(in, 4) ? fuzz_u16(in) & 0xfff : fuzz_below(in, 8), 0);
	if (how & 8)
		control |=
			BED_REPS(0, fuzz_rarely(in, 4) ? fuzz_u16(in) & 0xfff : fuzz_below(in, 8));
	return how >= 250 ? control ^ 1ull << fuzz_below(in, 64) : control;
}

/* The names of registers, those that exist; and a header that names the caller's own. */
static void registers_make(struct fuzz_input *in, u64 *word, u32 max)
{
	static const u32 names[] = {
		HV_REGISTER_VERSION,
		HV_REGISTER_PRIVILEGES,
		HV_REGISTER_CRASH_P0,
		HV_REGISTER_VP_RUNTIME,
		HV_REGISTER_GUEST_OS_ID,
		HV_REGISTER_VP_INDEX,
		HV_REGISTER_HYPERCALL,
		HV_REGISTER_TIME_REF_COUNT,
		HV_REGISTER_VP_ASSIST_PAGE,
		HV_REGISTER_SINT0,
		HV_REGISTER_SCONTROL,
		HV_REGISTER_SIEFP,
		HV_REGISTER_STIMER0_CONFIG,
		HV_REGISTER_REFERENCE_TSC,
		HV_REGISTER_RIP,
		HV_REGISTER_RFLAGS,
		HV_REGISTER_RAX,
	};

	word[0] = ~0ull;
	word[1] = fuzz_rarely(in, 8) ? fuzz_value(in) : 0xfffffffeull;
	for (u32 i = 2; i < max; i++)
		if (fuzz_u8(in) & 3)
			word[i] = names[fuzz_below(in, ARRAY_SIZE(names))] + fuzz_below(in, 8) % 8;
}

static void op_hypercall(struct fuzz_input *in)
{
	struct hyperv_vp *vp = any_vp(in);
	u64 word[16] = { 0 }, control = control_make(in), result;
	gpa_t input = any_gpa(in), output = any_gpa(in);
	u32 count = words_make(in, word, ARRAY_SIZE(word));

	if ((control & HV_CONTROL_CODE) == HV_CALL_GET_VP_REGISTERS ||
	    (control & HV_CONTROL_CODE) == HV_CALL_SET_VP_REGISTERS) {
		count = ARRAY_SIZE(word);
		registers_make(in, word, count);
	}
	bed.writes = 0;
	if (control & HV_CONTROL_FAST) {
		memset(&bed.fpu, 0, sizeof(bed.fpu));
		memcpy(bed.fpu.xmm, &word[2], sizeof(word) - 16);
		input = word[0];
		output = word[1];
	} else if (count) {
		gmem_write(&guest.f->mem, input, word, count * sizeof(u64));
	}
	result = hypercall_run(vp, control, input, output);
	if (result == HYPERCALL_UNDEFINED)
		return;
	/* No more repetitions than were asked for; nothing in the reserved bits. */
	FUZZ_CHECK(!(result & 0xfffff000ffff0000ull));
	FUZZ_CHECK(result >> HV_RESULT_REPS_SHIFT <= (control & HV_CONTROL_REP_COUNT) >>
		   HV_CONTROL_REP_COUNT_SHIFT);
}

static u32 any_msr(struct fuzz_input *in)
{
	static const u32 ranges[] = {
		HV_MSR_GUEST_OS_ID,
		HV_MSR_VP_RUNTIME,
		HV_MSR_TIME_REF_COUNT,
		HV_MSR_EOI,
		HV_MSR_SCONTROL,
		HV_MSR_SINT0,
		HV_MSR_STIMER0_CONFIG,
		HV_MSR_CRASH_P0,
		HV_MSR_TSC_INVARIANT_CONTROL,
		HV_MSR_SYNDBG_CONTROL - 1,
	};
	u32 msr = ranges[fuzz_below(in, ARRAY_SIZE(ranges))] + fuzz_below(in, 16);

	return fuzz_rarely(in, 16) ? HV_MSR_FIRST + fuzz_u16(in) : msr;
}

static void op_msr_write(struct fuzz_input *in)
{
	struct hyperv_vp *vp = any_vp(in);
	u32 msr = any_msr(in);
	u64 value, back;
	u8 kind = fuzz_u8(in);

	if (kind < 96)
		value = (any_gpa(in) & HV_MSR_PAGE_GPA) | (kind & 3);
	else if (kind < 160) /* a timer, a SINT */
		value = fuzz_u8(in) | (u64)fuzz_u8(in) << 12 | (u64)(kind & 15) << 16;
	else
		value = fuzz_value(in);
	bed.writes = 0;
	msr_write(vp, msr, value);
	msr_read(vp, msr, &back);
}

static void op_host(struct fuzz_input *in)
{
	struct hyperv *hv = &guest.f->hv;
	u32 vp = fuzz_below(in, FAKE_VPS), sint = fuzz_below(in, HV_SINTS);
	u8 payload[HV_MESSAGE_PAYLOAD_MAX] = { 1 };

	switch (fuzz_below(in, 6)) {
	case 0:
		synic_prepare(hv, vp, sint);
		break;
	case 1:
		synic_post_message(hv, vp, sint, 1, payload, fuzz_below(in, sizeof(payload) + 1));
		break;
	case 2:
		synic_set_event(hv, vp, sint, fuzz_below(in, 256) * 8);
		break;
	case 3:
		guest.port_status = fuzz_below(in, 2) ? HV_STATUS_INSUFFICIENT_BUFFERS : 0;
		break;
	case 4:
		bed.fail = fuzz_below(in, 2) ? -1 : 0;
		break;
	case 5:
		guest.f->kvm[vp].incomplete = fuzz_u8(in) & 1;
		break;
	}
}

static void op_time(struct fuzz_input *in)
{
	guest.f->tsc += fuzz_below(in, 2) ? fuzz_value(in) % (1ull << 40) : fuzz_u16(in) * 1000ull;
	attention_run(any_vp(in));
}

static void op_mode(struct fuzz_input *in)
{
	u8 mode = fuzz_u8(in);

	bed.sregs.cr0 = mode & 1 ? 0 : 1;
	bed.sregs.cs.l = !(mode & 2);
	bed.sregs.efer = mode & 2 ? 0 : 0x500;
	bed.sregs.cs.dpl = mode & 4 ? 3 : 0;
	bed.sregs.ss.dpl = bed.sregs.cs.dpl;
	if (mode & 8)
		guest.f->hv.offered.privileges = fuzz_u32(in);
	if (mode & 16)
		guest.f->hv.offered.features = fuzz_u32(in);
}

static void op_page(struct fuzz_input *in)
{
	u16 port = fuzz_below(in, 2) ? HYPERCALL_PORT_SIGNAL : HYPERCALL_PORT_CALL;

	hypercall_page_out(any_vp(in), port, (u32)fuzz_value(in));
}

static void step(struct fuzz_input *in)
{
	switch (fuzz_below(in, 12)) {
	case 0:
		op_write(in);
		break;
	case 1:
	case 2:
	case 3:
		op_hypercall(in);
		break;
	case 4:
	case 5:
	case 6:
		op_msr_write(in);
		break;
	case 7:
		op_host(in);
		break;
	case 8:
	case 9:
		op_time(in);
		break;
	case 10:
		op_mode(in);
		break;
	case 11:
		op_page(in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int event_fd = -1;
	struct fuzz_input in = { data, size };
	void *state = NULL;

	if (event_fd < 0)
		event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	bed_setup(&state);
	guest.f = state;
	guest.port_status = 0;
	FUZZ_CHECK(!ports_add_message(&guest.f->hv, MESSAGE_PORT, receive, NULL));
	FUZZ_CHECK(!ports_bind_event(&guest.f->hv, EVENT_PORT, event_fd));
	while (in.left)
		step(&in);
	ports_unbind_event(&guest.f->hv, EVENT_PORT, event_fd);
	fake_fini(guest.f);
	return 0;
}
