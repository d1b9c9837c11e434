# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=sh
# cache.sh: the cache of downloads and images. Sourced after lib.sh; sets $cache.
#
# Layout: KIND/KEY/ is one finished entry, never changed again; tmp/KIND-KEY/ is one being made;
# lock/KIND-KEY is the lock held meanwhile. An entry is made aside and renamed into place, so a
# reader sees all of it or nothing, an interrupted build leaves only a tmp/ folder that the next
# one clears, and two builders of one entry wait for each other. The key holds a hash of the recipe
# and what it was made from, so a changed recipe or package makes a new entry; entries of a kind
# that were not used for 30 days are removed when another of the kind is made.

cache_init() {
	cache=${CANDELA_CACHE:-${XDG_CACHE_HOME:-$(home_directory)/.cache}/candela}
	case $cache in
	/*) ;;
	*) cache=$PWD/$cache ;;
	esac
	case $cache in
	*:*) die "the cache's path may not contain a colon: $cache (set CANDELA_CACHE)" ;;
	esac
	if ! mkdir -p -- "$cache/lock" "$cache/tmp" 2>/dev/null || [ ! -w "$cache/lock" ]; then
		die "cannot write the cache $cache: set CANDELA_CACHE to a directory of yours"
	fi
	if [ ! -e "$cache/CACHEDIR.TAG" ]; then
		echo 'Signature: 8a477f597d28d172789f06886806bc55' >"$cache/CACHEDIR.TAG"
	fi
}

# cache_hash FILE...: eight hex digits that change with the contents of the files (- is stdin)
cache_hash() {
	cat "$@" | sha256sum | cut -c1-8
}

# cache_name STRING: the string as one path component
cache_name() {
	printf '%s' "$1" | tr -c 'A-Za-z0-9._+~-' '_'
}

# cache_locked NAME FUNCTION [ARG...]: run the function while holding the lock NAME
cache_locked() {
	lock_name=$1
	shift
	(
		if ! flock -n 9; then
			say "waiting for another run that makes $lock_name"
			flock 9
		fi
		"$@"
	) 9>"$cache/lock/$lock_name"
}

# cache_entry KIND KEY FUNCTION [ARG...]: print the entry's path; where it is missing,
# FUNCTION DIRECTORY ARG... fills an empty directory that becomes the entry
cache_entry() {
	entry=$cache/$1/$2
	if [ ! -d "$entry" ]; then
		cache_locked "$1-$2" cache_build "$@" >&2
	fi
	touch -c -- "$entry" 2>/dev/null || :
	printf '%s\n' "$entry"
}

# the body of cache_entry under its lock; the entry may have appeared while we waited for that
cache_build() {
	if [ -d "$cache/$1/$2" ]; then
		return
	fi
	build_kind=$1 build_key=$2 build_function=$3
	shift 3
	build_dir=$cache/tmp/$build_kind-$build_key
	rm -rf -- "$build_dir"
	mkdir -p -- "$build_dir" "$cache/$build_kind"
	"$build_function" "$build_dir" "$@"
	find "$cache/$build_kind" -mindepth 1 -maxdepth 1 -type d -mtime +30 -exec rm -rf -- {} +
	mv -T -- "$build_dir" "$cache/$build_kind/$build_key"
}
