# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2034 # read in by guests, which has the rest
# Power cuts: what a stock guest was told is durable is there afterwards, and its file systems are
# whole.
#
# Each of the guest's disks is a dm-log-writes target, which logs a write when it is durable: it
# ended with FUA, or a FLUSH that came after its end has ended (the kernel's page cache, which
# outlives candela, counts for nothing). In the guest cut_load.c makes things durable and says so;
# each line is a mark in the log, made after it was read. candela is killed in the middle, and with
# it what serves its disks. Then cut_log.c looks up in the log whether what was synced had become
# durable before the mark, and makes the disks as they would be had the power failed at moments of
# the run, with a random part of what was not durable yet; each time the file system must recover
# and be clean, and hold all that was acknowledged before the mark. With cache=unsafe, where a flush
# does nothing, the same must find that something was lost.
#
# It needs root: device mapper, loop devices, and mounts of what a guest made; and up to 3 GiB of
# memory. Where something was lost, CANDELA_CUT_KEEP names a directory that logs and lines are
# copied to, for cut_log and cut_check by hand.

cut_disks=0 # how many are set up
cut_guest='' # candela, while it runs
cut=$scratch/cut

# cut_name N: the device of disk N
cut_name() {
	echo "candela-cut-$$-$1"
}

# cut_skip: why power cuts cannot be tested here; nothing where they can
cut_skip() {
	if [ "$(id -u)" -ne 0 ]; then
		echo "needs root"
	else
		for module in loop ext4 xfs dm_mod; do
			modprobe -q $module
		done
		modprobe -q dm-log-writes || echo "this kernel has no dm-log-writes"
	fi
}

# cut_run NAME TEST...: run, or say why not
cut_run() {
	selected "$1" || return 0
	why=$(cut_skip)
	if [ -z "$why" ]; then
		run "$@"
	else
		skip "$1" "$why"
	fi
}

# cut_megabytes N: the size that the guest sees, and tells it by
cut_megabytes() {
	echo $((320 + $1 * 2))
}

# cut_path N SPEC: what candela opens as disk N
cut_path() {
	case $2 in
	*@*) echo "$cut/host$1/disk" ;;
	*/nbd=*) echo "nbd+unix:///?socket=$cut/nbd$1" ;;
	*) echo "/dev/mapper/$(cut_name "$1")" ;;
	esac
}

# cut_fs SPEC and cut_host_fs SPEC: the guest's file system; and the host's where the disk is a file
cut_fs() {
	echo "${1%%[@/,]*}"
}

cut_host_fs() {
	expr "$1" : '[^,@]*@\([a-z0-9]*\)'
}

# cut_image N SPEC: what is to be on the device before the guest is
cut_image() {
	case $2 in
	*@*)
		"mkfs.$(cut_host_fs "$2")" -q "/dev/mapper/$(cut_name "$1")" && mkdir -p "$cut/host$1" &&
			mount "/dev/mapper/$(cut_name "$1")" "$cut/host$1" &&
			truncate -s "$(cut_megabytes "$1")M" "$cut/host$1/disk" ;;
	*qcow2*) qemu-img create -q -f qcow2 "$(cut_path "$1" "$2")" "$(cut_megabytes "$1")M" ;;
	esac
}

# cut_serve N SPEC: the server of disk N, where it has one, with what that does with its page cache
cut_serve() {
	case $2 in
	*/nbd=*)
		mode=${2#*/nbd=}
		qemu-nbd --fork --persistent --pid-file="$cut/nbd$1.pid" --cache="${mode%%,*}" -f raw \
			-k "$cut/nbd$1" "/dev/mapper/$(cut_name "$1")" ;;
	esac
}

