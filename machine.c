/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One machine, built and run in a process of its own. machine_run() is the table of contents:
 * built from the bottom layer up, sandboxed, run, taken apart in reverse.
 *
 * The main thread runs the control loop (signals, console, VMBus messages); I/O threads run the
 * channels; each vCPU has a thread; libslirp has one. No vCPU runs guest code before every thread
 * is sandboxed (struct gate).
 */
#include "machine.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/io_thread.h"
#include "base/log.h"
#include "cli/doctor.h"
#include "cli/guest_command.h"
#include "cli/terminal.h"
#include "devices/backend/console.h"
#include "devices/devices.h"
#include "hyperv/hyperv.h"
#include "vmbus/port_synic.h"
#include "vmbus/vmbus.h"
#include "vmm/acpi.h"
#include "vmm/boot.h"
#include "vmm/kvm.h"
#include "vmm/reset_vector.h"
#include "vmm/vcpu.h"

#define CONSOLE_DRAIN_MS 1000

/* Holds the vCPU threads until the whole process is sandboxed. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned waiting;
	bool open;
	int err;
};

/* A serial port and what is behind it on the host. */
struct line {
	struct serial *serial;
	struct console console;
	int irq_fd;
};

struct machine {
	const struct config *config;
	const struct machine_files *files;
	struct outcome *outcome;
	char error[1024];

	struct loop control;
	struct vm vm;
	struct hyperv *hv;
	struct port_synic port;
	struct vmbus *bus;
	struct io_thread *io;
	struct loop **io_loop;

	struct storvsp *storvsp;
	struct nic *nic[CONFIG_NICS_MAX]; /* their netvsp owns them */
	struct netvsp *netvsp[CONFIG_NICS_MAX];
	unsigned netvsp_count;
	struct line com1, com2;
	struct exit_port *exit_port;
	struct cmos *cmos;

	void *command; /* the initrd's segment for `-- COMMAND` */
	struct boot_state boot;
	struct terminal_keys keys;
	struct loop_fd signals;
	struct gate gate;

	enum vm_end end;
	u64 end_value;
	bool guest_ended;
	int stop_signal; /* the user's or the supervisor's wish */
};

/* Says why in m->error and passes err on. */
static int __attribute__((format(printf, 3, 4)))
fail(struct machine *m, int err, const char *fmt, ...)
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

	(void)vcpu;
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

static int io_begin(void *ctx)
{
	struct machine *m = ctx;

	return sandbox_thread(m->config->sandbox, SANDBOX_IO);
}

