# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2086 # see guest.sh; the functions are called by check; numbers
# Units of the bay that change while a stock Debian guest uses them: a drive's discs, a disk's size.
# For scsi.sh, behind guest.sh and uio.sh. The bay's discs have the files data and sum, and one
# called by the disc's number.

# bay_begin FILE: the plug device, driven by the program in FILE
bay_begin() {
	install "$1" /usr/local/bin/uio_guest && modprobe uio_hv_generic || return
	plug_device=$(vmbus_devices "$plug_class")
	uio_bind "$plug_device"
}

# told OP COUNT: the bay did it
told() {
	[ "$(plug $done "$1" "$2")" = 1 ]
}

# ---- A drive whose discs are swapped

# Opening a drive with an open tray would close it, and what is asked of one is to show.
drive_begin() {
	drive=$(bay_block 0)
	[ -n "$drive" ] || return
	echo 0 >/proc/sys/dev/cdrom/autoclose
	echo 200 >"/sys/block/$drive/events_poll_msecs"
	udevadm monitor --kernel --property --subsystem-match=block >/run/events 2>&1 &
	monitor=$!
	until_more 10 0 grep -c '^KERNEL' /run/events
}

# event NAME COMMAND...: after the command the kernel tells user space of that event of the drive's
event() {
	uevent=$1 seen=$(grep -c "^$1=1" /run/events)
	shift
	"$@" && until_more 10 "$seen" grep -c "^$uevent=1" /run/events
}

# until_more SECONDS NUMBER COMMAND...: the command prints more than that within that time
until_more() {
	tries=$(($1 * 5)) number=$2
	shift 2
	while [ "$("$@")" -le "$number" ]; do
		tries=$((tries - 1))
		[ "$tries" -gt 0 ] || { echo "$*: no more than $number"; return 1; }
		sleep 0.2
	done
}

# disc NUMBER: it is in the drive, and its files are right
disc() {
	mount -o ro "/dev/$drive" /mnt/bay && test -e "/mnt/bay/$1" && sums && umount /mnt/bay
}

sums() {
	echo 3 >/proc/sys/vm/drop_caches
	(cd /mnt/bay && sha256sum -c sum)
}

no_sums() {
	! sums
}

no_disc() {
	! mount -o ro "/dev/$drive" /mnt/bay
}

swaps() {
	mkdir -p /mnt/bay
	check "the drive is there" drive_begin
	check "the drive is empty" no_disc
	check "disc 1 is put in" event DISK_MEDIA_CHANGE told $bay_insert 1
	check "disc 1 is read" disc 1
	check "disc 2 takes its place" event DISK_MEDIA_CHANGE told $bay_insert 2
	check "disc 2 is read" disc 2
	check "disc 2 is mounted" mount -o ro "/dev/$drive" /mnt/bay
	check "the button while it is mounted" event DISK_EJECT_REQUEST told $bay_eject 0
	check "disc 2 is still read" sums
	check "disc 1 takes its place while it is mounted" event DISK_MEDIA_CHANGE told $bay_insert 1
	check "disc 1 is not taken for disc 2" no_sums
	check "disc 2 is let go of" umount /mnt/bay
	check "disc 1 is read again" disc 1
	check "the guest ejects it" event DISK_MEDIA_CHANGE eject "/dev/$drive"
	check "the drive is open" no_disc
	check "the guest loads it" event DISK_MEDIA_CHANGE eject -t "/dev/$drive"
	check "disc 1 is read once more" disc 1
	check "the button" event DISK_MEDIA_CHANGE told $bay_eject 0
	check "the drive is open again" no_disc
	check "disc 2 is put in" event DISK_MEDIA_CHANGE told $bay_insert 2
	check "disc 2 is read once more" disc 2
	check "the disc is taken out" event DISK_MEDIA_CHANGE told $bay_insert 0
	check "the drive is empty again" no_disc
	kill "$monitor"
}

# ---- A disk whose size changes

size() {
	lsblk -b -d -n -o SIZE "/dev/$grows"
}

# Linux's storvsc looks again by itself where a command ends with a unit attention, 2A/09, be it one
# of the scan that it is asked for; no rescan by hand.
resized() {
	check "a disk comes" told $bay_add 1
	check "it is there" until_equal 20 1 sh -c "ls -d $bay/host*/target*/*:0:0:1/block/* | wc -l"
	grows=$(bay_block 1)
	check "its size" until_equal 5 16777216 size
	check "it shrinks" told $bay_resize 8
	check "an idle guest sees it" until_equal 10 8388608 size
	verify_on resize "/dev/$grows" 4m
	check "it grows under I/O" told $bay_resize 28
	check "a busy guest sees it" until_equal 10 29360128 size
	verify_off resize
	check "what it has grown by is read and written" sh -c "dd if=/dev/urandom of=/run/grown bs=1M count=4 &&
		dd if=/run/grown of=/dev/$grows bs=1M seek=24 oflag=direct &&
		dd if=/dev/$grows bs=1M skip=24 iflag=direct | cmp - /run/grown"
	check "it goes" told $bay_remove 1
	check "it is gone" until_equal 10 '' bay_block 1
}
