# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2034,SC2015 # the functions and $built_in are for whoever reads this in
# What vmbus.sh and kexec.sh know of the devices; guests puts it before them, after guest.sh. There
# is a disk, and a NIC of --net user with a web server on the host's side.

bus=/sys/bus/vmbus
storvsc=ba6163d9-04a1-4d29-b605-72e2ffb1dc7f
netvsc=f8615163-df3e-46c5-913f-f2d2f965ed0e
reads=/run/reads # the checksum that the disk's first bytes have

# device CLASS: sets $dev to the folder of the first device of the class
device() {
	for dev in "$bus"/devices/*; do
		read -r class <"$dev/class_id"
		[ "$class" != "{$1}" ] || return 0
	done
	return 1
}

# within SECONDS COMMAND...: it succeeds by then
within() {
	tries=$(($1 * 10))
	shift
	while [ "$tries" -gt 0 ]; do
		! "$@" || return 0
		tries=$((tries - 1))
		sleep 0.1
	done
	echo "not within its time: $*"
	return 1
}

# disk_node: the block device of the first disk; it may have another name after each binding
disk_node() {
	device "$storvsc" && set -- "$dev"/host*/target*/*/block/* || return
	[ -b "/dev/${1##*/}" ] && echo "/dev/${1##*/}"
}

disk_read() {
	timeout 60 dd if="$(disk_node)" bs=64k count=32 iflag=direct 2>/dev/null | sha256sum
}

disk_works() {
	within 30 disk_node >/dev/null && [ "$(disk_read)" = "$(cat $reads)" ]
}

nic_is_there() {
	device "$netvsc" && set -- "$dev"/net/* || return
	[ -e "$1" ] && nic=${1##*/}
}

nic_up() {
	within 30 nic_is_there && ip link set "$nic" up && ip addr replace 10.0.2.15/24 dev "$nic"
}

download() {
	timeout 60 wget -q -O - http://10.0.2.2:8123/data | sha256sum
}

nic_works() {
	nic_up && [ "$(download)" = "$(timeout 60 wget -q -O - http://10.0.2.2:8123/data.sum)" ]
}
