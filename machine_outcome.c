/* SPDX-License-Identifier: BSD-2-Clause */
/* What a guest's run came to: the reason, the exit status and the line for the user. */
#include "machine_internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/trace.h"
#include "vmm/kvm.h"

void machine_tell(struct outcome *o, enum outcome_reason reason, int status, const char *fmt, ...)
{
	va_list ap;

	o->reason = reason;
	o->status = status;
	va_start(ap, fmt);
	vsnprintf(o->text, sizeof(o->text), fmt, ap);
	va_end(ap);
}

/* A command's run ends well only through the guest's init, which reports before it powers off. */
static void tell_command(struct machine *m, bool rebooted)
{
	const char *message = exit_port_message(m->exit_port);
	int status = exit_port_status(m->exit_port);

	if (status >= 0)
		machine_tell(m->outcome, OUTCOME_COMMAND, status, "%s", "");
	else if (message[0])
		machine_tell(m->outcome, OUTCOME_HOST, 1, "guest: %s", message);
	else if (!exit_port_started(m->exit_port) && rebooted)
		machine_tell(
			m->outcome, OUTCOME_PANIC, 4,
			"the guest's kernel gave up before its init ran; --console file:LOG shows "
			"why");
	else if (rebooted)
		machine_tell(m->outcome, OUTCOME_REBOOT, 3,
			     "the guest rebooted before the command ended");
	else
		machine_tell(m->outcome, OUTCOME_HOST, 1,
			     "the guest powered off before the command ended");
}

/* Where a stopped VP is; 0 where KVM cannot tell. */
static u64 vp_rip(struct machine *m, u32 index)
{
	struct kvm_regs regs;

	return kvm_get_regs(m->vm.vcpu[index].fd, &regs) ? 0 : regs.rip;
}

static void tell_panic(struct machine *m)
{
	const struct hyperv_crash *c = hyperv_crash_report(m->hv);
	char line[512];

	if (!c->valid) {
		machine_tell(m->outcome, OUTCOME_PANIC, 4, "the guest crashed");
		return;
	}
	snprintf(m->outcome->crash, sizeof(m->outcome->crash), "%s", c->message);
	machine_crash_line(c, vp_rip(m, c->vp_index), line, sizeof(line));
	machine_tell(m->outcome, OUTCOME_PANIC, 4, "%s", line);
}

static void tell_end(struct machine *m)
{
	u64 v = m->end_value;

	switch (m->end) {
	case VM_END_POWEROFF:
	case VM_END_REBOOT:
		if (m->config->command)
			tell_command(m, m->end == VM_END_REBOOT);
		else if (m->end == VM_END_REBOOT)
			machine_tell(m->outcome, OUTCOME_REBOOT, 3, "the guest asked for a reboot");
		else
			machine_tell(m->outcome, OUTCOME_POWEROFF, 0, "%s", "");
		break;
	case VM_END_TRIPLE_FAULT:
		machine_tell(m->outcome, OUTCOME_PANIC, 4, "the guest crashed: triple fault");
		break;
	case VM_END_PANIC:
		tell_panic(m);
		break;
	case VM_END_DEBUG_EXIT:
		machine_tell(m->outcome, OUTCOME_DEBUG_EXIT, (int)(v & 255), "%s", "");
		break;
	case VM_END_INTERNAL:
		machine_tell(m->outcome, OUTCOME_PANIC, 4,
			     "KVM could not go on with the guest (exit reason %u, detail %u)",
			     (unsigned)(v & UINT32_MAX), (unsigned)(v >> 32));
		break;
	}
}

/* For whoever wonders what a guest was doing when its time ran out. */
static void log_vcpus(struct machine *m)
{
	char text[256];

	for (unsigned i = 0; log_enabled(LOG_INFO) && i < m->vm.cpu_count; i++) {
		vcpu_describe(&m->vm.vcpu[i], text, sizeof(text));
		log_info("vCPU %u stood at %s", i, text);
	}
}

