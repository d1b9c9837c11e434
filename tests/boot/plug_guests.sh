# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2034 # read in by guests, which has the rest
# Stock guests of candela_devices: the echo device driven from user space, and devices that come and
# go.

# with_devices OPTION...: headless, with the devices of candela_devices, and uio_guest in the
# initramfs
with_devices() {
	mkdir -p "$scratch/uio/bin" && cp "$build/tests/boot/uio_guest" "$scratch/uio/bin/" &&
		(cd "$scratch/uio" && find . | cpio -o -H newc --quiet) >"$scratch/uio.cpio" &&
		cat "$initrd" "$scratch/uio.cpio" >"$scratch/uio.initrd" || return
	product=$candela
	candela=$build/tests/boot/candela_devices
	headless --initrd "$scratch/uio.initrd" "$@"
	candela=$product
}

# echo_guest KERNEL BACKEND MONITOR-US: what echo.sh says; 0: the guest signals by hypercalls
echo_guest() {
	kernel "$1" || return
	export CANDELA_MONITOR_US="$3"
	with_devices --cpus 2 --hyperv "$2" -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/uio.sh" "$tests/echo.sh")" echo 20000
	unset CANDELA_MONITOR_US
	cat "$scratch/out"
	wanted 0 command
}

# plug_guest KERNEL BACKEND ROUNDS ECHOES DISKS HELD TIMES: what plug.sh says
plug_guest() {
	kernel "$1" || return
	rm -f "$scratch/load.img"
	truncate -s 64M "$scratch/load.img" && mke2fs -q -F -t ext4 "$scratch/load.img" ||
		return
	export CANDELA_BAY=
	with_devices --memory 1G --timeout $((240 + $3 * 100 + $7 * 20)) --cpus 2 --hyperv "$2" --disk "$scratch/load.img" -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/uio.sh" "$tests/plug.sh")" plug "$3" "$4" "$5" "$6" "$7"
	unset CANDELA_BAY
	cat "$scratch/out"
	wanted 0 command && fsck_clean "$scratch/load.img"
}
