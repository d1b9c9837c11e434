# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh disable=SC2154,SC2317,SC2086,SC2015 # see guest.sh; the functions are called by check
# Runs inside a stock guest's initramfs, as `-- sh -c "$(cat guest.sh devices.sh vmbus.sh)" vmbus
# CPUS VERSION MOVES BINDS CYCLES`: is the VMBus of that version, are its attributes those of the
# protocol, and do disk and NIC work on
#	while their channels move between CPUs (MOVES times),
#	after drivers let go of them and take them again, in the middle of I/O (BINDS times),
#	after the drivers and the bus itself are unloaded and loaded (CYCLES times)?
# I/O that a device is taken from ends, with an error or without: it never hangs.

# ---- Attributes --------------------------------------------------------------------------------

# number FILE LOW HIGH: it holds one number, within these bounds; sets $value
number() {
	read -r value <"$1"
	case $value in
	'' | *[!0-9]*) false ;;
	*) [ "$value" -ge "$2" ] && [ "$value" -le "$3" ] ;;
	esac && return
	echo "$1: $value, wanted $2 to $3"
	return 1
}

# text FILE WANTED
text() {
	read -r value <"$1"
	[ "$value" = "$2" ] && return
	echo "$1: $value, wanted $2"
	return 1
}

# readable DIR: every attribute in it can be read
readable() {
	for file in "$1"/*; do
		if [ -f "$file" ] && [ -n "$(find "$file" -perm -444)" ] && ! cat "$file" >/dev/null; then
			echo "$file cannot be read"
			return 1
		fi
	done
}

# ring DEVICE in|out: empty, and its bytes, indices and mask fit each other
ring() {
	number "$1/$2_intr_mask" 0 1 && number "$1/$2_read_bytes_avail" 0 0 &&
		number "$1/$2_write_bytes_avail" 4096 16777216 || return
	size=$value
	number "$1/$2_read_index" 0 $((size - 1)) && number "$1/$2_write_index" 0 $((size - 1)) &&
		text "$1/$2_read_index" "$(cat "$1/$2_write_index")" && [ $((size % 4096)) -eq 0 ]
}

# no_monitor DIR: no device asks for it, so there is nothing of it
no_monitor() {
	for file in "$1"/*monitor* "$1/pending" "$1/latency"; do
		[ ! -e "$file" ] || { echo "$file is there"; return 1; }
	done
}

# channel DIR DEVICE: a primary channel that has carried packets
channel() {
	for file in out_mask in_mask; do
		number "$1/$file" 0 1 || return
	done
	for file in intr_in_full intr_out_empty out_full_first out_full_total; do
		[ ! -e "$1/$file" ] || number "$1/$file" 0 1000000000 || return
	done
	text "$1/read_avail" 0 && text "$1/write_avail" "$(cat "$2/out_write_bytes_avail")" &&
		number "$1/cpu" 0 $((cpus - 1)) && text "$1/subchannel_id" 0 &&
		number "$1/interrupts" 1 1000000000 && number "$1/events" 1 1000000000 && no_monitor "$1"
}

# attributes CLASS
attributes() {
	device "$1" && read -r relid <"$dev/id" || return
	readable "$dev" && readable "$dev/channels/$relid" && number "$dev/id" 1 2047 &&
		text "$dev/class_id" "{$1}" && text "$dev/device_id" "{${dev##*/}}" &&
		text "$dev/state" 3 && no_monitor "$dev" &&
		text "$dev/modalias" "vmbus:$(echo "$1" |
			sed 's/\(..\)\(..\)\(..\)\(..\)-\(..\)\(..\)-\(..\)\(..\)-/\4\3\2\1\6\5\8\7/; s/-//g')" &&
		text "$dev/vendor" 0x1414 && ring "$dev" in && ring "$dev" out &&
		channel "$dev/channels/$relid" "$dev" &&
		grep -q "^$relid:$(cat "$dev/channels/$relid/cpu")\$" "$dev/channel_vp_mapping"
}

# ---- Channels on other CPUs --------------------------------------------------------------------

# callbacks CPU: the VMBus's interrupts that CPU took
callbacks() {
	awk -v at=$(($1 + 2)) '$1 == "HYP:" { print $at }' /proc/interrupts
}

