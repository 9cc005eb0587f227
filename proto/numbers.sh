#!/bin/sh
# Keeps numbers.txt: every field number and enum value that the protocol has ever had, with its name and type. A number
# that is in use by some client somewhere must never mean anything else, so lines are added and never changed or removed,
# also when the field goes.
#
#   proto/numbers.sh           adds what is new in rhythm/v1/rhythm.proto
#   proto/numbers.sh --check   writes nothing; exit 1 if something is missing, or if a number has another meaning now
#
# Needs nothing but a POSIX shell, awk and sort; inside a git repository it also looks at the commits before.
set -eu

proto=$(cd "$(dirname "$0")" && pwd)
list=$proto/numbers.txt
now=$(mktemp)
trap 'rm -f "$now"' EXIT

# One line for each field: message or enum, number, name, type ("value" for an enum's).
awk '
    { sub(/\/\/.*/, "") }
    # Fields of a oneof belong to the message around it.
    /\{ *$/ {
        depth++
        kind[depth] = $1
        owner[depth] = $1 == "oneof" ? owner[depth - 1] : (depth > 1 ? owner[depth - 1] "." : "") $2
        next
    }
    /^ *}/ { depth--; next }
    depth > 0 && / = / {
        gsub(/;/, "")
        if (kind[depth] == "enum") { print owner[depth], $3, $1, "value" }
        else if ($1 == "repeated") { print owner[depth], $5, $3, "repeated:" $2 }
        else { print owner[depth], $4, $2, $1 }
    }
' "$proto/rhythm/v1/rhythm.proto" | LC_ALL=C sort -k1,1 -k2,2n > "$now"

fail() {
    echo "$1" >&2
    exit 1
}

touch_list=$(cat "$list" 2>/dev/null || true)
changed=$(printf '%s\n' "$touch_list" | awk '
    NR == FNR { if (NF == 4) { meaning[$1 " " $2] = $0; number[$1 " " $3] = $2 } next }
    ($1 " " $2) in meaning && meaning[$1 " " $2] != $0 { print "was \"" meaning[$1 " " $2] "\", is \"" $0 "\""; next }
    ($1 " " $3) in number && number[$1 " " $3] != $2 { print "was number " number[$1 " " $3] ", is \"" $0 "\"" }
' - "$now")
[ -z "$changed" ] || fail "numbers of rhythm.proto have changed their meaning:
$changed
give what is new a number and a name that were never used"

# Who removes a line together with its field would make the number free again.
if git -C "$proto" rev-parse --verify -q HEAD >/dev/null 2>&1; then
    for commit in HEAD HEAD^; do
        git -C "$proto" show "$commit:./numbers.txt" 2>/dev/null || true
    done | LC_ALL=C sort -u | while read -r line; do
        printf '%s\n' "$touch_list" | grep -qxF "$line" || { echo "numbers.txt has lost: $line" >&2; exit 1; }
    done || exit 1
fi

new=$(printf '%s\n' "$touch_list" | awk 'NR == FNR { known[$0] = 1; next } !($0 in known)' - "$now")
[ -n "$new" ] || exit 0
[ "${1:-}" != "--check" ] || fail "numbers.txt does not have these yet; run proto/numbers.sh and commit it:
$new"
{ printf '%s\n' "$touch_list"; printf '%s\n' "$new"; } | sed '/^$/d' | LC_ALL=C sort -k1,1 -k2,2n > "$list.new"
mv "$list.new" "$list"