static int slirp_begin(void *ctx)
{
	struct machine *m = ctx;

	return sandbox_thread(m->config->sandbox, SANDBOX_SLIRP);
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

static int start_io_threads(struct machine *m)
{
	unsigned n = m->config->io_threads;

	m->io = calloc(n, sizeof(*m->io));
	m->io_loop = calloc(n, sizeof(struct loop *));
	if (!m->io || !m->io_loop)
		return fail(m, -ENOMEM, "out of memory");
	for (unsigned i = 0; i < n; i++) {
		int err = io_thread_start(&m->io[i], io_begin, m);

		if (err)
			return fail(m, err, "cannot start an I/O thread: %s", strerror(-err));
		m->io_loop[i] = &m->io[i].loop;
	}
	return 0;
}

static struct uring *uring_of(void *ctx, struct loop *loop)
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
		return fail(m, err, "cannot create the event loop: %s", strerror(-err));
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
	return err ? fail(m, err, "cannot watch signals: %s", strerror(-err)) : 0;
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

/* ---- Consoles ------------------------------------------------------------------------------- */

static u32 line_input(void *ctx, const void *data, u32 len)
{
	struct line *l = ctx;

	return serial_input(l->serial, data, len);
}

static void line_output(void *ctx, const void *data, u32 len)
{
	struct line *l = ctx;

	console_write(&l->console, data, len);
}

static void line_room(void *ctx)
{
	struct line *l = ctx;

	console_room(&l->console);
}

/* Ctrl-A keys, only where a person types. */
static u32 console_keys(void *ctx, u8 *data, u32 len)
{
	struct machine *m = container_of(ctx, struct machine, com1);

	len = terminal_keys(&m->keys, data, len);
	if (m->keys.help)
		terminal_help();
	m->keys.help = false;
	if (m->keys.quit) {
		m->stop_signal = SIGINT;
		loop_stop(&m->control);
	}
	return len;
}

static int add_range(struct machine *m, struct io_range range)
{
	return io_add(&m->vm.io, &range);
}

static int add_line(struct machine *m, struct line *l, const struct console_config *console,
		    u64 port, u32 irq)
{
	int err;

	l->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	err = l->irq_fd < 0 ? -errno : irq_bind(&m->vm.irq, irq, l->irq_fd, -1);
	if (!err)
		err = serial_init(&l->serial, l->irq_fd, line_output, l);
	if (!err) {
		serial_on_room(l->serial, line_room, l);
		err = add_range(m, serial_range(l->serial, port));
	}
	if (!err)
		err = console_init(&l->console, &m->control, console);
	return err ? fail(m, err, "cannot set up a serial port: %s", strerror(-err)) : 0;
}

/* COM1 is the console; COM2 carries the output of `-- COMMAND`. */
static int add_lines(struct machine *m)
{
	bool typed = m->config->console == CONSOLE_STDIO && isatty(STDIN_FILENO);
	struct console_config com1 = { .in_fd = m->files->console_in,
				       .out_fd = m->files->console_out,
				       .listen_fd = m->files->console_listen,
				       .input = line_input,
				       .filter = typed ? console_keys : NULL,
				       .ctx = &m->com1 };
	struct console_config com2 = { .in_fd = -1,
				       .out_fd = m->config->command ? STDOUT_FILENO : -1,
				       .listen_fd = -1,
				       .input = line_input,
				       .ctx = &m->com2 };
	int err = add_line(m, &m->com1, &com1, LAYOUT_PORT_COM1, LAYOUT_IRQ_COM1);

	return err ? err : add_line(m, &m->com2, &com2, LAYOUT_PORT_COM2, LAYOUT_IRQ_COM2);
}

static void remove_line(struct line *l)
{
	console_fini(&l->console, CONSOLE_DRAIN_MS);
	serial_fini(l->serial);
	if (l->irq_fd > 0)
		close(l->irq_fd);
}

/* ---- Building, bottom layer first ----------------------------------------------------------- */

static int create_vm(struct machine *m)
{
	int err = vm_init(&m->vm, m->config->cpus, m->config->memory, m->error, sizeof(m->error));

	if (err)
		return err;
	m->vm.hooks.ctx = m;
	m->vm.hooks.end = guest_end;
	m->vm.hooks.thread_start = vcpu_begin;
	return hyperv_init(&m->hv, &m->vm, m->config->hyperv, m->error, sizeof(m->error));
}

static void debug_exit(void *ctx, u64 offset, const void *data, unsigned len)
{
	struct machine *m = ctx;

	(void)offset;
	(void)len;
	vm_report_end(&m->vm, VM_END_DEBUG_EXIT, *(const u8 *)data);
}

static int add_chipset(struct machine *m)
{
	int err = pm_add(&m->vm) ?: cmos_init(&m->cmos) ?: exit_port_init(&m->exit_port);

	if (!err)
		err = add_range(m, cmos_range(m->cmos))
			      ?: add_range(m, exit_port_range(m->exit_port));
	return err ? fail(m, err, "cannot set up the chipset: %s", strerror(-err)) : add_lines(m);
}

/* Last of the port devices: what it collides with is the user's choice, not theirs. */
static int add_debug_exit(struct machine *m)
{
	int port = m->config->debug_exit_port;

	if (port < 0)
		return 0;
	if (!add_range(m, (struct io_range){ .space = IO_PORT,
					     .base = (u64)port,
					     .len = 4,
					     .write = debug_exit,
					     .ctx = m }))
		return 0;
	return fail(m, -EINVAL, "--debug-exit 0x%x: a device of the machine has that port", port);
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
			return fail(m, err, "--net: %s", strerror(-err));
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
			return fail(m, err, "--net: cannot start its thread: %s", strerror(-err));
	}
	return 0;
}

static int create_bus(struct machine *m)
{
	struct vmbus_config bus = { .mem = &m->vm.mem,
				    .port = &m->port.port,
				    .control = &m->control,
				    .io = m->io_loop,
				    .io_count = m->config->io_threads };
	int err;

	port_synic_init(&m->port, m->hv, m->config->cpus);
	err = vmbus_init(&m->bus, &bus);
	if (!err)
		err = port_synic_connect(&m->port, m->bus);
	if (!err)
		err = storvsp_init(&m->storvsp, 0, uring_of, m);
	for (unsigned i = 0; !err && i < m->files->disk_count; i++)
		err = storvsp_attach(m->storvsp, i, m->files->disk[i]);
	if (!err && m->files->disk_count)
		err = vmbus_offer(m->bus, storvsp_device(m->storvsp));
	for (unsigned i = 0; !err && i < m->netvsp_count; i++)
		err = vmbus_offer(m->bus, netvsp_device(m->netvsp[i]));
	return err ? fail(m, err, "cannot set up the VMBus: %s", strerror(-err)) : 0;
}