# cut_up N SPEC: disk N
cut_up() {
	megabytes=$(cut_megabytes "$1")
	case $2 in
	*@* | *qcow2*) megabytes=$((megabytes + 96)) ;;
	esac
	truncate -s "${megabytes}M" "$cut/base$1" && truncate -s 2G "$cut/log$1" || return
	base=$(losetup -f --show "$cut/base$1") && echo "$base" >>"$cut/loops" &&
		log=$(losetup -f --show "$cut/log$1") && echo "$log" >>"$cut/loops" || return
	dmsetup create "$(cut_name "$1")" --table "0 $(blockdev --getsz "$base") log-writes $base $log" ||
		return
	cut_disks=$(($1 + 1))
	dmsetup mknodes "$(cut_name "$1")" && cut_image "$1" "$2" && cut_serve "$1" "$2"
}

# cut_kill: candela, while it runs, and the servers of its disks, all at once
cut_kill() {
	# shellcheck disable=SC2046,SC2086 # words
	kill -9 $cut_guest $(cat "$cut"/nbd*.pid 2>/dev/null) 2>/dev/null
	rm -f "$cut"/nbd*.pid
	cut_guest=''
}

# cut_off DIRECTORY: nothing is mounted there, any more
cut_off() {
	while mountpoint -q "$1"; do
		umount "$1" || return
	done
}

# cut_release N: disk N is taken down; not at once, for the kernel lets go of what io_uring had open
# a while after candela's end
cut_release() {
	for _ in $(seq 1 20); do
		! { cut_off "$cut/host$1" && dmsetup remove "$(cut_name "$1")"; } 2>/dev/null || return 0
		sleep 0.5
	done
	echo "$(cut_name "$1") is in use and was left behind" >&2
}

# cut_down: gives back what cut_up took, as far as it came; the logs are whole then. Interrupted, it
# may find candela running.
cut_down() {
	cut_kill
	cut_off "$cut/mnt"
	while [ "$cut_disks" -gt 0 ]; do
		cut_disks=$((cut_disks - 1))
		cut_release $cut_disks
	done
	[ ! -e "$cut/loops" ] || while read -r loop; do
		losetup -d "$loop"
	done <"$cut/loops"
	rm -f "$cut/loops"
}

# cut_forget: its files, too; what is still in use is at least out of the way
cut_forget() {
	cut_down
	cut_off "$cut" || umount -R -l "$cut"
}

# cut_acked N: how many lines there are of disk N
cut_acked() {
	grep -c " $1 [a-z]* w" "$cut/lines"
}

# cut_until SECONDS COMMAND...: while candela runs, until the command succeeds
cut_until() {
	tries=$(($1 * 5))
	shift
	while [ -d "/proc/$pid" ] && [ $tries -gt 0 ]; do
		! "$@" || return 0
		tries=$((tries - 1))
		sleep 0.2
	done
	return 1
}

cut_formatted() {
	[ "$(grep -c formatted "$cut/lines")" -eq $cut_disks ]
}

cut_busy() {
	for n in $(seq 0 $((cut_disks - 1))); do
		[ "$(cut_acked "$n")" -ge 20 ] || return
	done
}

# cut_begin BACKEND CPUS SPEC...: sets up the disks and starts, in the background, a guest with them
# and what marks their logs; sets $pid and $marker
cut_begin() {
	backend=$1 cpus=$2 n=0 options='' formats='' targets=''
	shift 2
	for spec; do
		cut_up $n "$spec" || return
		options="$options --disk $(cut_path $n "$spec"),${spec#*,}"
		formats="$formats ${spec%%,*}:$(($(cut_megabytes $n) * 2048))"
		targets="$targets $(cut_name $n)"
		n=$((n + 1))
	done
	cp "$build/tests/boot/cut_load" "$cut/program" && truncate -s 4M "$cut/program" &&
		mkfifo "$cut/pipe" && : >"$cut/lines" || return
	# shellcheck disable=SC2086 # words
	"$build/tests/boot/cut_log" mark "$cut/lines" $targets <"$cut/pipe" &
	marker=$!
	# shellcheck disable=SC2086 # words
	"$candela" run -v --kernel "$vmlinuz" --initrd "$initrd" --console "file:$scratch/console" --timeout 300 \
		--memory 512M --cpus "$cpus" --hyperv "$backend" --append 'root=LABEL=root rw' \
		--disk "$disk,ephemeral" --disk "$cut/program,ro" $options -- \
		sh -c "$(cat "$tests/guest.sh" "$tests/cut.sh")" cut "$seed" 3 8192 $formats \
		>"$cut/pipe" 2>"$scratch/err" </dev/null &
	pid=$! cut_guest=$!
}

