#!/bin/bash
# gcc: compiles with optimization; the objects are the same, byte by byte, and the program runs.
. "$(dirname "$0")/common.sh"

need gcc
mkdir "$scratch/given"
for ((i = 0; i < 150; i++)); do
	cat <<END
static int work$i(int n)
{
	int sum = 0;
	for (int k = 0; k < n; k++)
		sum += (k * $i) ^ (sum >> 3);
	switch (sum & 7) { case 0: return sum + $i; case 3: return sum * $i; default: return sum; }
}
END
done >"$scratch/given/many.c"
{
	echo '#include <stdio.h>'
	echo '#include "many.c"'
	echo 'int main(void) { unsigned all = 0;'
	for ((i = 0; i < 150; i++)); do echo "all = all * 31 + (unsigned)work$i($i + 50);"; done
	cat <<'END'
	printf("%u\n", all);
	return 0;
}
END
} >"$scratch/given/main.c"
cat >"$scratch/given/script" <<'END'
set -e
gcc -O2 -g -frandom-seed=1 -c main.c -o main.o
gcc main.o -o main
./main
gcc -O3 -S main.c -o main.s
gcc -O1 -flto -frandom-seed=1 main.c -o other
./other
rm -f other
END
# The compiler proper, the assembler and the linker are processes of their own.
compare 8 bash script
[ "$(sort -u "$scratch/acre.out" | wc -l)" = 1 ] || fail "the programs disagree"
