#!/bin/sh
# Makes Sources/CRhythmProto out of rhythm/v1/rhythm.proto; run it after every change of that file.
#
#   proto/generate.sh           writes the files
#   proto/generate.sh --check   writes nothing; exit 1 and a diff if the committed files are not what would be written
#
# protoc-c would make a `string` field a NUL-terminated pointer: a NUL inside would cut the text unseen, and every text
# to be sent would first have to be copied to get a NUL behind it. On the wire `string` and `bytes` are the same, so the
# C code is made of a copy in which every string field is a bytes field; RhythmWire checks that they hold UTF-8.
#
# Needs protoc-c and its include files (Debian: protobuf-c-compiler, libprotobuf-c-dev, libprotobuf-dev).
set -eu

proto=$(cd "$(dirname "$0")" && pwd)
target=$proto/../Sources/CRhythmProto
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A proto3 `optional` is refused by protoc-c 1.4; say it here, where the way out is known.
if grep -nE '^ *optional ' "$proto/rhythm/v1/rhythm.proto"; then
    echo "proto3 optional is not understood by protoc-c: use a oneof with one member" >&2
    exit 1
fi

mkdir -p "$work/in/rhythm/v1" "$work/c" "$work/out/include"
sed -E \
    -e 's/^( *(repeated )?)string ([a-z_0-9]+ = [0-9]+;)/\1bytes \3/' \
    -e 's|^package rhythm.v1;|&\nimport "protobuf-c/protobuf-c.proto";\
option (pb_c_file).c_package = "rhythm";\noption (pb_c_file).gen_pack_helpers = false;|' \
    "$proto/rhythm/v1/rhythm.proto" > "$work/in/rhythm/v1/rhythm.proto"
protoc-c --proto_path="$work/in" --proto_path=/usr/include --c_out="$work/c" rhythm/v1/rhythm.proto
cp "$work/c/rhythm/v1/rhythm.pb-c.h" "$work/out/include/rhythm.pb-c.h"
sed 's|#include "rhythm/v1/rhythm.pb-c.h"|#include "rhythm.pb-c.h"|' \
    "$work/c/rhythm/v1/rhythm.pb-c.c" > "$work/out/rhythm.pb-c.c"

if [ "${1:-}" = "--check" ]; then
    if ! diff -ru "$target" "$work/out"; then
        echo "Sources/CRhythmProto is not what proto/generate.sh makes: run it and commit the result" >&2
        exit 1
    fi
    exit 0
fi
mkdir -p "$target/include"
cp "$work/out/rhythm.pb-c.c" "$target/"
cp "$work/out/include/rhythm.pb-c.h" "$target/include/"
