# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock Debian guest, as `-- sh -c "$(cat guest.sh check.sh)" check CPUS DNS FLAGS
# CLOCKSOURCE CLOCKEVENT ROW`, with hostname=named: does it see a Hyper-V with the features
# predicted, a VMBus disk and a VMBus NIC, and do they work?

driver_bound() {
	set -- "/sys/bus/vmbus/drivers/$1/"*-*
	[ -e "$1" ]
}

root_is_vmbus_disk() {
	grep -q '^/dev/sda / ext4 rw' /proc/mounts && readlink /sys/block/sda/device | grep -q . &&
		readlink -f /sys/block/sda | grep -q VMBUS
}

# What was written is read back, past the page cache.
disk_keeps_data() {
	head -c 20000000 /dev/urandom >/root/data && sync /root/data &&
		before=$(sha256sum </root/data) && echo 3 >/proc/sys/vm/drop_caches &&
		after=$(dd if=/root/data iflag=direct bs=64k 2>/dev/null | sha256sum) &&
		[ "$before" = "$after" ] && rm /root/data && fstrim -v /
}

lease_script() {
	cat >/run/lease <<-'END'
		#!/bin/sh
		[ "$1" = bound ] || exit 0
		ip addr add "$ip/$mask" dev "$interface"
		ip route add default via "${router%% *}"
		echo "nameserver ${dns%% *}" >/run/resolv.conf
	END
	chmod +x /run/lease
}

dhcp() {
	modprobe af_packet
	lease_script
	ip link set eth0 up && busybox udhcpc -i eth0 -n -q -t 20 -T 1 -s /run/lease &&
		ip -4 addr show eth0 | grep -q 10.0.2.15
}

tcp_download() {
	busybox wget -q -O /run/page http://10.0.2.2:8123/data &&
		busybox wget -q -O /run/sum http://10.0.2.2:8123/data.sum &&
		[ "$(sha256sum </run/page)" = "$(cat /run/sum)" ]
}

dns() {
	busybox nslookup -type=a name.candela.test 10.0.2.3 | grep -q 10.9.8.7
}

check "a Hyper-V is detected" sh -c 'dmesg | grep -q "Hypervisor detected: Microsoft Hyper-V"'
check "the features are those predicted" features "$3"
check "its name is that of hostname=" host_name named
check "the clocksource is $4" clocksource "$4"
check "the clockevents are $5" clockevent "$5"
check "the VMBus is negotiated" sh -c 'dmesg | grep -q "Vmbus version:[4-6]"'
check "all CPUs are up" [ "$(nproc)" = "$1" ]
check "hv_storvsc has a disk" driver_bound hv_storvsc
check "hv_netvsc has a NIC" driver_bound hv_netvsc
check "the root is on a VMBus disk, read-write" root_is_vmbus_disk
check "the disk keeps its data" disk_keeps_data
check "DHCP" dhcp
check "TCP to the host" tcp_download
[ "$2" = no ] || check "DNS" dns
check "every CPU has clock interrupts ($6)" ticks "$6"
check "no warning in dmesg" no_warnings
dmesg | grep -E 'Hyper-V|hyperv|hv_|Vmbus|clocksource: Switched' | sed 's/^/  /'
exit "$failed"
