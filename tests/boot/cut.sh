# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock guest, on the Debian disk, as `-- sh -c "$(cat guest.sh cut.sh)" cut SEED
# WRITERS PROGRAM FS:SECTORS...`: makes a file system on each disk of so many sectors, with a small
# journal, and puts cut_load on it, which is on the disk of PROGRAM sectors. FS is ext4 or xfs, with
# /through behind it where the disk's write cache is to be turned off, or with @ and whatever where
# discards are welcome. Says "N formatted" of disk N, N from 0, when that is durable; the rest is
# cut_load's. Runs until the power is cut.

# node SECTORS: the disk of that size; which is which is chance
node() {
	for block in /sys/block/sd*; do
		[ "$(cat "$block/size")" != "$1" ] || echo "/dev/${block##*/}"
	done
}

# cache FS NODE
cache() {
	case $1 in
	*/through)
		for type in "/sys/block/${2##*/}"/device/scsi_disk/*/cache_type; do
			echo 'write through' >"$type" && [ "$(cat "$type")" = 'write through' ]
		done ;;
	esac
}

# format FS NODE
format() {
	case $1 in
	ext4*) mkfs.ext4 -q -F -J size=4 "$2" ;;
	xfs*) mkfs.xfs -q -f --unsupported -l size=16m "$2" ;;
	esac
}

seed=$1 writers=$2
check "the program is there" dd if="$(node "$3")" of=/run/cut_load bs=64k
check "... and can be run" chmod 755 /run/cut_load
shift 3
n=0
for spec; do
	fs=${spec%:*} node=$(node "${spec#*:}")
	mkdir -p "/run/disk$n"
	check "disk $n: write cache" cache "$fs" "$node"
	check "disk $n: mkfs.$fs" format "$fs" "$node"
	options=rw
	case $fs in
	*@*) options=discard ;;
	esac
	check "disk $n: mount" mount -t "${fs%%[/@]*}" -o $options "$node" "/run/disk$n"
	check "disk $n: sync" sync -f "/run/disk$n"
	echo "$n formatted"
	n=$((n + 1))
done
[ "$failed" -eq 0 ] || exit 1
sleep 2
n=0
for spec; do
	/run/cut_load $n "/run/disk$n" $((seed + n)) "$writers" &
	n=$((n + 1))
done
wait
exit 1
