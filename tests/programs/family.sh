#!/bin/bash
# A C program that calls each function of malloc's family, and holds them to the manual.
. "$(dirname "$0")/common.sh"

# clang doesn't know gcc's warning of a use after free; gcc takes any -Wno- as it comes.
compile family.c "$scratch/program" -Wno-deprecated-declarations -Wno-unknown-warning-option \
	-Wno-use-after-free
MAY_REFUSE=yes
compare 1 "$scratch/program"
must_say '^[0-9]* checks$'
! grep '^not so' "$scratch/acre.out" >&2 || fail "the family does otherwise than its manual"
