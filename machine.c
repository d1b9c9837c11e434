/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One machine, built and run in a process of its own. machine_run() is the table of contents:
 * built from the bottom layer up, sandboxed, run, taken apart in reverse.
 *
 * The main thread runs the control loop (signals, console, VMBus messages); I/O threads run the
 * channels; each vCPU has a thread; libslirp has one. No vCPU runs guest code before every thread
 * is sandboxed (struct gate).
 */
#include "machine_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/trace.h"

/* Says why in m->error and passes err on. */
int machine_fail(struct machine *m, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(m->error, sizeof(m->error), fmt, ap);
	va_end(ap);
	return err;
}

/* ---- Threads and the sandbox ---------------------------------------------------------------- */

/* On each vCPU thread: arm, tell, wait for the others. */
static int vcpu_begin(void *ctx, struct vcpu *vcpu)
{
	struct machine *m = ctx;
	struct gate *g = &m->gate;
	int err = sandbox_thread(m->config->sandbox, SANDBOX_VCPU);

	trace_thread("vp", (int)vcpu->index);
	pthread_mutex_lock(&g->lock);
	g->waiting++;
	if (err)
		g->err = err;
	pthread_cond_broadcast(&g->changed);
	while (!g->open)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return err;
}

/* Of one I/O thread after the other. */
static int io_begin(void *ctx)
{
	struct machine *m = ctx;

	trace_thread("io", (int)m->io_begun++);
	return sandbox_thread(m->config->sandbox, SANDBOX_IO);
}

/* On each worker of the I/O threads' rings, several at once. */
static int worker_begin(void *ctx)
{
	struct machine *m = ctx;

	return sandbox_thread(m->config->sandbox, SANDBOX_WORKER);
}

static int slirp_begin(void *ctx)
{
	struct machine *m = ctx;

	return sandbox_thread(m->config->sandbox, SANDBOX_SLIRP);
}

static int nbd_begin(void *ctx)
{
	struct machine *m = ctx;

	return sandbox_thread(m->config->sandbox, SANDBOX_NBD);
}

static int gate_wait_all(struct gate *g, unsigned threads)
{
	int err;

	pthread_mutex_lock(&g->lock);
	while (g->waiting < threads && !g->err)
		pthread_cond_wait(&g->changed, &g->lock);
	err = g->err;
	pthread_mutex_unlock(&g->lock);
	return err;
}

