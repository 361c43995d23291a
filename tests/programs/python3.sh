#!/bin/bash
# python3 with every object from malloc: containers, threads, processes, compression, text.
. "$(dirname "$0")/common.sh"

need python3
mkdir "$scratch/given"
cat >"$scratch/given/script.py" <<'END'
import collections, hashlib, json, os, random, re, subprocess, sys, threading, zlib

rng = random.Random(1)
data = {f"key{i}": [rng.random() for _ in range(rng.randrange(20))] for i in range(5000)}
text = json.dumps(data, sort_keys=True)
print(hashlib.sha256(text.encode()).hexdigest(), json.loads(text) == data)
packed = zlib.compress(text.encode(), 9)
print(zlib.decompress(packed).decode() == text)
print(collections.Counter(re.findall(r"\d", text)).most_common(3))
results = {}
def work(n):
    local = [str(i) * (i % 50) for i in range(20000)]
    results[n] = zlib.crc32("".join(local[n::7]).encode())
threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results.items()))
children = []
for n in range(5):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        x = [bytes(i) for i in range(3000)]
        os._exit(len(x) % 7)
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(p, 0)[1]) for p in children])
print(subprocess.run([sys.executable, "-c", "print(sum(range(10**5)))"], capture_output=True).stdout)
try:
    bytearray(1 << 46)
except MemoryError:
    print("MemoryError")
numbers = [0] * 100000
while len(numbers) < 3000000: numbers.extend(numbers)
print(len(numbers))
print("libacre-malloc" in open("/proc/self/maps").read(), file=sys.stderr)
END
export PYTHONMALLOC=malloc PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1
MAY_REFUSE=yes
compare 2 python3 script.py
must_say '^MemoryError$'
grep -q -x True "$scratch/acre.err" || fail "python3 did not see the drop-in in its own maps"
