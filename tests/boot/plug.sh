# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2086 # see guest.sh; the functions are called by check; numbers
# Runs inside a stock guest of candela_devices, in its initramfs, as `-- sh -c "$(cat guest.sh
# uio.sh plug.sh)" plug ROUNDS ECHOES DISKS HELD TIMES`: channels come and go while the disk and the
# echo device are busy. A round adds ECHOES echo devices and DISKS SCSI controllers with a disk
# each, opens HELD of the echo devices by uio_hv_generic, reads all the new disks, and takes
# everything away. Then, without that load, two disks come to a controller that stays, TIMES times,
# beside one that stays, too, and is read all the time; they are written and read, and go while they
# are read.
#
# Two things Linux wants of a host that removes devices: that it does not rescind a channel before
# the guest has taken in the offer, so every round waits for sysfs to show all of them; and that no
# SCSI command is under way on a controller that goes (its driver would wait for it for ever, for a
# rescinded channel is not read any more), so the disks are ejected first, while they are read.

devices() {
	set -- /sys/bus/vmbus/devices/*
	echo $#
}

highest_relid() {
	cat /sys/bus/vmbus/devices/*/id | sort -n | tail -n 1
}

# ---- Load: each writes what went wrong to a file of its own, until /run/stop is there

disk_load() {
	while [ ! -e /run/stop ]; do
		head -c 4000000 /dev/urandom >/mnt/data && sync && before=$(sha256sum </mnt/data) &&
			echo 3 >/proc/sys/vm/drop_caches && [ "$before" = "$(sha256sum </mnt/data)" ] ||
			echo "the disk" >>/run/load.failed
		echo disk >>/run/load
		sleep 0.3
	done
}

echo_load() {
	while [ ! -e /run/stop ]; do
		uio_guest echo "$echo" 1000 >/run/load.echo 2>&1 || cat /run/load.echo >>/run/load.failed
		echo echo >>/run/load
		sleep 0.3
	done
}

# ---- A round

# Each once; then over and over, until it is gone.
read_disks() {
	for disk in /sys/block/sd*; do
		[ "${disk##*/}" = sda ] && continue
		dd if="/dev/${disk##*/}" of=/run/first bs=64k iflag=direct 2>/dev/null &&
			[ "$(wc -c </run/first)" -eq 4194304 ] || return
		(while dd if="/dev/${disk##*/}" of=/dev/null bs=64k iflag=direct 2>/dev/null; do :; done) &
	done
}

hold_echoes() {
	opened=0
	rm -f /run/held.*
	for device in $(vmbus_devices "$echo_class"); do
		[ "$device" != "$echo" ] || continue
		[ "$opened" -lt "$held" ] || break
		opened=$((opened + 1))
		uio_bind "$device" || return
		(uio_guest hold "$device" >"/run/held.$opened" 2>&1 || echo failed >>"/run/held.$opened"
			echo over >>"/run/held.$opened") &
		until_equal 30 held head -n 1 "/run/held.$opened" || return
	done
}

held_have_ended() {
	cat /run/held.* 2>/dev/null | grep -c over
}

no_held_failed() {
	! grep failed /run/held.* 2>/dev/null
}

round() {
	gone_before=$(plug $gone $status 0)
	check "round $1: echo devices are added" [ "$(plug $done $add_echoes "$echoes")" = "$echoes" ]
	check "round $1: disks are added" [ "$(plug $done $add_disks "$disks")" = "$disks" ]
	check "round $1: they appear" until_equal 60 $((before + echoes + disks)) devices
	check "round $1: the disks, too" until_equal 60 $((disks_before + disks)) disks
	check "round $1: no offer was refused" [ "$(plug $refused $status 0)" = 0 ]
	highest=$(highest_relid)
	check "round $1: relids are used again" [ "$highest" -le $((first_relids + echoes + disks)) ]
	check "round $1: the disks can be read" read_disks
	check "round $1: echo devices are opened" hold_echoes
	check "round $1: the disks are ejected" [ "$(plug $done $eject_disks 1000)" = "$disks" ]
	check "round $1: the disks have gone" until_equal 60 "$disks_before" disks
	check "round $1: echo devices are removed" [ "$(plug $done $remove_echoes 1000)" = "$echoes" ]
	check "round $1: controllers are removed" [ "$(plug $done $remove_disks 1000)" = "$disks" ]
	check "round $1: they disappear" until_equal 60 "$before" devices
	check "round $1: the guest lets go of them" until_equal 60 $((gone_before + echoes + disks)) plug $gone $status 0
	check "round $1: who had opened them is told" until_equal 60 "$held" held_have_ended
	check "round $1: ... in order" no_held_failed
	[ "$failed" -eq 0 ]
}

