/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/types.h"

#define STATUS_HOST 1
#define STATUS_USAGE 2

/* A line of text is a line here. */
/* clang-format off */
static const char help_text[] =
	"candela runs a guest that finds itself on Hyper-V.\n"
	"\n"
	"  candela run --kernel FILE [OPTION...] [-- COMMAND [ARG...]]   run a guest\n"
	"  candela doctor [--json]          what this host can do, and what to do about the rest\n"
	"  candela help [run|doctor|status|console]\n"
	"  candela version\n"
	"\n"
	"Start here:  candela doctor;  candela help run;  man candela\n";

static const char run_text[] =
	"candela run --kernel FILE [OPTION...] [-- COMMAND [ARG...]]\n"
	"\n"
	"Runs a guest. With -- COMMAND, runs that in a Linux guest and exits with its status: its\n"
	"output alone is on stdout.\n"
	"\n"
	"The guest\n"
	"  -k, --kernel FILE      Linux bzImage or vmlinux, another ELF kernel, or a Multiboot one\n"
	"  -i, --initrd FILE      initial RAM disk\n"
	"  -a, --append STRING    kernel command line\n"
	"  -c, --cpus N           virtual CPUs, 1 to 64 (default 1)\n"
	"  -m, --memory SIZE      RAM, 16M to 64G, in bytes or with K, M, G (default 512M)\n"
	"      --hyperv BACKEND   auto, kernel (KVM's own Hyper-V) or user (default auto)\n"
	"      --hyperv-features NAME[=on|off],...\n"
	"                         switches single features; candela doctor lists them; adds up\n"
	"      --nested           VMX or SVM are the guest's (default: hidden)\n"
	"      --name NAME        a name for the guest (default candela)\n"
	"\n"
	"Its devices; may be given again for more\n"
	"  -d, --disk FILE|NBD-URI[,ro][,ephemeral][,format=auto|raw|qcow2|vhdx|vhd|vmdk]\n"
	"                         an image, block device or nbd://HOST/EXPORT; ro: read-only;\n"
	"                         ephemeral: writes are thrown away; a comma in the name is written\n"
	"                         twice (,,); also, with commas between them, the first word being\n"
	"                         the default: cache=writeback|none|unsafe aio=auto|io_uring|threads\n"
	"                         lock=on|off backing=off|on iops=N bps=SIZE burst=MS (100 ms)\n"
	"                         logical_block=512|4096\n"
	"                         bus=scsi|ide controller=0..3 target=0|1 lun=0..63 (where the guest\n"
	"                         finds it; else the next free place)\n"
	"                         queues=N (channels of its controller; one for every four vCPUs)\n"
	"      --dvd FILE|NBD-URI[,...]\n"
	"                         a DVD drive with this image in it, read-only; items as for --disk,\n"
	"                         but ephemeral, logical_block and bus=ide\n"
	"  -n, --net user[,hostfwd=[tcp|udp:[HOSTADDR]:]HOSTPORT-[GUESTADDR]:GUESTPORT][,mac=MAC]\n"
	"                         network by this user's own sockets, no root needed\n"
	"      --net tap[,name=IF][,mac=MAC]\n"
	"      --net fd=N[,mac=MAC]\n"
	"      --net none         no NIC (default)\n"
	"      --console stdio|none|file:PATH|pty|unix:PATH\n"
	"                         where the serial console goes (default stdio; none with -- COMMAND)\n"
	"\n"
	"The run\n"
	"      --timeout SECONDS  ends the guest after that time, with status 124 (default 0: never)\n"
	"      --on-reboot restart|exit\n"
	"                         (default restart; exit with -- COMMAND)\n"
	"      --on-io-error report|stop\n"
	"                         what a disk's failure does: the guest is told (default), or ends\n"
	"      --result FILE      writes how it ended as JSON\n"
	"      --trace EVENTS[:FILE]\n"
	"                         logs events of the VMBus (such as vmbus_gpadl_*) to FILE or stderr\n"
	"      --chaos SEED[,RATE][,log=FILE]\n"
	"                         the VMBus is late now and then, as a host may be: for tests of guest\n"
	"                         drivers; RATE: of 1,000 chances (default 50)\n"
	"      --chaos replay=FILE\n"
	"                         does what such a log says, line by line\n"
	"      --debug-exit PORT  what the guest writes to this I/O port ends it with that status\n"
	"      --synic-test-port PORT\n"
	"                         lets a test guest play a Hyper-V host, as QEMU's hyperv-testdev does\n"
	"      --io N             I/O threads, 1 to 16 (default 1)\n"
	"      --sandbox on|off|log|strict\n"
	"                         system call filters (default on)\n"
	"      --force            tries a Linux kernel even where KVM lacks hardware virtualization\n"
	"  -v, --verbose          says more; twice: still more\n"
	"  -q, --quiet            says errors only\n"
	"  -h, --help             prints this\n"
	"\n"
	"A value may also follow an equals sign (--memory=1G). Exit statuses: candela help status\n";

static const char doctor_text[] =
	"candela doctor [--json]\n"
	"\n"
	"Says what this host offers a guest, item by item (ok, degraded or missing), and what to do\n"
	"about the rest; then, for --hyperv-features, which Hyper-V features the back ends give:\n"
	"unasked (default), where switched on (yes) or not (no). Exits with 0 where a stock guest\n"
	"can run here, with 1 where not.\n"
	"\n"
	"      --json             the same for programs\n"
	"  -h, --help             prints this\n";

static const char status_text[] =
	"Exit statuses of candela run\n"
	"\n"
	"  0       the guest powered off\n"
	"  1       candela or the host failed\n"
	"  2       a bad option or file\n"
	"  3       the guest asked for a reboot, and --on-reboot is exit\n"
	"  4       the guest crashed\n"
	"  124     --timeout ran out\n"
	"  V       the status of -- COMMAND (128+N: killed by signal N), or what the guest wrote to\n"
	"          the --debug-exit port\n"
	"  128+N   candela was stopped by signal N; Ctrl-A x gives 130\n"
	"\n"
	"A command's own 1 to 4 or 124 is passed on as it is: --result FILE tells them apart.\n";

static const char console_text[] =
	"Keys on the console (--console stdio on a terminal)\n"
	"\n"
	"  Ctrl-A x        quits\n"
	"  Ctrl-A h        shows the keys\n"
	"  Ctrl-A Ctrl-A   sends Ctrl-A to the guest, as does Ctrl-A a\n"
	"\n"
	"All other keys go to the guest, Ctrl-C included.\n";
/* clang-format on */

static const struct topic {
	const char *name, *text;
} topics[] = {
	{ "help", help_text },     { "run", run_text },         { "doctor", doctor_text },
	{ "status", status_text }, { "console", console_text },
};

/* Help that could not be printed was asked for in vain. */
static int print(const char *text)
{
	return fputs(text, stdout) < 0 || fflush(stdout) ? STATUS_HOST : 0;
}

int help_print(const char *topic)
{
	for (size_t i = 0; topic && i < ARRAY_SIZE(topics); i++)
		if (!strcmp(topic, topics[i].name))
			return print(topics[i].text);
	if (!topic)
		return print(help_text);
	log_error("there is no help on '%s': run, doctor, status or console", topic);
	return STATUS_USAGE;
}

int help_main(int argc, char **argv)
{
	return help_print(argc > 0 ? argv[0] : NULL);
}

int help_version(void)
{
	return print("candela " CANDELA_VERSION "\n");
}