# cut_rest SECONDS: that long, or until half of the room for logs is taken
cut_rest() {
	for _ in $(seq 1 "$1"); do
		[ "$(df --output=pcent "$cut" | tr -dc 0-9)" -lt 50 ] || return 0
		sleep 1
	done
}

# cut_load SECONDS BACKEND CPUS SPEC...: a guest with those disks is under load for that time, then
# killed
cut_load() {
	seconds=$1
	shift
	cut_begin "$@" || return
	shift 2
	cut_until 200 cut_formatted && cut_flush "$@" && cut_rest "$seconds" && cut_until 120 cut_busy
	busy=$?
	cut_kill
	wait "$pid" 2>/dev/null
	status=$?
	wait "$marker" || return
	! grep trouble "$cut/lines" || return
	if [ $busy -ne 0 ]; then
		# killed because nothing came is what a time limit is
		[ "$status" -ne 137 ] || status=124
		echo "exit status $status, wanted 137"
		grep FAIL -A 3 "$cut/lines"
		return 1
	fi
}

# cut_flush SPEC...: what has been written to a disk with cache=unsafe goes down for this one time,
# so that it has a file system whatever comes
cut_flush() {
	n=0
	for spec; do
		case $spec in
		*unsafe*) dd if=/dev/null of="/dev/mapper/$(cut_name $n)" conv=notrunc,fsync 2>/dev/null ;;
		esac
		n=$((n + 1))
	done
}

# cut_recover FS HOW: mounts $cut/now at $cut/mnt, so that the journal is replayed; with HOW odd,
# and ext4, by e2fsck before
cut_recover() {
	if [ "$1" = ext4 ] && [ $(($2 % 2)) -eq 1 ]; then
		e2fsck -p "$cut/now" >"$cut/fsck" 2>&1 || [ $? -eq 1 ] || { cat "$cut/fsck"; return 1; }
	fi
	mkdir -p "$cut/mnt" && mount -t "$1" -o loop "$cut/now" "$cut/mnt"
}

# cut_clean FS: $cut/now is whole
cut_clean() {
	case $1 in
	ext4) e2fsck -fn "$cut/now" ;;
	xfs) xfs_repair -n "$cut/now" ;;
	esac >"$cut/fsck" 2>&1 || { tail -n 20 "$cut/fsck"; echo "the file system is not clean"; return 1; }
}

# cut_raw SPEC: what was an image of another format, or had a file system with the disk in it,
# becomes that disk
cut_raw() {
	case $1 in
	*@*)
		cut_recover "$(cut_host_fs "$1")" 0 && cp --sparse=always "$cut/mnt/disk" "$cut/raw" &&
			umount "$cut/mnt" && cut_clean "$(cut_host_fs "$1")" && mv "$cut/raw" "$cut/now" ;;
	*qcow2*)
		# clusters that nobody uses (3) are no loss
		qemu-img check -q -f qcow2 "$cut/now" || [ $? -eq 3 ] || return
		qemu-img convert -f qcow2 -O raw "$cut/now" "$cut/raw" && mv "$cut/raw" "$cut/now" ;;
	esac
}

# cut_moment N SPEC MARK HOW: $cut/now is disk N as the power cut left it
cut_moment() {
	fs=$(cut_fs "$2")
	cut_off "$cut/mnt" || return
	cut_raw "$2" && cut_recover "$fs" "$4" || return
	"$build/tests/boot/cut_check" "$cut/mnt" "$1" "$3" <"$cut/lines" >"$cut/checked"
	lost=$?
	tail -n 5 "$cut/checked"
	umount "$cut/mnt" && [ $lost -eq 0 ] && cut_clean "$fs"
}