static int create_vcpus(struct machine *m)
{
	struct cpuid *base = malloc(sizeof(*base)), *own = malloc(sizeof(*own));
	int err = base && own ? cpuid_supported(m->vm.kvm_fd, base) : -ENOMEM;

	for (unsigned i = 0; !err && i < m->config->cpus; i++) {
		*own = *base;
		cpuid_for_vp(own, i, m->config->cpus);
		err = hyperv_cpuid(m->hv, own);
		if (!err)
			err = vcpu_init(&m->vm.vcpu[i], &m->vm, i, &own->head);
		if (!err)
			err = hyperv_vp_init(m->hv, &m->vm.vcpu[i]);
	}
	free(base);
	free(own);
	return err ? fail(m, err, "KVM cannot create the vCPUs: %s", strerror(-err)) : 0;
}

/* ---- The guest ------------------------------------------------------------------------------ */

static bool says(const char *cmdline, const char *what)
{
	const char *at = strstr(cmdline, what);

	return at && (at == cmdline || at[-1] == ' ');
}

/* What the user asked for, and what makes it work: a console that is seen, a panic that ends. */
static char *kernel_cmdline(const struct machine *m)
{
	const struct config *c = m->config;
	const char *console = "", *panic = "", *init = "", *space = "";
	char *line;

	if (c->console != CONSOLE_NONE && !says(c->append, "console="))
		console = " console=ttyS0";
	if (c->command) {
		init = guest_command_cmdline();
		space = " ";
		panic = says(c->append, "panic=") ? "" : " panic=-1";
	}
	return asprintf(&line, "%s%s%s%s%s", c->append, console, panic, space, init) < 0 ? NULL
											 : line;
}

/* The command's segment comes first: it must stand before whatever compression the user's has. */
static int add_initrd(struct machine *m, struct boot_config *boot)
{
	if (m->config->command) {
		size_t size;
		int err = guest_command_build(m->config->command, m->config->command_count,
					      &m->command, &size);

		if (err)
			return fail(m, err == -E2BIG ? -EINVAL : err, "-- %s: %s",
				    m->config->command[0], strerror(-err));
		boot->initrd[boot->initrd_count++] =
			(struct boot_blob){ .fd = -1, .data = m->command, .size = size };
	}
	if (m->files->initrd_fd >= 0) {
		off_t size = lseek(m->files->initrd_fd, 0, SEEK_END);

		if (size <= 0)
			return fail(m, -EINVAL, "--initrd %s: it is empty", m->config->initrd);
		boot->initrd[boot->initrd_count++] =
			(struct boot_blob){ .fd = m->files->initrd_fd, .size = (u64)size };
	}
	return 0;
}

static int load_guest(struct machine *m)
{
	struct boot_config boot = { .kernel_fd = m->files->kernel_fd,
				    .kernel_name = m->config->kernel,
				    .cache_fd = m->files->cache_fd,
				    .cpus = m->config->cpus };
	char *cmdline = kernel_cmdline(m);
	int err = cmdline ? add_initrd(m, &boot) : fail(m, -ENOMEM, "out of memory");

	if (!err)
		err = acpi_build(&m->vm.mem, m->config->cpus, &boot.rsdp)
			      ?: reset_vector_write(&m->vm.mem);
	if (!err)
		err = kvm_get_sregs(m->vm.vcpu[0].fd, &m->boot.sregs);
	boot.cmdline = cmdline;
	if (!err)
		err = boot_load(&m->vm.mem, &boot, &m->boot, m->error, sizeof(m->error));
	free(cmdline);
	if (err)
		return m->error[0] ? err
				   : fail(m, err, "cannot load the guest: %s", strerror(-err));
	if (m->boot.linux_guest && !m->config->force && !doctor_stock_guest_ok())
		return fail(m, -ENOTSUP,
			    "this KVM runs without hardware virtualization and cannot run a Linux "
			    "kernel; run it in the lab (images/lab/lab ./candela run ...), or try "
			    "--force");
	err = kvm_set_sregs(m->vm.vcpu[0].fd, &m->boot.sregs);
	if (!err)
		err = kvm_set_regs(m->vm.vcpu[0].fd, &m->boot.regs);
	return err ? fail(m, err, "KVM refuses the guest's first state: %s", strerror(-err)) : 0;
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
		return fail(m, err, "cannot start the vCPUs: %s", strerror(-err));
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
	for (unsigned i = 0; m->io && i < m->config->io_threads; i++)
		io_thread_stop(&m->io[i]);
}

static void take_apart(struct machine *m)
{
	vmbus_fini(m->bus);
	for (unsigned i = 0; i < m->netvsp_count; i++)
		netvsp_fini(m->netvsp[i]);
	storvsp_fini(m->storvsp);
	for (unsigned i = 0; m->io && i < m->config->io_threads; i++)
		io_thread_fini(&m->io[i]);
	hyperv_fini(m->hv);
	remove_line(&m->com1);
	remove_line(&m->com2);
	cmos_fini(m->cmos);
	exit_port_fini(m->exit_port);
	free(m->command);
	vm_fini(&m->vm);
	free(m->io);
	free(m->io_loop);
	loop_fini(&m->control);
}

