"""The allocators that are compared: shared libraries that are preloaded."""
import dataclasses
import glob
import os
import sys

import measure


@dataclasses.dataclass(frozen=True)
class Peer:
    """An allocator. A rival counts when the best peer is looked for; acre and the limit don't."""
    name: str
    library: str        # '' = none: the C library's own
    package: str = ""
    rival: bool = False
    limit: bool = False     # may run out of memory


def debian(name, package, file):
    """A library that Debian's package holds; where it isn't installed, its plain file name."""
    found = glob.glob(f"/usr/lib/*/{file}") + glob.glob(f"/usr/lib/{file}")
    return Peer(name, found[0] if found else file, package, rival=True)


def built(name, path, **more):
    return Peer(name, str(measure.BUILD / path), **more)


GLIBC = "glibc"
# What makes a program that is linked to another allocator use glibc's: see shim.c.
SHIM = str(measure.BUILD / "bench" / ".libs" / "shim.so")

PEERS = [
    Peer(GLIBC, "", rival=True),
    debian("jemalloc", "libjemalloc2", "libjemalloc.so.2"),
    debian("mimalloc", "libmimalloc2.0", "libmimalloc.so.2.0"),
    debian("tcmalloc", "libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    debian("tbbmalloc", "libtbbmalloc2", "libtbbmalloc_proxy.so.2"),
    built("acre", ".libs/libacre-malloc.so"),
    # No allocator, but the least that one could cost; it may run out of memory.
    built("limit", "bench/.libs/limit.so", limit=True),
]


def packages():
    """Lines for build-aux/need-packages."""
    for peer in PEERS:
        if peer.package:
            # A file that isn't there by its full path is missing, whatever directory it has.
            tool = peer.library if os.path.isabs(peer.library) else "/usr/lib/" + peer.library
            yield f"{peer.package}\t{tool}\tallocator to compare with: {peer.name}"


def loads(peer):
    """Whether a program gets the library: the loader itself only warns, and runs it without."""
    if not peer.library:
        return True
    if not os.path.exists(peer.library):
        return False
    try:
        maps = measure.run_measured(["cat", "/proc/self/maps"], peer.library, stdout=measure.PIPE)
    except measure.Failed:
        return False
    return os.path.realpath(peer.library) in maps.extra["output"]


def usable(peers):
    """Those that can be preloaded; a line on stderr for each of the others."""
    fine = []
    for peer in peers:
        if loads(peer):
            fine.append(peer)
        else:
            hint = f": apt-get install {peer.package}" if peer.package else ""
            print(f"bench/run: {peer.name} is left out: {peer.library} can't be preloaded{hint}",
                  file=sys.stderr)
    return fine
