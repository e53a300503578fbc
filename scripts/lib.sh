# Sourced by the scripts that mount a vault for a while: where things are, and how to leave
# nothing behind. Not a program.

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PATH="$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin"

fail() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# Prints the header comment of the script as its help.
usage() { sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "$0"; }

need_fuse() {
    [[ -c /dev/fuse ]] ||
        fail "no /dev/fuse: load the fuse module (modprobe fuse) or give the container --device /dev/fuse"
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "no $tool: run scripts/setup first"
    done
}

# The program: $KEEPFS, else the one that cargo built (debug, as the tests do).
find_keepfs() {
    keepfs=${KEEPFS:-${CARGO_TARGET_DIR:-$repo/target}/${1:-debug}/keepfs}
    [[ -x $keepfs ]] || fail "$keepfs is not there: cargo build first, or set KEEPFS"
}

# A directory for this run, removed at its end together with what is mounted in it.
make_work() {
    work=$(mktemp -d "${TMPDIR:-/tmp}/keepfs-$1.XXXXXX")
    trap clean_work EXIT
}

mounts_below() { awk -v top="$1/" 'index($2, top) == 1 {print $2}' /proc/mounts | tac; }

clean_work() {
    local status=$? place
    cd /
    while read -r place; do
        "${keepfs:-false}" umount "$place" >/dev/null 2>&1 || umount "$place" 2>/dev/null ||
            fusermount3 -u "$place" 2>/dev/null || umount -l "$place" || true
    done < <(mounts_below "$work")
    [[ -n $(mounts_below "$work") ]] || rm -rf "$work"
    exit "$status"
}
