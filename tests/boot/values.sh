# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# What Linux makes of a disk's values, and what it does to one under I/O. For scsi.sh and
# verify.sh, behind guest.sh.

# block SECTORS: the name of the disk of so many sectors of 512 bytes
block() {
	for at in /sys/block/sd*; do
		[ "$(cat "$at/size")" != "$1" ] || echo "${at##*/}"
	done
}

# values NAME=VALUE... BLOCK: lsblk's columns are that
values() {
	for last; do :; done
	for column; do
		[ "$column" != "$last" ] || break
		said=$(lsblk -b -d -n -r -o "${column%%=*}" "/dev/$last" | sed 's/\(\\x20\)*$//')
		[ "$said" = "${column#*=}" ] || { echo "$last: ${column%%=*} is $said, not ${column#*=}"; return 1; }
	done
}

# serials BLOCK: the serial number and the name that Linux has are those of the vital product data
serials() {
	serial=$(sg_vpd -p sn -r "/dev/$1" | tail -c +5)
	wwid=$(sed 's/^naa\.//' "/sys/block/$1/device/wwid")
	lsblk -d -o NAME,SERIAL,WWN "/dev/$1"
	echo "serial $serial, wwid $wwid"
	tail -c +5 "/sys/block/$1/device/vpd_pg80" | grep -x -F "$serial" && sg_vpd -p di -q "/dev/$1" | grep -q -i "0x$wwid"
}

# discards BLOCK GRANULARITY: how lsblk says that they are taken
discards() {
	lsblk -b -d -o NAME,DISC-ALN,DISC-GRAN,DISC-MAX,DISC-ZERO "/dev/$1"
	values DISC-GRAN="$2" "$1" && [ "$(lsblk -b -d -n -r -o DISC-MAX "/dev/$1")" -ge 1048576 ]
}

# hdparm is made for ATA: what it can ask of any disk, and that the rest is refused in order.
asked_by_hdparm() {
	hdparm -g -r -a "/dev/$1" && hdparm -r "/dev/$1" | grep -q "readonly *= *$2 " &&
		! hdparm -I "/dev/$1" | grep -q 'Model Number' && sg_turs "/dev/$1"
}

# ---- Fully verified I/O in the background

# verify_on NAME DEVICE SIZE: fio writes there and reads back, over and over, until verify_off NAME
verify_on() {
	rm -f "/run/$1".*
	: >"/run/$1.times"
	(while [ ! -e "/run/$1.off" ]; do
		fio --minimal --thread --name=verify --filename="$2" --size="$3" --rw=randwrite --direct=1 \
			--ioengine=io_uring --iodepth=16 --verify=crc32c --verify_fatal=1 --verify_backlog=32 \
			--bssplit=4k/60:12k/20:64k/20 --randrepeat=0 >"/run/$1.out" 2>&1 ||
			cat "/run/$1.out" >>"/run/$1.failed"
		echo again >>"/run/$1.times"
	done) &
	check "fio has begun on $2" until_times "$1" 1
}

# until_times NAME NUMBER: it has done that so often
until_times() {
	for _ in $(seq 1 600); do
		[ "$(wc -l <"/run/$1.times")" -lt "$2" ] || return 0
		sleep 0.2
	done
	return 1
}

# verify_off NAME: after another two times
verify_off() {
	check "$1: fio goes on" until_times "$1" $(($(wc -l <"/run/$1.times") + 2))
	touch "/run/$1.off"
	check "$1: fio ends" until_times "$1" $(($(wc -l <"/run/$1.times") + 1))
	check "$1: fio found nothing wrong" sh -c "! cat /run/$1.failed"
}

# resets_on BLOCK KIND...: resets in the background, under I/O, until resets_off. Of the unit, the
# target and the bus Linux's driver makes a reset of the host, after each of which it lets the host
# rest for 10 s.
resets_on() {
	reset=/dev/$1
	shift
	verify_on reset "$reset" 4m
	(for kind; do
		sg_reset "--$kind" "$reset" || echo "sg_reset --$kind"
		sleep 1
	done >/run/resets 2>&1) &
	resetter=$!
}

resets_off() {
	wait "$resetter"
	check "resets" sh -c '! grep . /run/resets'
	verify_off reset
}