static void gate_open(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static bool wants_workers(const struct config *c)
{
	for (unsigned i = 0; i < c->disk_count; i++)
		if (c->disk[i].aio == DISK_AIO_THREADS)
			return true;
	return false;
}

static int start_io_threads(struct machine *m)
{
	struct io_thread_hooks hooks = { .begin = io_begin,
					 .worker_begin = worker_begin,
					 .workers = wants_workers(m->config),
					 .ctx = m };
	unsigned n = m->config->io_threads;

	m->io = calloc(n, sizeof(*m->io));
	m->io_loop = calloc(n, sizeof(struct loop *));
	if (!m->io || !m->io_loop)
		return machine_fail(m, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		int err = io_thread_start(&m->io[i], &hooks);

		if (err)
			return machine_fail(m, err, "cannot start an I/O thread: %s",
					    strerror(-err));
		m->io_loop[i] = &m->io[i].loop;
	}
	return 0;
}

struct uring *machine_uring(void *ctx, struct loop *loop)
{
	struct machine *m = ctx;

	for (unsigned i = 0; i < m->config->io_threads; i++)
		if (m->io_loop[i] == loop)
			return &m->io[i].uring;
	return NULL;
}

/* ---- Signals and the guest's end ------------------------------------------------------------ */

static void signal_ready(struct loop_fd *f, u32 events)
{
	struct machine *m = container_of(f, struct machine, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(f->fd, &info, sizeof(info)) != sizeof(info))
		return;
	m->stop_signal = (int)info.ssi_signo;
	loop_stop(&m->control);
}

/* The supervisor stops us by SIGTERM and keeps the rest to itself; SIGPIPE is an EPIPE. */
static int watch_signals(struct machine *m)
{
	sigset_t set;
	int err = loop_init(&m->control);

	if (err)
		return machine_fail(m, err, "cannot create the event loop: %s", strerror(-err));
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	m->signals = (struct loop_fd){ .ready = signal_ready };
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	err = m->signals.fd < 0 ? -errno : loop_add(&m->control, &m->signals, EPOLLIN);
	return err ? machine_fail(m, err, "cannot watch signals: %s", strerror(-err)) : 0;
}

/* vm_hooks.end: once, on the thread that found out. */
static void guest_end(void *ctx, enum vm_end why, u64 value)
{
	struct machine *m = ctx;

	m->end = why;
	m->end_value = value;
	m->guest_ended = true;
	loop_stop(&m->control); /* publishes the above */
}

/* On the I/O thread whose request it was; the first one counts. */
static void io_failed(void *ctx, struct disk *disk, const struct disk_op *op, int err)
{
	struct machine *m = ctx;

	if (atomic_exchange(&m->io_failed, true))
		return;
	snprintf(m->io_error, sizeof(m->io_error),
		 "disk %.256s: %s at byte %llu: %s; the guest was stopped before it heard of it",
		 disk->name, disk_op_name(op->kind), (unsigned long long)op->offset,
		 strerror(-err));
	loop_stop(&m->control); /* publishes the above */
}

/* ---- Building, bottom layer first ----------------------------------------------------------- */

/* -EINVAL stands for what the user must mend (status 2); what KVM calls invalid is the host's. */
static int host(int err)
{
	return err == -EINVAL ? -EIO : err;
}

/* A guest that does not see what the VMBus needs leaves its devices alone. */
static void warn_of_lost_devices(const struct machine *m)
{
	const char *lacks = hyperv_vmbus_lacks(m->hv);

	if (lacks && (m->config->disk_count || m->config->nic_count))
		log_warn(
			"--hyperv-features %s=off: the VMBus needs it; the guest will find neither "
			"disks nor network",
			lacks);
}

static int create_vm(struct machine *m)
{
	int err = host(
		vm_init(&m->vm, m->config->cpus, m->config->memory, m->error, sizeof(m->error)));

	if (err)
		return err;
	m->vm.hooks.ctx = m;
	m->vm.hooks.end = guest_end;
	m->vm.hooks.thread_start = vcpu_begin;
	err = hyperv_init(&m->hv, &m->vm, &m->config->hyperv, m->error, sizeof(m->error));
	if (!err)
		warn_of_lost_devices(m);
	return err;
}

static void debug_exit(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct machine *m = ctx;

	(void)len; /* 1, 2 or 4 bytes: the lowest is the status */
	if (!offset)
		vm_report_end(&m->vm, VM_END_DEBUG_EXIT, *(const u8 *)data);
}

static int add_range(struct machine *m, struct io_range range)
{
	return io_add(&m->vm.io, &range);
}

static int add_chipset(struct machine *m)
{
	int err = pm_add(&m->vm) ?: cmos_init(&m->cmos) ?: exit_port_init(&m->exit_port);

	if (!err)
		err = add_range(m, cmos_range(m->cmos))
			      ?: add_range(m, exit_port_range(m->exit_port));
	return err ? machine_fail(m, err, "cannot set up the chipset: %s", strerror(-err))
		   : machine_add_lines(m);
}

/* Puts a test device where an option says. */
static int add_test_port(struct machine *m, const char *option, struct io_range range)
{
	if (!add_range(m, range))
		return 0;
	return machine_fail(m, -EINVAL, "%s 0x%llx: a device of the machine has that port", option,
			    (unsigned long long)range.base);
}

static int add_debug_exit(struct machine *m)
{
	int port = m->config->debug_exit_port;

	if (port < 0)
		return 0;
	return add_test_port(m, "--debug-exit",
			     (struct io_range){ .space = IO_PORT,
						.base = (u64)port,
						.len = 4,
						.write = debug_exit,
						.ctx = m });
}

static int add_synic_test_port(struct machine *m)
{
	int port = m->config->synic_test_port, err;

	if (port < 0)
		return 0;
	err = synic_test_port_init(&m->synic_test_port, m->hv);
	if (err)
		return machine_fail(m, err, "out of memory");
	return add_test_port(m, "--synic-test-port",
			     synic_test_port_range(m->synic_test_port, (u64)port));
}

/* Last of the port devices: what they collide with is the user's choice, not theirs. */
static int add_test_ports(struct machine *m)
{
	return add_debug_exit(m) ?: add_synic_test_port(m);
}

/* Opens what needs privileges; the thread of a user NIC waits for nic_launch(). */
static int add_nics(struct machine *m)
{
	for (unsigned i = 0; i < m->config->nic_count; i++) {
		int err = nic_open(&m->nic[i], &m->config->nic[i], m->error, sizeof(m->error));

		if (err)
			return err == -EBADF ? -EINVAL : err; /* fd=N is the user's */
		err = netvsp_init(&m->netvsp[i], i, m->nic[i]);
		if (err)
			return machine_fail(m, err, "--net: %s", strerror(-err));
		m->netvsp_count = i + 1;
	}
	return 0;
}

static int sandbox_all(struct machine *m)
{
	return sandbox_process(m->config->sandbox, m->error, sizeof(m->error));
}

static int launch_nics(struct machine *m)
{
	for (unsigned i = 0; i < m->netvsp_count; i++) {
		int err = nic_launch(m->nic[i], slirp_begin, m);

		if (err)
			return machine_fail(m, err, "--net: cannot start its thread: %s",
					    strerror(-err));
	}
	return 0;
}

static int add_extra(struct machine *m)
{
	const struct machine_extra *extra = m->config->extra;
	struct machine_bus on = {
		.bus = m->bus, .control = &m->control, .uring = machine_uring, .uring_ctx = m
	};

	return extra ? extra->add(extra->ctx, &on) : 0;
}

static int launch_disks(struct machine *m)
{
	for (unsigned i = 0; i < m->files->disk_count; i++) {
		int err = disk_launch(m->files->disk[i], nbd_begin, m);

		if (err)
			return machine_fail(m, err, "--disk: cannot start its thread: %s",
					    strerror(-err));
		if (m->config->io_error_stops)
			disk_on_error(m->files->disk[i], io_failed, m);
	}
	return 0;
}

static int create_bus(struct machine *m)
{
	struct vmbus_config bus = { .mem = &m->vm.mem,
				    .port = &m->port.port,
				    .control = &m->control,
				    .io = m->io_loop,
				    .io_count = m->config->io_threads,
				    .chaos = m->files->chaos };
	int err;

	port_synic_init(&m->port, m->hv, m->config->cpus);
	err = vmbus_init(&m->bus, &bus);
	if (!err)
		err = port_synic_connect(&m->port, m->bus);
	if (!err)
		err = machine_add_storage(m);
	for (unsigned i = 0; !err && i < m->netvsp_count; i++)
		err = vmbus_offer(m->bus, netvsp_device(m->netvsp[i]));
	if (!err)
		err = add_extra(m);
	return err ? machine_fail(m, err, "cannot set up the VMBus: %s", strerror(-err)) : 0;
}

static int create_vcpus(struct machine *m)
{
	struct cpuid *base = malloc(sizeof(*base)), *own = malloc(sizeof(*own));
	int err = base && own ? cpuid_supported(m->vm.kvm_fd, base) : -ENOMEM;

	for (unsigned i = 0; !err && i < m->config->cpus; i++) {
		*own = *base;
		cpuid_for_vp(own, i, m->config->cpus, m->config->hyperv.nested);
		err = hyperv_cpuid(m->hv, own);
		if (!err)
			err = vcpu_init(&m->vm.vcpu[i], &m->vm, i, &own->head);
		if (!err)
			err = hyperv_vp_init(m->hv, &m->vm.vcpu[i]);
		if (!err && m->synic_test_port)
			err = synic_test_port_add_vp(m->synic_test_port, i);
	}
	free(base);
	free(own);
	return err ? machine_fail(m, err, "KVM cannot create the vCPUs: %s", strerror(-err)) : 0;
}

/* The last step: from here on every thread is sandboxed, and then the guest runs. */
static int start(struct machine *m)
{
	int err = vm_start(&m->vm);

	if (!err)
		err = gate_wait_all(&m->gate, m->config->cpus);
	if (!err)
		err = sandbox_thread(m->config->sandbox, SANDBOX_MAIN);
	if (err)
		return machine_fail(m, err, "cannot start the vCPUs: %s", strerror(-err));
	gate_open(&m->gate);
	return 0;
}

/* Ends every thread but this one. */
static void stop(struct machine *m)
{
	console_close(&m->com1.console);
	console_close(&m->com2.console);
	atomic_store(&m->vm.ended, true);
	gate_open(&m->gate);
	vm_stop(&m->vm);
	/* Their last requests are waited for, but not for a server that is silent. */
	for (unsigned i = 0; i < m->files->disk_count; i++)
		disk_hurry(m->files->disk[i]);
	for (unsigned i = 0; m->io && i < m->config->io_threads; i++)
		io_thread_stop(&m->io[i]);
}

static void take_apart(struct machine *m)
{
	vmbus_fini(m->bus);
	if (m->config->extra)
		m->config->extra->remove(m->config->extra->ctx);
	for (unsigned i = 0; i < m->netvsp_count; i++)
		netvsp_fini(m->netvsp[i]);
	machine_remove_storage(m);
	for (unsigned i = 0; m->io && i < m->config->io_threads; i++)
		io_thread_fini(&m->io[i]);
	hyperv_fini(m->hv);
	machine_remove_lines(m);
	cmos_fini(m->cmos);
	synic_test_port_fini(m->synic_test_port);
	exit_port_fini(m->exit_port);
	free(m->command);
	vm_fini(&m->vm);
	free(m->io);
	free(m->io_loop);
	loop_fini(&m->control);
}

void machine_run(const struct config *config, const struct machine_files *files,
		 struct outcome *outcome)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m) {
		machine_tell(outcome, OUTCOME_HOST, 1, "out of memory");
		return;
	}
	m->config = config;
	m->files = files;
	m->outcome = outcome;
	prctl(PR_SET_NAME, config->name);
	trace_thread("main", -1);
	pthread_mutex_init(&m->gate.lock, NULL);
	pthread_cond_init(&m->gate.changed, NULL);

	err = host(watch_signals(m)) ?:
	      create_vm(m) ?:
	      host(add_chipset(m)) ?:
	      add_test_ports(m) ?:
	      add_nics(m) ?:
	      host(sandbox_all(m)) ?:
	      host(launch_nics(m)) ?:
	      host(launch_disks(m)) ?:
	      host(start_io_threads(m)) ?:
	      host(create_bus(m)) ?:
	      host(create_vcpus(m)) ?:
	      machine_load_guest(m) ?:
	      host(start(m));
	if (!err) {
		outcome->linux_guest = m->boot.linux_guest;
		snprintf(outcome->hyperv, sizeof(outcome->hyperv), "%s",
			 hyperv_backend_name(m->hv));
		err = loop_run(&m->control);
		if (err)
			machine_fail(m, err, "the event loop failed: %s", strerror(-err));
	}
	stop(m);
	if (err)
		machine_tell(outcome, err == -EINVAL ? OUTCOME_USAGE : OUTCOME_HOST,
			     err == -EINVAL ? 2 : 1, "%s", m->error);
	else
		machine_tell_outcome(m);
	take_apart(m);
	free(m);
}