# ---- Units that come and go

# What is written to and read of each: a MiB, 4 MiB from its beginning.
filling() {
	dd if="/dev/$1" bs=64k skip=64 count=16 iflag=direct 2>/dev/null
}

# fill BLOCK: writes what has not been there before, and reads it back
fill() {
	head -c 1048576 /dev/urandom >/run/filling &&
		dd if=/run/filling of="/dev/$1" bs=64k seek=64 oflag=direct 2>/dev/null &&
		filling "$1" | cmp - /run/filling
}

# read_on BLOCK SUM: until /run/units.stop is there
read_on() {
	while [ ! -e /run/units.stop ]; do
		[ "$(filling "$1" | sha256sum)" = "$2" ] || echo "the disk that stays" >>/run/load.failed
		echo stays >>/run/load
		sleep 0.1
	done
}

# unit LUN: one that has come is zeroed, whatever was at its place; takes data; and is read until it
# goes
unit() {
	until_equal 30 1 lun_is_there "$1" && block=$(bay_block "$1") &&
		[ "$(cat "/sys/block/$block/size")" -eq 32768 ] && zeroed "$block" && fill "$block" || return
	(while dd if="/dev/$block" of=/dev/null bs=64k iflag=direct 2>/dev/null; do :; done) &
}

lun_is_there() {
	bay_block "$1" | grep -c .
}

zeroed() {
	filling "$1" | cmp -n 1048576 - /dev/zero
}

# add_unit: the place is free once the last request for what was there has ended
add_unit() {
	until_equal 20 1 plug $done $bay_add 1
}

come() {
	add_unit && add_unit && unit 2 && unit 3
}

go() {
	[ "$(plug $done $bay_remove 2)" = 2 ] && until_equal 30 0 lun_is_there 3 && until_equal 30 0 lun_is_there 2
}

units_begin() {
	add_unit && until_equal 30 1 lun_is_there 1 || return
	stays=$(bay_block 1)
	fill "$stays" || return
	read_on "$stays" "$(filling "$stays" | sha256sum)" &
}

# units TIMES
units() {
	check "a disk comes and stays" units_begin
	n=1
	while [ "$n" -le "$1" ] && [ "$failed" -eq 0 ]; do
		check "time $n: disks come" come
		check "time $n: disks go" go
		n=$((n + 1))
	done
	check "the disk that stays has stayed" [ "$(bay_block 1)" = "$stays" ]
	echo "  $((n - 1)) x 2 disks on a controller that stays: $(cut -d ' ' -f 1 /proc/uptime) s"
}

rounds=$1 echoes=$2 disks=$3 held=$4 times=$5
uio_load
check "the disk is there" until_equal 20 1 disks
mkdir -p /mnt
check "the disk is mounted" mount -t ext4 /dev/sda /mnt
echo=$(vmbus_devices "$echo_class")
plug_device=$(vmbus_devices "$plug_class")
check "the echo device is bound" uio_bind "$echo"
check "the plug device is bound" uio_bind "$plug_device"
before=$(devices) disks_before=$(disks)
first_relids=$(highest_relid)
disk_load &
echo_load &
n=1
while [ "$n" -le "$rounds" ] && round "$n"; do
	echo "  round $n: $(cut -d ' ' -f 1 /proc/uptime) s, relids up to $highest, $(plug $gone $status 0) gone"
	n=$((n + 1))
done
touch /run/stop
wait
[ "$times" -eq 0 ] || units "$times"
touch /run/units.stop
wait
check "the disk is let go of" umount /mnt
check "disk and echo device had no trouble" [ ! -e /run/load.failed ]
cat /run/load.failed 2>/dev/null
check "they were busy" sh -c 'grep -q disk /run/load && grep -q echo /run/load'
[ "$times" -eq 0 ] || check "so was the disk that stays" grep -q stays /run/load
echo "  meanwhile: $(grep -c disk /run/load) x 4 MB to the disk and back, $(grep -c echo /run/load) x 2,100 echoes"
# of the readers whose disk was ejected, and of commands that were told of units that come and go
allowed="$allowed
(I/O error|offline error|critical .* error).* sd[b-z]
hv_storvsc .* tag#.* status: scsi 0x2 srb 0x(a0|84)
LUN assignments on this target have changed
storvsc_on_io_completion: .* callbacks suppressed"
check "no warning in dmesg" no_warnings
exit "$failed"