/* ---- What it came to ------------------------------------------------------------------------ */

static void __attribute__((format(printf, 4, 5)))
tell(struct outcome *o, enum outcome_reason reason, int status, const char *fmt, ...)
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
		tell(m->outcome, OUTCOME_COMMAND, status, "%s", "");
	else if (message[0])
		tell(m->outcome, OUTCOME_HOST, 1, "guest: %s", message);
	else if (!exit_port_started(m->exit_port) && rebooted)
		tell(m->outcome, OUTCOME_PANIC, 4,
		     "the guest's kernel gave up before its init ran; --console file:LOG shows "
		     "why");
	else if (rebooted)
		tell(m->outcome, OUTCOME_REBOOT, 3, "the guest rebooted before the command ended");
	else
		tell(m->outcome, OUTCOME_HOST, 1, "the guest powered off before the command ended");
}

static void tell_panic(struct machine *m)
{
	const struct hyperv_crash *c = hyperv_crash_report(m->hv);
	const char *line = c->valid ? strstr(c->message, "Kernel panic") : NULL;

	snprintf(m->outcome->crash, sizeof(m->outcome->crash), "%s", c->message);
	if (line)
		tell(m->outcome, OUTCOME_PANIC, 4, "the guest panicked: %.*s",
		     (int)strcspn(line, "\n"), line);
	else if (c->valid)
		tell(m->outcome, OUTCOME_PANIC, 4,
		     "the guest crashed: P0 0x%llx P1 0x%llx P2 (RIP) 0x%llx P3 0x%llx P4 0x%llx",
		     (unsigned long long)c->param[0], (unsigned long long)c->param[1],
		     (unsigned long long)c->param[2], (unsigned long long)c->param[3],
		     (unsigned long long)c->param[4]);
	else
		tell(m->outcome, OUTCOME_PANIC, 4, "the guest crashed");
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
			tell(m->outcome, OUTCOME_REBOOT, 3, "the guest asked for a reboot");
		else
			tell(m->outcome, OUTCOME_POWEROFF, 0, "%s", "");
		break;
	case VM_END_TRIPLE_FAULT:
		tell(m->outcome, OUTCOME_PANIC, 4, "the guest crashed: triple fault");
		break;
	case VM_END_PANIC:
		tell_panic(m);
		break;
	case VM_END_DEBUG_EXIT:
		tell(m->outcome, OUTCOME_DEBUG_EXIT, (int)(v & 255), "%s", "");
		break;
	case VM_END_INTERNAL:
		tell(m->outcome, OUTCOME_PANIC, 4,
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

static void tell_outcome(struct machine *m)
{
	struct vmbus_status bus = { 0 };

	if (m->bus)
		vmbus_status(m->bus, &bus);
	m->outcome->vmbus_contacted = bus.contacted;
	m->outcome->vmbus_version = bus.version;
	if (m->guest_ended)
		tell_end(m);
	else if (m->keys.quit)
		tell(m->outcome, OUTCOME_SIGNAL, 128 + SIGINT, "%s", "");
	else
		log_vcpus(m); /* stopped by the supervisor: it knows why */
}

void machine_run(const struct config *config, const struct machine_files *files,
		 struct outcome *outcome)
{
	struct machine *m = calloc(1, sizeof(*m));
	int err;

	if (!m) {
		tell(outcome, OUTCOME_HOST, 1, "out of memory");
		return;
	}
	m->config = config;
	m->files = files;
	m->outcome = outcome;
	prctl(PR_SET_NAME, config->name);
	pthread_mutex_init(&m->gate.lock, NULL);
	pthread_cond_init(&m->gate.changed, NULL);

	err = watch_signals(m) ?:
	      create_vm(m) ?:
	      add_chipset(m) ?:
	      add_debug_exit(m) ?:
	      add_nics(m) ?:
	      sandbox_all(m) ?:
	      launch_nics(m) ?:
	      start_io_threads(m) ?:
	      create_bus(m) ?:
	      create_vcpus(m) ?:
	      load_guest(m) ?:
	      start(m);
	if (!err) {
		snprintf(outcome->hyperv, sizeof(outcome->hyperv), "%s",
			 hyperv_backend_name(m->hv));
		err = loop_run(&m->control);
		if (err)
			fail(m, err, "the event loop failed: %s", strerror(-err));
	}
	stop(m);
	if (err)
		tell(outcome, err == -EINVAL ? OUTCOME_USAGE : OUTCOME_HOST, err == -EINVAL ? 2 : 1,
		     "%s", m->error);
	else
		tell_outcome(m);
	take_apart(m);
	free(m);
}
