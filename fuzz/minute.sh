#!/bin/bash
# A minute of libFuzzer, as a test; by hand longer: 'make fuzz FUZZ_SECONDS=3600'. One process, for
# other tests run beside it.
set -euo pipefail
FUZZ_JOBS=1 FUZZ_SECONDS=${FUZZ_SECONDS:-60} exec "$(dirname "$0")/run" --tap
