# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock guest's initramfs, as `-- sh -c "$(cat guest.sh storage.sh)" storage CPUS
# MOVES SECTORS:TARGET:LUN:QUEUES:CHANNELS...`: is each disk, known by its size, where it was put,
# with so many queues (Linux has one for each CPU) and channels; and does the first one read the
# same while its channels move between CPUs, MOVES times?

# disk SECTORS: sets $block, and $vmbus, the device behind it
disk() {
	for block in /sys/block/sd*; do
		[ "$(cat "$block/size")" != "$1" ] || break
	done
	where=$(readlink -f "$block/device")
	vmbus=${where%/host*}
	[ "$(cat "$block/size")" = "$1" ]
}

# placed SECTORS TARGET LUN QUEUES CHANNELS: a SCSI disk's instance says its controller, an IDE
# disk's its target
placed() {
	disk "$1" || { echo "no disk of $1 sectors"; return 1; }
	echo "${where##*/} $vmbus: $(ls "$vmbus/channels"), queues $(ls "$block/mq")"
	case ${where##*/} in
	*:0:$2:$3) ;;
	*) return 1 ;;
	esac
	# shellcheck disable=SC2012 # numbers
	[ "$(ls "$block/mq" | wc -l)" -eq "$4" ] && [ "$(ls "$vmbus/channels" | wc -l)" -eq "$5" ] &&
		dd if="/dev/${block##*/}" of=/dev/null bs=64k count=8
}

sum() {
	dd if="/dev/${block##*/}" bs=64k 2>/dev/null | sha256sum
}

# The page cache is dropped, for busybox's dd knows no O_DIRECT everywhere.
read_on() {
	while [ -e /run/load ]; do
		echo 3 >/proc/sys/vm/drop_caches
		[ "$(sum)" = "$1" ] || echo "other data" >>/run/wrong
	done
}

# moved MOVES: its channels from CPU to CPU, under load
moved() {
	before=$(sum)
	: >/run/load
	: >/run/wrong
	read_on "$before" &
	read_on "$before" &
	n=0
	while [ "$n" -lt "$1" ]; do
		for channel in "$vmbus"/channels/*; do
			n=$((n + 1))
			echo $((n * 7 % cpus)) >"$channel/cpu" || echo "not moved" >>/run/wrong
		done
	done
	rm /run/load
	wait
	cat /run/wrong
	[ ! -s /run/wrong ] && [ "$(sum)" = "$before" ]
}

cpus=$1 moves=$2 first=${3%%:*}
shift 2
for place; do
	# shellcheck disable=SC2046 # words
	check "disk $place" placed $(echo "$place" | tr : ' ')
done
disk "$first" && check "moves" moved "$moves"
check "no warnings" no_warnings
exit "$failed"
