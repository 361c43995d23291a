#!/usr/bin/env python3
"""Holds what acre lab says to a model of its own: every sentence and every map.

    model.py ACRE POLICY SEED STEPS

The model is a sorted list of blocks, searched from end to end by the policy's rule as a textbook has
it. It makes random commands, and what the lab is to say of each; the lab's answer must be that, word
for word, but for the number of search steps, which is to be a number. Ends with status 1 and the
first difference.
"""
import random
import re
import subprocess
import sys

HEAP = 4096
TAG, UNIT = 8, 16
COLUMNS = 64  # cells in a row of the map, of UNIT bytes each

# What a run that's long enough must have come across.
ALWAYS = ["the only hole", "It fits exactly", "No room", "stays as it was", "It grew in place",
          "It shrank in place", "right for that already", "couldn't grow", "fragmentation",
          "enough in one piece", "No merge"]
NEIGHBOURS = ["both neighbours", "block before it", "block behind it", "It moved down", "Split",
              "nothing remains of it", "Its tail merged", "Its tail is free"]
EXTREME = ["as large", "est: "]
SEEN = {
    "first": ALWAYS + NEIGHBOURS + [", the lowest"],
    "next": ALWAYS + NEIGHBOURS + ["from the start again", "lies in", ", the first behind"],
    "best": ALWAYS + NEIGHBOURS + EXTREME,
    "worst": ALWAYS + NEIGHBOURS + EXTREME,
    "buddy": ALWAYS + EXTREME + ["free halves", "what that made", "No further", "in use.",
                                 "partly in use", "free buddy", "free buddies", "and lowest, as all have"],
}


class Block:
    def __init__(self, at, size, name=None, asked=0):
        self.at, self.size, self.name, self.asked = at, size, name, asked

    def __str__(self):
        return f"{self.size} at {self.at}"

    @property
    def end(self):
        return self.at + self.size


def name_of(number):
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("a") + letter) + name
    return name


def times(n):
    return {1: "once", 2: "twice"}.get(n, f"{n} times")


def half(n):
    return "half" if n == 1 else "halves"


def plural(n):
    return "" if n == 1 else "s"