# move CLASS CPU: all channels of the device there, and the value reads back
move() {
	device "$1" || return
	for file in "$dev"/channels/*/cpu; do
		echo "$2" >"$file" && text "$file" "$2" || return
	done
}

# interrupts_follow CPU: those of the disk, where nothing else is about; some are late after a move
interrupts_follow() {
	move $storvsc "$1" && disk_works || return
	other=$((1 - $1))
	there=$(callbacks "$1") elsewhere=$(callbacks $other)
	disk_read >/dev/null
	there=$(($(callbacks "$1") - there)) elsewhere=$(($(callbacks $other) - elsewhere))
	echo "disk on CPU $1: $there interrupts there, $elsewhere elsewhere"
	[ "$there" -ge 16 ] && [ "$elsewhere" -lt 8 ]
}

# load NAME COMMAND...: over and over until unload; each success is a line in /run/NAME.done, each
# failure stops it
load() {
	load_name=$1
	shift
	: >"/run/$load_name.done"
	: >/run/load
	while [ -e /run/load ]; do
		"$@" || { echo "failed" >"/run/$load_name.failed"; return; }
		echo once >>"/run/$load_name.done"
	done &
}

# unload NAME...: they went on and saw no failure
unload() {
	rm -f /run/load
	wait
	for load_name; do
		echo "$load_name: $(grep -c once "/run/$load_name.done") times"
		[ -s "/run/$load_name.done" ] && [ ! -e "/run/$load_name.failed" ] || return
	done
}

same_reads() {
	[ "$(disk_read)" = "$(cat $reads)" ]
}

# moving TIMES: both devices' channels back and forth, under load
moving() {
	load disk same_reads
	load net nic_works
	at=0
	while [ "$at" -lt "$1" ]; do
		if ! { move $storvsc $((at % cpus)) && move $netvsc $((at / 2 % cpus)); }; then
			unload
			return 1
		fi
		at=$((at + 1))
	done
	unload disk net
}

# ---- Drivers that come and go ------------------------------------------------------------------

# ended PID: within a minute; a hung one is left behind
ended() {
	gone() { ! kill -0 "$1" 2>/dev/null; }
	within 60 gone "$1" || return
	wait "$1"
	return 0
}

# rebind DRIVER CLASS COMMAND...: unbound while COMMAND is in the middle of it, then bound again
rebind() {
	driver=$bus/drivers/$1
	device "$2"
	instance=${dev##*/}
	shift 2
	"$@" >/dev/null 2>&1 &
	sleep 0."$((round % 4))"
	echo "$instance" >"$driver/unbind" && ended $! && [ ! -e "$driver/$instance" ] &&
		text "$bus/devices/$instance/state" 2 && echo "$instance" >"$driver/bind" &&
		[ -e "$driver/$instance" ]
}

disk_busy() {
	dd if="$(disk_node)" of=/dev/null bs=64k iflag=direct
}

net_busy() {
	timeout 20 wget -q -T 2 -O /dev/null http://10.0.2.2:8123/data
}

rebinding() { # TIMES
	round=0
	while [ "$round" -lt "$1" ]; do
		if ! { rebind hv_storvsc $storvsc disk_busy && disk_works &&
			rebind hv_netvsc $netvsc net_busy && nic_works; }; then
			echo "round $round"
			return 1
		fi
		round=$((round + 1))
	done
}

# hv_modules: those loaded that use hv_vmbus, users of one before it
hv_modules() {
	for module in hv_sock hv_balloon hv_utils hyperv_keyboard hv_netvsc hv_storvsc uio_hv_generic; do
		[ ! -d /sys/module/$module/holders ] || echo $module
	done
}

# reloading TIMES: without the bus where it is built in
reloading() {
	left=$1
	while [ "$left" -gt 0 ]; do
		for module in $(hv_modules); do
			rmmod "$module" || return
		done
		[ ! -d /sys/module/hv_vmbus/holders ] || [ "$built_in" ] || rmmod hv_vmbus || return
		for module in hv_vmbus hv_storvsc hv_netvsc hv_utils; do
			modprobe "$module" || return
		done
		disk_works && nic_works || return
		left=$((left - 1))
	done
}

# counters: what the guest counted, for the host to compare with its own
counters() {
	for which in $storvsc $netvsc; do
		device "$which" && read -r relid <"$dev/id"
		for what in interrupts events; do
			echo "counter $relid $what $(cat "$dev/channels/$relid/$what")"
		done
	done
}

# said of I/O that a disk was taken from
allowed="$allowed
(device offline|I/O|Buffer I/O) error,? (on )?dev sd"
cpus=$1 built_in=''
! grep -q '/hv_vmbus.ko$' "/lib/modules/$(uname -r)/modules.builtin" || built_in=yes
within 30 disk_node >/dev/null && disk_read >$reads
check "the VMBus is of version $2" sh -c "dmesg | grep -q 'Vmbus version:$2\$'"
check "the NIC works" nic_works
# A packet may come between two of them, of a NIC's at any time.
check "attributes of the disk's controller" within 20 attributes $storvsc
check "attributes of the NIC" within 20 attributes $netvsc
if [ "$cpus" -gt 1 ]; then
	check "interrupts follow to CPU 1" interrupts_follow 1
	check "interrupts follow to CPU 0" interrupts_follow 0
fi
check "channels move $3 times under load" moving "$3"
counters
check "drivers are bound anew $4 times under I/O" rebinding "$4"
check "modules are loaded anew $5 times" reloading "$5"
check "attributes of the disk's controller, after that" within 20 attributes $storvsc
check "attributes of the NIC, after that" within 20 attributes $netvsc
check "no warning in dmesg" no_warnings
exit "$failed"
