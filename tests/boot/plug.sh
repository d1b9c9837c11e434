# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock guest of candela_devices, in its initramfs, as `-- sh -c "$(cat guest.sh uio.sh
# plug.sh)" plug ROUNDS ECHOES DISKS HELD`: channels come and go while the disk and the echo device
# are busy. A round adds ECHOES echo devices and DISKS SCSI controllers with a disk each, opens
# HELD of the echo devices by uio_hv_generic, reads all the new disks, and takes everything away.
#
# Two things Linux wants of a host that removes devices: that it does not rescind a channel before
# the guest has taken in the offer, so every round waits for sysfs to show all of them; and that no
# SCSI command is under way on a controller that goes (its driver would wait for it for ever, for a
# rescinded channel is not read any more), so the disks are ejected first, while they are read.

# what can be asked of the plug device, and the fields of its answer (plug_proto.h)
status=0 add_echoes=1 add_disks=2 remove_echoes=3 remove_disks=4 eject_disks=5
done=1 gone=4 refused=5

# plug FIELD OP COUNT: a command to the plug device; that field of its answer
plug() {
	uio_guest plug "$plug_device" "$2" "$3" | cut -d ' ' -f "$1"
}

devices() {
	set -- /sys/bus/vmbus/devices/*
	echo $#
}

disks() {
	set -- /sys/block/sd*
	[ -e "$1" ] || set --
	echo $#
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

rounds=$1 echoes=$2 disks=$3 held=$4
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
check "the disk is let go of" umount /mnt
check "disk and echo device had no trouble" [ ! -e /run/load.failed ]
cat /run/load.failed 2>/dev/null
check "they were busy" sh -c 'grep -q disk /run/load && grep -q echo /run/load'
echo "  meanwhile: $(grep -c disk /run/load) x 4 MB to the disk and back, $(grep -c echo /run/load) x 2,100 echoes"
# of the readers whose disk was ejected
allowed="$allowed
(I/O error|offline error|critical .* error).* sd[b-z]
hv_storvsc .* tag#.* status: scsi 0x2 srb 0xa0
storvsc_on_io_completion: .* callbacks suppressed"
check "no warning in dmesg" no_warnings
exit "$failed"