class Model:
    def __init__(self, policy):
        self.policy = policy
        self.blocks = [Block(0, HEAP)]
        self.place = 0
        self.names = 0

    @property
    def buddy(self):
        return self.policy == "buddy"

    def size_for(self, asked):
        size = -(-(asked + TAG) // UNIT) * UNIT
        return 1 << (size - 1).bit_length() if self.buddy else size

    def find(self, name):
        return next(b for b in self.blocks if b.name == name)

    def at(self, offset):
        return next((b for b in self.blocks if b.at <= offset < b.end), None)

    def live(self):
        return [b.name for b in self.blocks if b.name]

    # The policy's rule, and the sentence for it.
    def choose(self, size):
        fit = [b for b in self.blocks if not b.name and b.size >= size]
        if not fit:
            return None, ""
        by_size = {"best": min, "buddy": min, "worst": max}.get(self.policy)
        if by_size:
            hole = by_size(fit, key=lambda b: b.size)  # the lowest of equals
            alike = sum(b.size == hole.size for b in fit)
            why = ", the largest" if self.policy == "worst" else ", the smallest"
            if alike == len(fit):
                why += f" and lowest, as all have {hole.size}"
            elif alike > 1:
                why += f", and the lowest of {alike} as large"
        elif self.policy == "next":
            behind = [b for b in fit if b.end > self.place]
            hole = (behind or fit)[0]
            if not behind:
                why = f", the first from the start again, as none fits behind {self.place}"
            elif self.place == 0:
                why = ", the first from the start"
            elif hole.at < self.place:
                why = f", the one that {self.place} lies in, where the last block ended"
            else:
                why = f", the first behind {self.place}, where the last block ended"
        else:
            hole, why = fit[0], ", the lowest"
        if len(fit) == 1:
            return hole, f"the only hole that fits, {hole}. "
        return hole, f"of {len(fit)} holes that fit{why}: {hole}. "

    # Takes the low end of a hole; says how it was split.
    def split(self, hole, size, name, asked):
        i = self.blocks.index(hole)
        parts = [Block(hole.at, size, name, asked)]
        self.place = hole.at + size
        if size == hole.size:
            said = "It fits exactly: nothing remains of it."
        elif self.buddy:
            halves = 0
            while parts[-1].end < hole.end:
                parts.append(Block(parts[-1].end, parts[-1].end - hole.at))
                halves += 1
            free = ", ".join(map(str, parts[1:]))
            said = f"It was halved {times(halves)} down to {size}; free {half(halves)}: {free}."
        else:
            parts.append(Block(hole.at + size, hole.size - size))
            said = f"Split {size} from {hole.size}; {hole.size - size} remain free at {hole.at + size}."
        self.blocks[i:i + 1] = parts
        return said

    def unite(self, low, high):
        self.blocks.remove(high)
        low.size += high.size

    def free(self, block):
        block.name = None
        return self.merge_buddies(block) if self.buddy else self.merge(block)

    def merge(self, block):
        i = self.blocks.index(block)
        before = self.blocks[i - 1] if i and not self.blocks[i - 1].name else None
        behind = self.blocks[i + 1] if i + 1 < len(self.blocks) else None
        behind = behind if behind and not behind.name else None
        if before and behind:
            said = f"Merged with both neighbours, {before} and {behind}"
        elif before:
            said = f"Merged with the free block before it, {before}"
        elif behind:
            said = f"Merged with the free block behind it, {behind}"
        else:
            return "No merge: no neighbour is free."
        if behind:
            self.unite(block, behind)
        if before:
            self.unite(before, block)
            block = before
        return f"{said}, into one hole of {block}."

    def merge_buddies(self, block):
        said = ""
        merged = 0
        while block.size < HEAP:
            other = self.at(block.at ^ block.size)
            if other.name or other.size != block.size:
                break
            said += ["Merged with its buddy", "; what that made, with", ", with"][min(merged, 2)]
            said += f" {other}"
            low, high = sorted((block, other), key=lambda b: b.at)
            self.unite(low, high)
            block = low
            merged += 1
        if merged:
            said += f": now {block.size} free at {block.at}"
        if block.size == HEAP:
            return said + (", the whole heap." if merged else "It's the whole heap.")
        at = block.at ^ block.size
        other = self.at(at)
        state = "in use" if other.name and other.size >= block.size else "split and partly in use"
        said += ". No further: " if merged else "No merge: "
        return said + f"its buddy, {block.size} at {at}, is {state}."

    def in_block(self, asked, size):
        rest = ")." if asked + TAG == size else \
            ", a power of two)." if self.buddy else f", in units of {UNIT})."
        return f"a block of {size} (with a tag of {TAG}{rest}"

    def refuse(self, asked, size):
        holes = [b.size for b in self.blocks if not b.name]
        said = f"No room for {asked} byte{plural(asked)}: that takes a block of {size}"
        if not holes:
            return said + ", and nothing at all is free."
        if len(holes) == 1:
            return said + f"; all that's free is one hole of {holes[0]}."
        share = 100 - max(holes) * 100 // sum(holes)
        said += f"; the largest hole has {max(holes)}, of {sum(holes)} free in {len(holes)} " \
                f"holes: fragmentation {share}%."
        return said + (" It would be enough in one piece." if sum(holes) >= size else "")

    def allocate(self, asked):
        size = self.size_for(asked)
        hole, why = self.choose(size)
        if not hole:
            return self.refuse(asked, size)
        name = name_of(self.names)
        self.names += 1
        at = hole.at
        return f"{name} {asked} byte{plural(asked)} at offset {at}: {self.in_block(asked, size)} " \
               f"Found after N steps: {why}{self.split(hole, size, name, asked)}"

    def de_allocate(self, name):
        block = self.find(name)
        return f"{name} freed: the block of {block.size} at offset {block.at}. {self.free(block)}"

    # In place: what it says; None if that can't be.
    def grow(self, block, asked, size):
        head = f"{block.name} {asked} byte{plural(asked)}, still at offset {block.at}: {self.in_block(asked, size)} "
        had = block.size
        if size == had:
            return head + f"Its block of {had} is right for that already: nothing changes."
        i = self.blocks.index(block)
        behind = self.blocks[i + 1] if i + 1 < len(self.blocks) else None
        free_behind = behind if behind and not behind.name else None
        if size < had:
            head += f"It shrank in place, from {had} to {size}. "
            block.size = size
            if self.buddy:
                parts = []
                while (parts[-1].end if parts else block.end) < block.at + had:
                    parts.append(Block(block.at + size * 2 ** len(parts), size * 2 ** len(parts)))
                self.blocks[i + 1:i + 1] = parts
                return head + f"Halved {times(len(parts))}; free {half(len(parts))}: " + \
                    ", ".join(map(str, parts)) + "."
            tail = Block(block.end, had - size)
            self.blocks.insert(i + 1, tail)
            head += f"Its tail merged with the {free_behind.size} free behind it: " if free_behind \
                else "Its tail is free: "
            if free_behind:
                self.unite(tail, free_behind)
            return head + f"{tail}."
        head += f"It grew in place, from {had} to {size}, "
        if self.buddy:
            said = []
            while had < size:
                other = self.at(block.at + had) if not block.at & had else None
                if not other or other.name or other.size != had:
                    return None
                said.append(other)
                had *= 2
            head += f"by taking in its free {'buddy' if len(said) == 1 else 'buddies'} " + \
                ", ".join(map(str, said)) + "."
            for other in said:
                self.unite(block, other)
            return head
        if not free_behind or had + free_behind.size < size:
            return None
        head += f"into the {free_behind.size} free bytes behind it; "
        return head + self.take_behind(block, free_behind, size)

    # A block grows over the free one behind it.
    def take_behind(self, block, behind, size):
        rest = block.size + behind.size - size
        block.size = size
        if not rest:
            self.blocks.remove(behind)
            return "nothing remains of it."
        behind.at, behind.size = block.end, rest
        return f"{rest} remain free at {behind.at}."

    # Down into the free block before it: None if that can't be.
    def slide(self, block, asked, size):
        i = self.blocks.index(block)
        before = self.blocks[i - 1] if i else None
        behind = self.blocks[i + 1] if i + 1 < len(self.blocks) else None
        if self.buddy or not before or before.name:
            return None
        room = before.size + block.size + (behind.size if behind and not behind.name else 0)
        if room < size:
            return None
        said = f"{block.name} {asked} byte{plural(asked)}, now at offset {before.at}: " \
               f"{self.in_block(asked, size)} It moved down from {block.at}, into the " \
               f"{before.size} free bytes before it; "
        if behind and not behind.name:
            self.blocks.remove(behind)
        self.blocks.remove(before)
        block.at, block.size = before.at, size
        if room > size:
            self.blocks.insert(self.blocks.index(block) + 1, Block(block.end, room - size))
        self.place = block.end
        rest = f"{room - size} remain free at {block.end}." if room > size else "nothing remains of it."
        return said + rest

    def reallocate(self, name, asked):
        block = self.find(name)
        size = self.size_for(asked)
        said = self.grow(block, asked, size) or self.slide(block, asked, size)
        if said:
            self.find(name).asked = asked
            return said
        hole, why = self.choose(size)
        if not hole:
            return self.refuse(asked, size) + f" {name} stays as it was."
        at = hole.at
        had, was = block.size, block.at
        split = self.split(hole, size, name, asked)
        block.name = "old"
        return f"{name} {asked} byte{plural(asked)}, now at offset {at}: {self.in_block(asked, size)} " \
               f"It couldn't grow at offset {was}. A new block was found after N steps: {why}{split}" \
               f" The content was copied, and the old block of {had} at offset {was} freed. " \
               f"{self.free(block)}"

    def map(self):
        cells = ""
        free_before = False
        for block in self.blocks:
            width = block.size // UNIT
            if block.name:
                name = block.name if len(block.name) <= width else "#"
                cells += self.row_wise(len(cells), name, width)
            else:
                cells += (":" if free_before and len(cells) % COLUMNS else ".") + "." * (width - 1)
            free_before = not block.name
        rows = [f"{at * UNIT} {cells[at:at + COLUMNS]}" for at in range(0, len(cells), COLUMNS)]
        live = [b for b in self.blocks if b.name]
        holes = [b for b in self.blocks if not b.name]
        said = f"16 bytes a cell; {len(live)} block{plural(len(live))} in use, " \
               f"{sum(b.size for b in holes)} bytes free"
        if holes:
            said += f" in {len(holes)} hole{plural(len(holes))}"
        return " ".join(rows) + " " + said

    # A block's cells: its name once more at the start of each row.
    def row_wise(self, at, name, width):
        cells = ""
        while width:
            here = min(width, COLUMNS - at % COLUMNS)
            text = name if len(name) <= here else "#"
            cells += text + "=" * (here - len(text))
            at += here
            width -= here
        return cells


def main():
    acre, policy, seed, steps = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    dice = random.Random(seed)
    model = Model(policy)
    commands, wanted = [], []
    for _ in range(steps):
        live = model.live()
        verb = dice.choice(["allocate"] * 5 + ["de_allocate"] * 4 + ["reallocate"] * 3)
        asked = int(2 ** dice.uniform(0, 10.5))
        if verb == "allocate" or not live:
            commands.append(f"allocate {asked}")
            said = model.allocate(asked)
        elif verb == "de_allocate":
            # The newest often: a hole where the last block ended is next fit's border case.
            name = dice.choice(live + [name_of(model.names - 1)] * (len(live) // 3))
            name = name if name in live else live[0]
            commands.append(f"de_allocate {name}")
            said = model.de_allocate(name)
        else:
            name = dice.choice(live)
            commands.append(f"reallocate {name} {asked}")
            said = model.reallocate(name, asked)
        wanted.append(f"{said} {model.map()}")
    script = f"policy {policy}\n" + "\n".join(commands) + "\ncheck\n"
    run = subprocess.run([acre, "lab"], input=script, capture_output=True, text=True, check=False)
    parts = run.stdout.split("acre> ")
    if run.returncode != 0 or run.stderr or len(parts) != steps + 3:
        print(f"status {run.returncode}, {len(parts)} prompts: {run.stderr}")
        return 1
    for command, said, want in zip(commands, parts[2:], wanted):
        said = " ".join(said[len(command):].split())
        said = re.sub(r"ound after [1-9][0-9]* steps?:", "ound after N steps:", said)
        if said != want:
            print(f"{command}\n  says  {said}\n  not   {want}")
            return 1
    if "Sound: no faults" not in parts[-1]:
        print(parts[-1])
        return 1
    unseen = [phrase for phrase in SEEN[policy] if not any(phrase in want for want in wanted)]
    if unseen:
        print(f"the run is too short: it never said {unseen}")
        return 1
    print(f"{steps} steps, {len(model.live())} blocks at the end")
    return 0


sys.exit(main())
