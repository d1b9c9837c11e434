# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# lib.sh: what every script in images/ shares: its words on stderr, and one long task at a time
# shown while it runs. Sourced with $images (the folder of this file) set.

say() {
	printf 'images: %s\n' "$*" >&2
}

die() {
	printf 'images: %s\n' "$*" >&2
	exit 1
}

# quote WORD...: the words so that a shell reads them back unchanged
quote() {
	for word; do
		case $word in
		'' | *[!A-Za-z0-9_./:=@%+,-]*)
			printf "'"
			# the final x keeps newlines at the end of the word
			escaped=$(printf '%sx' "$word" | sed "s/'/'\\\\''/g")
			printf "%s' " "${escaped%x}" ;;
		*) printf '%s ' "$word" ;;
		esac
	done
}

# home_directory: $HOME, or what the user database says where HOME is not set (cron, some CI)
home_directory() {
	if [ -n "${HOME:-}" ]; then
		printf '%s\n' "$HOME"
	else
		getent passwd "$(id -u)" | cut -d: -f6
	fi
}

# run_task LABEL COMMAND [ARG...]: run a long command with its output in a log, and show that it
# lives: on a terminal a line rewritten each second, else a line every 15 seconds. On failure the
# end of the log is printed and the caller ends. An interrupt ends the command's whole group.
run_task() {
	task_label=$1
	shift
	task_log=$(mktemp "${TMPDIR:-/tmp}/candela-task.XXXXXX")
	say "$task_label"
	setsid "$@" >"$task_log" 2>&1 </dev/null &
	task_pid=$!
	trap 'task_kill 129' HUP
	trap 'task_kill 130' INT
	trap 'task_kill 143' TERM
	task_watch
	task_status=0
	wait "$task_pid" || task_status=$?
	trap - HUP INT TERM
	if [ "$task_status" -ne 0 ]; then
		grep -v '^[a-z]*status:' "$task_log" | tail -n 20 >&2
		rm -f "$task_log"
		die "failed ($task_status): $task_label"
	fi
	rm -f "$task_log"
}

task_kill() {
	trap '' HUP INT TERM
	kill -TERM -- "-$task_pid" 2>/dev/null || :
	wait "$task_pid" 2>/dev/null || :
	rm -f "$task_log"
	exit "$1"
}

# task_watch: return when the task ends; poll fast at first, so that short tasks stay short
task_watch() {
	task_start=$(date +%s)
	task_polls=0
	task_told=0
	while kill -0 "$task_pid" 2>/dev/null; do
		if [ "$task_polls" -lt 20 ]; then
			task_polls=$((task_polls + 1))
			sleep 0.1
			continue
		fi
		sleep 1
		task_elapsed=$(($(date +%s) - task_start))
		if [ -t 2 ]; then
			printf '\r\033[K  %d s  %.60s' "$task_elapsed" "$(task_last_line)" >&2
			task_told=1
		elif [ $((task_elapsed - task_told)) -ge 15 ]; then
			task_told=$task_elapsed
			say "  $task_elapsed s  $(task_last_line)"
		fi
	done
	if [ -t 2 ] && [ "$task_told" -ne 0 ]; then
		printf '\r\033[K' >&2
	fi
}

# task_last_line: where the command is now; apt's status lines become a percentage
task_last_line() {
	# shellcheck disable=SC2016 # sed's own dollar
	tail -c 4000 "$task_log" | tr '\r' '\n' | sed -n '
		s/^dlstatus:[0-9]*:\([0-9]*\)[.0-9]*:\(.*\)/\1% \2/
		/[^[:space:]]/h
		${x;p;}' | tr -d '\033'
}

# human_size PATH: what it takes on disk
human_size() {
	du -sh -- "$1" | cut -f1
}
