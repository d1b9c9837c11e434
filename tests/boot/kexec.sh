# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock guest's initramfs, as `-- sh -c "$(cat guest.sh devices.sh kexec.sh)" kexec
# HOW TIMES SUM`, and then, without the machine ending in between, inside the kernels that it starts
# itself, TIMES of them: by kexec, or with HOW crash by a panic. Kernel, initrd and the program
# kexec are a tar on the disk, whose beginning has the checksum SUM. The last one's exit status is
# the command's.

# next_initrd: appends to the next kernel's initrd what candela put into ours, and how many are left
next_initrd() {
	mkdir -p next/candela next/dev
	cp /candela/init /candela/command next/candela/
	echo $((left - 1)) >next/candela/left
	mknod next/dev/console c 5 1
	(cd next && find . | cpio -o -H newc) >>initrd.img
}

# command_line: ours. The next kernel is unpacked by its own start, which our first was not: where
# that puts it is to be the same each time. A crash kernel lies in what was reserved, and reserves
# nothing.
command_line() {
	if [ "$how" = crash ]; then
		sed 's/crashkernel=[^ ]*//; s/$/ nokaslr nr_cpus=1 reset_devices/' /proc/cmdline
	else
		sed 's/ nokaslr//; s/$/ nokaslr/' /proc/cmdline
	fi
}

next_kernel() {
	mkdir -p /run/next && cd /run/next && tar -x -f "$(disk_node)" && next_initrd || return
	case $how in
	crash)
		./kexec crash vmlinuz initrd.img "$(command_line)" && echo c >/proc/sysrq-trigger ;;
	*)
		./kexec load vmlinuz initrd.img "$(command_line)" && ./kexec run ;;
	esac
	sleep 60
	return 1
}

# a kernel may find the last timer interrupt of the one before it
allowed="$allowed
Spurious LAPIC timer interrupt on cpu"
# a crash kernel starts one of several CPUs, perhaps not the first, and says so in each version's way
[ "$1" != crash ] || allowed="$allowed
(APIC: NR_CPUS/possible_cpus|CPU topo: CPU) limit of 1 (almost )?reached
smpboot: 2 Processors exceeds NR_CPUS limit of 1
CPU topo: Boot CPU APIC ID not the first enumerated
CPU topo: Crash kernel detected. Disabling real BSP"
how=$1 left=$2
[ ! -e /candela/left ] || left=$(cat /candela/left)
echo "Linux $(uname -r), $(nproc) CPUs, $left to go"
within 30 disk_node >/dev/null
check "the disk can be read" [ "$(disk_read)" = "$3" ]
check "the NIC works" nic_works
if [ "$how" = crash ] && [ "$left" -eq 0 ]; then
	check "the crashed kernel's memory is there" [ -s /proc/vmcore ]
fi
check "no warning in dmesg" no_warnings
[ "$failed" -eq 0 ] || exit 1
if [ "$left" -gt 0 ]; then
	check "the next kernel starts" next_kernel
fi
exit "$failed"
