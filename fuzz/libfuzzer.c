/*
 * libFuzzer's entry, which AFL++ knows too: each input is a play. ACRE_FUZZ_ALOUD in the
 * environment has every operation told.
 */
#include <stdlib.h>

#include "play.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	play_aloud = getenv("ACRE_FUZZ_ALOUD") != NULL;
	play(bytes, size);
	return 0;
}