# cut_moments N SPEC POINTS: all of them, for disk N; the moments that lost something or are not
# clean are told in $cut/bad, the figures of all in $figures
cut_moments() {
	truncate -s 0 "$cut/image" && truncate -r "$cut/base$1" "$cut/image" || return
	formatted=$(sed -n "s/ $1 formatted.*//p" "$cut/lines")
	"$build/tests/boot/cut_log" plan "$cut/log$1" "$formatted" "$3" $((seed + $1)) "$1" \
		<"$cut/lines" >"$cut/plan" || return
	: >"$cut/bad"
	from=0 moments=0 acked=0
	tail -n +2 "$cut/plan" >"$cut/points"
	while read -r entry mark; do
		"$build/tests/boot/cut_log" apply "$cut/log$1" "$cut/image" "$from" "$entry" &&
			cp --sparse=always "$cut/image" "$cut/now" &&
			"$build/tests/boot/cut_log" tear "$cut/log$1" "$cut/now" "$entry" $((seed + entry)) || return
		from=$entry moments=$((moments + 1))
		cut_moment "$1" "$2" "$mark" $moments >"$cut/said" 2>&1 ||
			{ echo "disk $1, $2, entry $entry, mark $mark:"; cat "$cut/said"; } >>"$cut/bad"
		looked=$(sed -n 's/ acknowledged,.*//p' "$cut/said")
		acked=$((acked + ${looked:-0}))
	done <"$cut/points"
	echo "$2: $moments power cuts, $(grep -c ^disk "$cut/bad") of them bad; $acked acknowledged syncs looked at," \
		"$(sed -n 's/.* acknowledged, \([0-9]*\) lost/\1/p' "$cut/bad" | awk '{ n += $1 } END { print n + 0 }') lost" \
		"($(head -n 1 "$cut/plan"))" >>"$figures"
}

# cut_judge SPEC: what has been found is as it must be
cut_judge() {
	case $1 in
	*unsafe*) grep -q ' acknowledged, [1-9][0-9]* lost' "$cut/bad" || { echo "$1: nothing was lost"; return 1; } ;;
	*) cat "$cut/bad"; ! grep ' [1-9][0-9]* said too early' "$cut/plan" && [ ! -s "$cut/bad" ] ;;
	esac
}

# power_cuts BACKEND CPUS SECONDS POINTS SEED SPEC...: SPEC is FS,DISK-OPTIONS, one each disk; FS is
# ext4 or xfs; ext4/through and xfs/through, where the guest turns the write cache off; ext4@xfs and
# so on, where the disk is a file, on xfs; ext4/nbd=none and ext4/nbd=writeback, where it is that of
# an NBD server, past the server's page cache or through it
power_cuts() {
	seed=$5
	echo "power_cuts $*"
	: >"$figures"
	kernel 6.12-cloud || return
	mkdir -p "$cut" && mount -t tmpfs -o size=3G cut "$cut" || return
	power_cuts_in "$@"
	result=$?
	cut_forget
	return $result
}

power_cuts_in() {
	backend=$1 cpus=$2 seconds=$3 points=$4
	shift 5
	cut_load "$seconds" "$backend" "$cpus" "$@"
	result=$?
	# with no load, or part of it, there is nothing to look at; and the logs end here
	cut_count=$cut_disks
	cut_down
	[ $result -eq 0 ] || return
	bad=0
	for n in $(seq 0 $((cut_count - 1))); do
		cut_moments "$n" "$1" "$points" && cut_judge "$1" || bad=1
		shift
	done
	[ $bad -eq 0 ] || [ -z "${CANDELA_CUT_KEEP:-}" ] ||
		cp --sparse=always "$cut"/log* "$cut"/base* "$cut/lines" "$CANDELA_CUT_KEEP"
	return $bad
}
