# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2034 # classes are for whoever reads this in
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
