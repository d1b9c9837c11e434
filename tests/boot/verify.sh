# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317 # see guest.sh; the functions are called by check
# Runs inside a stock Debian guest, as `-- sh -c "$(cat guest.sh values.sh verify.sh)" verify MIB
# QUEUES ROUNDS SECTORS...`: fio writes to all the disks of so many sectors at once and reads every
# block back: sizes at random, discards between them, several deep, past the page cache and through
# it. Each disk has room for 4 jobs of MIB. At the end the first half of each disk is discarded, a
# quarter zeroed.

# sizes BLOCK: requests, for a disk of such blocks; the weights in percent
sizes() {
	if [ "$(cat "/sys/block/$1/queue/logical_block_size")" = 512 ]; then
		echo 512/10:1536/10:4k/40:12k/10:64k/20:252k/10
	else
		echo 4k/50:12k/10:64k/25:252k/15
	fi
}

# section BLOCK OPTION...: of a job file
section() {
	printf '[%s]\nfilename=/dev/%s\nbssplit=%s\n' "$1$2" "$1" "$(sizes "$1")"
	shift
	printf '%s\n' "$@"
}

job() {
	printf '%s\n' '[global]' thread ioengine=io_uring iodepth=16 verify=crc32c verify_fatal=1 \
		"randseed=$seed" "size=${mib}m" "offset_increment=${mib}m" "$@"
}

# Two jobs write and read back behind themselves, two discard what they are about to write, next to
# them.
direct_job() {
	job numjobs=2 direct=1 verify_backlog=64
	for block in $blocks; do
		section "$block" rw=randwrite
		section "$block" rw=randtrimwrite "offset=$((2 * mib))m"
	done
}

# Written through the page cache and read back past it.
buffered_job() {
	job numjobs=4 end_fsync=1
	for block in $blocks; do
		section "$block" rw=randwrite
	done
}

run_fio() {
	timeout 1000 fio --minimal "$@" >/run/fio.out 2>&1 && ! grep -q 'verify:' /run/fio.out && return
	grep -v '^fio: multiple writers' /run/fio.out
	return 1
}

# transferred FIELD: KiB, of all jobs: 6 read, 47 written
transferred() {
	awk -F ';' -v field="$1" '$1 == 3 { kib += $field } END { print kib + 0 }' /run/fio.out
}

round() {
	buffered_job >/run/buffered
	check "round $1: written through the page cache" run_fio --direct=0 --do_verify=0 /run/buffered
	echo 3 >/proc/sys/vm/drop_caches
	check "round $1: read back past it" run_fio --direct=1 --verify_only /run/buffered
	check "round $1: all was read back" [ "$(transferred 6)" -ge $((4 * mib * 1024 * disks)) ]
	direct_job >/run/direct
	check "round $1: written and discarded past it, read back" run_fio /run/direct
	echo "  round $1, seed $seed: $(transferred 47) KiB written, $(transferred 6) read, at $(cut -d ' ' -f 1 /proc/uptime) s"
}

queues() {
	# shellcheck disable=SC2012 # numbers
	[ "$(ls "/sys/block/$1/mq" | wc -l)" -eq "$2" ]
}

part() {
	dd if="/dev/$1" bs=1M skip="$2" count="$3" iflag=direct 2>/dev/null
}

zero() {
	part "$1" "$2" "$3" | cmp -n $(($3 * 1048576)) - /dev/zero
}

# Discards and zeroes hit what they are to hit.
holes() {
	rest=$(part "$1" $((3 * mib)) "$mib" | sha256sum)
	blkdiscard -o 0 -l $((2 * mib))M "/dev/$1" && zero "$1" 0 $((2 * mib)) &&
		blkdiscard -z -o $((2 * mib))M -l "${mib}M" "/dev/$1" && zero "$1" $((2 * mib)) "$mib" &&
		[ "$(part "$1" $((3 * mib)) "$mib" | sha256sum)" = "$rest" ] && ! zero "$1" $((3 * mib)) "$mib"
}

mib=$1 queues=$2 rounds=$3
shift 3
disks=$# blocks=
for sectors; do
	block=$(block "$sectors")
	check "the disk of $sectors sectors has its queues" queues "$block" "$queues"
	blocks="$blocks $block"
done
n=1
while [ "$n" -le "$rounds" ] && [ "$failed" -eq 0 ]; do
	seed=$(($(date +%N | sed 's/^0*//;s/^$/0/') % 1000000 + n))
	round "$n"
	n=$((n + 1))
done
for block in $blocks; do
	check "$block: discarded and zeroed" holes "$block"
done
allowed="$allowed
.*: [0-9]+ callbacks suppressed"
check "no warnings" no_warnings
exit "$failed"
