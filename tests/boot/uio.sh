# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034,SC2154 # names are for whoever reads this in
# Devices of candela_devices and the uio_hv_generic driver, for the scripts that run inside a guest.

echo_class='{6563686f-0ca1-4de1-a065-63686f646576}'
plug_class='{706c7567-0ca1-4de1-a070-6c7567646576}'

# vmbus_devices CLASS: their folders, by instance
vmbus_devices() {
	for folder in /sys/bus/vmbus/devices/*; do
		[ "$(cat "$folder/class_id" 2>/dev/null)" != "$1" ] || echo "$folder"
	done
}

uio_load() {
	check "the driver is there" modprobe uio_hv_generic
}

# uio_new_id CLASS DEVICE: every device of the class is the driver's, those to come too
uio_new_id() {
	echo "$1" | tr -d '{}' >/sys/bus/vmbus/drivers/uio_hv_generic/new_id
	[ -e "$2/uio" ]
}

# uio_bind DEVICE: this one only; its rings and buffers take the guest 51 MiB in Linux 6.1
uio_bind() {
	echo uio_hv_generic >"$1/driver_override" &&
		echo "${1##*/}" >/sys/bus/vmbus/drivers/uio_hv_generic/bind && [ -e "$1/uio" ]
}

# what can be asked of the plug device, and the fields of its answer (plug_proto.h)
status=0 add_echoes=1 add_disks=2 remove_echoes=3 remove_disks=4 eject_disks=5
bay_add=6 bay_remove=7 bay_resize=8 bay_insert=9 bay_eject=10
done=1 gone=4 refused=5 bay_disks=6

# plug FIELD OP COUNT: a command to the plug device; that field of its answer
plug() {
	uio_guest plug "$plug_device" "$2" "$3" | cut -d ' ' -f "$1"
}

# until_equal SECONDS VALUE COMMAND...: the command prints the value within that time
until_equal() {
	tries=$(($1 * 5)) wanted=$2
	shift 2
	while [ "$("$@")" != "$wanted" ]; do
		tries=$((tries - 1))
		if [ "$tries" -eq 0 ]; then
			echo "$*: $("$@"), not $wanted"
			return 1
		fi
		sleep 0.2
	done
}

disks() {
	set -- /sys/block/sd*
	[ -e "$1" ] || set --
	echo $#
}

# The bay's controller (bay.c).
bay=/sys/bus/vmbus/devices/63616e64-656c-4173-8073-637369000064

# bay_block LUN: the name of the disk or drive there, like sdb or sr0; nothing where there is none
bay_block() {
	for at in "$bay"/host*/target*/*:0:0:"$1"/block/*; do
		[ ! -e "$at" ] || echo "${at##*/}"
	done
}
