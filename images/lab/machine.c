// SPDX-License-Identifier: BSD-2-Clause
/*
 * machine.c: the QEMU command line of the lab, and its process.
 *
 * The machine's / is the host's, read-only by 9p under the tag "host"; "modules" are the modules of
 * its kernel; share0... are the writable directories. Nothing else of the host is reachable.
 */
#include "machine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire.h"

#define MACHINE_ARGS 96

/* Arguments being collected; a failed allocation shows in `failed` and is reported once. */
struct args {
	char *list[MACHINE_ARGS];
	size_t count;
	bool failed;
};

static void args_take(struct args *args, char *text)
{
	if (!text || args->count + 1 >= MACHINE_ARGS) {
		free(text);
		args->failed = true;
		return;
	}
	args->list[args->count++] = text;
}

__attribute__((format(printf, 3, 4))) static void args_add(struct args *args, const char *option,
							   const char *format, ...)
{
	__builtin_va_list list;
	char *text = NULL;

	args_take(args, strdup(option));
	if (!format)
		return;
	__builtin_va_start(list, format);
	if (vasprintf(&text, format, list) < 0)
		text = NULL;
	__builtin_va_end(list);
	args_take(args, text);
}

/* QEMU separates options with commas; a comma in a value is written twice. */
static char *comma_doubled(const char *path)
{
	char *text = malloc(2 * strlen(path) + 1);
	char *out = text;

	if (!text)
		return NULL;
	for (; *path; path++) {
		*out++ = *path;
		if (*path == ',')
			*out++ = ',';
	}
	*out = '\0';
	return text;
}

static void args_share(struct args *args, const char *tag, const char *path, bool writable)
{
	char *escaped = comma_doubled(path);

	if (!escaped) {
		args->failed = true;
		return;
	}
	args_add(args, "-fsdev", "local,id=%s,path=%s,security_model=none,multidevs=remap%s", tag,
		 escaped, writable ? "" : ",readonly=on");
	args_add(args, "-device", "virtio-9p-pci,fsdev=%s,mount_tag=%s", tag, tag);
	free(escaped);
}

static void machine_args(const struct machine *machine, struct args *args, int channel)
{
	char tag[24], *modules = NULL;

	args_add(args, machine->qemu, NULL);
	args_add(args, "-nodefaults", NULL);
	args_add(args, "-no-user-config", NULL);
	args_add(args, "-no-reboot", NULL);
	args_add(args, "-display", "none");
	args_add(args, "-accel", "tcg,thread=multi,tb-size=512");
	args_add(args, "-cpu", "max,+svm");
	args_add(args, "-smp", "%s", machine->cpus);
	args_add(args, "-m", "%s", machine->memory);
	args_add(args, "-kernel", "%s/vmlinux", machine->boot);
	args_add(args, "-initrd", "%s/initrd.img", machine->boot);
	/* A CPU that waits for another for a minute waits for ever: the machine's end, too. */
	args_add(args, "-append",
		 "console=ttyS0 quiet loglevel=4 panic=-1 softlockup_panic=1 watchdog_thresh=30"
		 " mitigations=off nokaslr tsc=reliable cryptomgr.notests%s",
		 machine->network ? " lab.network" : "");
	args_add(args, "-chardev", "stdio,id=console,signal=off");
	args_add(args, "-serial", "chardev:console");
	args_add(args, "-chardev", "socket,id=agent,fd=%d", channel);
	args_add(args, "-device", "virtio-serial-pci");
	args_add(args, "-device", "virtserialport,chardev=agent,name=" WIRE_PORT);
	if (machine->network) {
		args_add(args, "-netdev", "user,id=net,net=10.0.3.0/24");
		args_add(args, "-device", "virtio-net-pci,netdev=net,romfile=");
	}
	args_share(args, "host", "/", false);
	if (asprintf(&modules, "%s/lib/modules", machine->kernel) < 0)
		args->failed = true;
	else
		args_share(args, "modules", modules, false);
	free(modules);
	for (size_t i = 0; i < machine->share_count; i++) {
		snprintf(tag, sizeof(tag), "share%zu", i);
		args_share(args, tag, machine->shares[i], true);
	}
}

/*
 * The child: a session of its own keeps the terminal's signals from it, and it dies with its
 * parent; the parent may already be gone when that is asked for.
 */
static void machine_exec(const struct machine *machine, char *const *argv, pid_t parent, int log)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(1);
	setenv("LD_PRELOAD", machine->preload, 1);
	execv(argv[0], argv);
	dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(1);
}

int machine_start(struct machine *machine)
{
	struct args args = { 0 };
	int channel[2] = { -1, -1 }, log[2] = { -1, -1 };
	pid_t parent = getpid();
	int ret = -ENOMEM;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0 ||
	    pipe2(log, O_CLOEXEC) < 0) {
		ret = -errno;
		goto out;
	}
	machine_args(machine, &args, channel[1]);
	if (args.failed)
		goto out;
	machine->pid = fork();
	if (machine->pid == 0) {
		fcntl(channel[1], F_SETFD, 0);
		machine_exec(machine, args.list, parent, log[1]);
	}
	ret = machine->pid < 0 ? -errno : 0;
out:
	for (size_t i = 0; i < args.count; i++)
		free(args.list[i]);
	close(channel[1]);
	close(log[1]);
	fcntl(channel[0], F_SETFL, O_NONBLOCK);
	fcntl(log[0], F_SETFL, O_NONBLOCK);
	machine->channel = channel[0];
	machine->log = log[0];
	return ret;
}

bool machine_ended(struct machine *machine, int wait_ms, int *status)
{
	for (; machine->pid > 0; wait_ms -= 10) {
		pid_t pid = waitpid(machine->pid, status, WNOHANG);

		if (pid == machine->pid) {
			machine->pid = 0;
			return true;
		}
		if (wait_ms <= 0 || (pid < 0 && errno != EINTR))
			break;
		usleep(10000);
	}
	return false;
}

void machine_stop(struct machine *machine)
{
	if (machine->pid <= 0)
		return;
	kill(machine->pid, SIGKILL);
	while (waitpid(machine->pid, NULL, 0) < 0 && errno == EINTR)
		;
	machine->pid = 0;
}
