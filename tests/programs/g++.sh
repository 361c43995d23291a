#!/bin/bash
# g++ on the drop-in, and C++ programs on it: containers, exceptions, threads; with the operators of
# libstdc++ and with their own, which must stay in use.
. "$(dirname "$0")/common.sh"

need g++
mkdir "$scratch/given"
cat >"$scratch/given/program.cc" <<'END'
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#ifdef OWN_NEW
static std::atomic<long> made, deleted;
void *operator new(std::size_t n)
{
	made++;
	char *p = static_cast<char *>(std::malloc(n + 16));
	if (!p)
		throw std::bad_alloc();
	p[0] = 'N';
	return p + 16;
}
void operator delete(void *p) noexcept
{
	if (!p)
		return;
	deleted++;
	char *q = static_cast<char *>(p) - 16;
	if (q[0] != 'N')
		std::abort();
	std::free(q);
}
void operator delete(void *p, std::size_t) noexcept { operator delete(p); }
#endif

struct alignas(256) Wide { char bytes[256]; };
thread_local std::vector<std::string> mine;
static std::map<int, std::string> before_main{{1, std::string(100, 'a')}, {2, "b"}};

static long work(int seed)
{
	std::unordered_map<std::string, std::vector<int>> table;
	for (int i = 0; i < 20000; i++) {
		table["key" + std::to_string((i * seed) % 997)].push_back(i);
		if (i % 100 == 0)
			mine.push_back(std::string(i % 5000, 'x'));
	}
	long sum = 0;
	for (auto &entry : table)
		sum += std::accumulate(entry.second.begin(), entry.second.end(), 0L);
	for (int i = 0; i < 1000; i++) {
		try {
			throw std::runtime_error(std::string(200, 'e'));
		} catch (const std::exception &e) {
			sum += e.what()[0];
		}
	}
	std::unique_ptr<Wide> wide(new Wide);
	return sum + long(reinterpret_cast<std::size_t>(wide.get()) % 256);
}

int main()
{
	std::vector<std::thread> threads;
	std::vector<long> sums(8);
	for (int i = 0; i < 8; i++)
		threads.emplace_back([i, &sums] { sums[i] = work(i + 3); });
	for (auto &t : threads)
		t.join();
	for (long s : sums)
		std::printf("%ld\n", s);
	std::printf("%zu %zu\n", before_main.size(), before_main[1].size());
	try {
		std::vector<char> huge(std::size_t(1) << 46);
		std::puts("had");
	} catch (const std::bad_alloc &) {
		std::puts("bad_alloc");
	}
	std::printf("%p\n", static_cast<void *>(new (std::nothrow) char[std::size_t(1) << 46]));
#ifdef OWN_NEW
	std::printf("own operators: %d\n", made > 10000 && deleted > 10000);
#endif
	return 0;
}
END
cat >"$scratch/given/script" <<'END'
set -e
g++ -std=c++17 -O2 -w -pthread program.cc -o program
./program
g++ -std=c++17 -O1 -w -pthread -DOWN_NEW program.cc -o own
./own
END
MAY_REFUSE=yes
compare 8 bash script
must_say '^bad_alloc$'
must_say '^own operators: 1$'
