#!/bin/bash
# A program whose objects are malloc's, and that frees them after a grace period of liburcu, in
# acre_default(); without the drop-in it has no such arena, and calls call_rcu.
. "$(dirname "$0")/common.sh"

build=$(dirname "$ACRE")
[ -f "$build/.libs/libacre-rcu.so" ] || skip "libacre-rcu isn't built"
libraries=$build/.libs
for flavor in memb mb bp qsbr; do
	compile rcu.c "$scratch/program" "-DFLAVOR=<urcu/urcu-$flavor.h>" -I"$here/../../include" \
		$(pkg-config --cflags "liburcu-$flavor") -L"$libraries" -lacre-rcu -lacre \
		-Wl,-rpath,"$libraries" $(pkg-config --libs "liburcu-$flavor")
	compare 2 "$scratch/program"
	must_say '^all objects were sound, and are free'
done
