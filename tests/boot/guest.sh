# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034 # failed is for whoever reads this in
# What the scripts that run inside a stock guest share; guests puts it before them. They print what
# failed, indented what is worth seeing, and end with $failed.
set -u

failed=0

# check NAME COMMAND...
check() {
	name=$1
	shift
	"$@" >/run/out 2>&1 && return
	echo "FAIL in the guest: $name"
	sed 's/^/  /' /run/out
	failed=1
}

# Lines of the kernel's at the level of a warning or above that are as they must be: there is no PCI
# and no ACPI control of the processor's frequency; what the host's processor is said to suffer from
# is nobody's fault here; and on a busy host a guest finds that something took long, 5.10 also when
# it measures how long a loop takes. What is left of the list of CPUs, where another line broke it,
# has no level of its own.
allowed='PCI: Fatal: No config space access function found
PCI: System does not support PCI
amd_pstate: the _CPC object is not present
hrtimer: interrupt took [0-9]* ns
^<4>\[[^]]*\]  #[0-9]+( #[0-9]+)*$
calibrate_delay_direct\(\) failed to get a good estimate
workqueue: .* hogged CPU
(Spectre|RETBleed|MDS|TAA|MMIO Stale Data|SRBDS|L1TF|GDS|ITS|TSA|VMSCAPE).*: (WARNING|Vulnerable|vulnerable|CPU)'

no_warnings() {
	! dmesg -r | grep -E '^<[0-4]>|WARNING:|BUG:|Oops|Call Trace|unchecked MSR|stall|hung|hv_[a-z]*: .*(fail|error)' |
		grep -v -E "$allowed"
}

# features FLAGS: Linux prints the Hyper-V CPUID leaves just like that; 5.10 in other words and not
# all of them, 7.x with more, of what no guest has
features() {
	older=$(echo "$1" | sed 's/privilege flags low/features/; s/ high [^,]*,//')
	dmesg | grep -E 'Hyper-V: (privilege flags|features) '
	dmesg | sed 's/, ext 0x0,/,/' | grep -q -E "Hyper-V: ($1|$older)\$"
}

# host_name NAME: the guest is called that
host_name() {
	uname -n
	[ "$(uname -n)" = "$1" ]
}

clocksource() {
	cat /sys/devices/system/clocksource/clocksource0/current_clocksource
	[ "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" = "$1" ]
}

# clockevent NAME: that of every CPU
clockevent() {
	cat /sys/devices/system/clockevents/clockevent[0-9]*/current_device
	[ "$(cat /sys/devices/system/clockevents/clockevent[0-9]*/current_device | sort -u)" = "$1" ]
}

# interrupts ROW: how many of them each CPU took, in a line: a row of /proc/interrupts
interrupts() {
	awk -v row="$1:" 'NR == 1 { cpus = NF } $1 == row { for (i = 2; i <= cpus + 1; i++) printf "%s ", $i }' \
		/proc/interrupts
}

# ticks ROW: the clockevents' interrupts are in that row, and every CPU has some
ticks() {
	grep -E 'HVS|HYP|LOC' /proc/interrupts
	for n in $(interrupts "$1"); do
		[ "$n" -gt 10 ] || return
	done
	[ -n "$(interrupts "$1")" ]
}