static void tell_channel(struct outcome *o, const struct vmbus_channel_status *st)
{
	struct outcome_channel *ch = &o->channel[o->channel_count++];

	*ch = (struct outcome_channel){ .relid = st->relid,
					.sub_index = st->sub_index,
					.packets_in = st->packets_in,
					.bytes_in = st->bytes_in,
					.packets_out = st->packets_out,
					.bytes_out = st->bytes_out,
					.signals = st->signals,
					.interrupts = st->interrupts,
					.throttled = st->throttled };
	snprintf(ch->device, sizeof(ch->device), "%s", st->device);
	log_info("channel %u (%s.%u): %llu packets (%llu bytes) in, %llu (%llu) out, %llu signals, "
		 "%llu interrupts, throttled %llu times",
		 ch->relid, ch->device, ch->sub_index, (unsigned long long)ch->packets_in,
		 (unsigned long long)ch->bytes_in, (unsigned long long)ch->packets_out,
		 (unsigned long long)ch->bytes_out, (unsigned long long)ch->signals,
		 (unsigned long long)ch->interrupts, (unsigned long long)ch->throttled);
}

/* The channels that are, or have been, of use to the guest. */
static void tell_channels(struct machine *m)
{
	unsigned count = vmbus_channels(m->bus, NULL, 0);
	struct vmbus_channel_status *list = calloc(count + 1, sizeof(*list));

	if (list)
		count = vmbus_channels(m->bus, list, count);
	for (unsigned i = 0; list && i < count; i++)
		if ((list[i].open || list[i].signals || list[i].packets_out) &&
		    m->outcome->channel_count < OUTCOME_CHANNELS_MAX)
			tell_channel(m->outcome, &list[i]);
	free(list);
}

/* Below how many microseconds half of the requests took. */
static u64 half_within_us(const struct disk_counts *c)
{
	u64 sum = 0;
	unsigned i = 0;

	while (i < DISK_LATENCIES - 1 && 2 * (sum += c->latency[i]) < c->ops)
		i++;
	return 1ull << i;
}

static void tell_disk(struct outcome_disk *o, const struct disk *disk)
{
	snprintf(o->name, sizeof(o->name), "%s", disk->name ? disk->name : "");
	disk_counters(disk, &o->counters);
	for (unsigned k = 0; k < DISK_OP_KINDS; k++) {
		const struct disk_counts *c = &o->counters.kind[k];

		if (c->ops)
			log_info("disk %s: %s: %llu (%llu bytes, %llu errors), half of them within "
				 "%llu us",
				 o->name, disk_op_name((enum disk_op_kind)k),
				 (unsigned long long)c->ops, (unsigned long long)c->bytes,
				 (unsigned long long)c->errors,
				 (unsigned long long)half_within_us(c));
	}
	if (o->counters.throttled)
		log_info("disk %s: %llu requests waited for its limit", o->name,
			 (unsigned long long)o->counters.throttled);
}

static void tell_disks(struct machine *m)
{
	for (unsigned i = 0; i < m->files->disk_count; i++)
		tell_disk(&m->outcome->disk[i], m->files->disk[i]);
	m->outcome->disk_count = m->files->disk_count;
}

void machine_tell_outcome(struct machine *m)
{
	struct vmbus_status bus = { 0 };

	if (m->bus) {
		vmbus_status(m->bus, &bus);
		tell_channels(m);
	}
	tell_disks(m);
	m->outcome->vmbus_contacted = bus.contacted;
	m->outcome->vmbus_version = bus.version;
	if (trace_lost())
		log_warn("--trace: the last %llu lines were lost: nobody took them in time",
			 (unsigned long long)trace_lost());
	if (m->io_failed)
		machine_tell(m->outcome, OUTCOME_HOST, 1, "%s", m->io_error);
	else if (m->guest_ended)
		tell_end(m);
	else if (m->keys.quit)
		machine_tell(m->outcome, OUTCOME_SIGNAL, 128 + SIGINT, "%s", "");
	else
		log_vcpus(m); /* stopped by the supervisor: it knows why */
}
