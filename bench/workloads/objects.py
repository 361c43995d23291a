"""The python3 workload: dicts, strings, JSON, objects of classes, a tokenizer and an interpreter.

    PYTHONMALLOC=malloc python3 objects.py ROUNDS

Every object is then a block of the C library's malloc, which is what the benchmark wants. What it
prints depends on ROUNDS alone.
"""
import json
import re
import sys
import zlib


class Random:
    """A linear congruential generator: the same numbers with every version of Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit


class Node:
    def __init__(self, key, value):
        self.key = key
        self.value = value
        self.left = None
        self.right = None


class Tree:
    """An unbalanced search tree of small objects."""

    def __init__(self):
        self.root = None
        self.size = 0

    def put(self, key, value):
        if self.root is None:
            self.root = Node(key, value)
            self.size = 1
            return
        node = self.root
        while True:
            if key == node.key:
                node.value = value
                return
            side = "left" if key < node.key else "right"
            below = getattr(node, side)
            if below is None:
                setattr(node, side, Node(key, value))
                self.size += 1
                return
            node = below

    def items(self):
        stack, node = [], self.root
        while stack or node:
            while node:
                stack.append(node)
                node = node.left
            node = stack.pop()
            yield node.key, node.value
            node = node.right


def documents(random, count):
    """Records as a web service would hand them on."""
    for number in range(count):
        yield {
            "id": number,
            "name": f"user{random.below(5000):05d}",
            "tags": [f"tag{random.below(300)}" for _ in range(random.below(8))],
            "address": {"street": "x" * random.below(60), "number": random.below(400)},
            "scores": [random.below(10000) / 16 for _ in range(random.below(12))],
        }


def through_json(random):
    text = json.dumps(list(documents(random, 1500)), indent=1, sort_keys=True)
    found = json.loads(text)
    by_name = {}
    for one in found:
        by_name.setdefault(one["name"], []).append(one)
    return zlib.crc32(json.dumps(by_name, sort_keys=True).encode())


def through_tree(random):
    tree = Tree()
    for number in range(6000):
        tree.put(f"key-{random.below(100000):06d}", [number, str(number)])
    joined = ",".join(f"{key}={value[1]}" for key, value in tree.items())
    return zlib.crc32(joined.encode()) + tree.size


TOKEN = re.compile(r"\s*(?:(\d+)|([a-z]\w*)|(.))")


def tokens(text):
    for number, name, sign in TOKEN.findall(text):
        if number:
            yield "number", int(number)
        elif name:
            yield "name", name
        elif sign.strip():
            yield "sign", sign
    yield "end", None


class Parser:
    """Expressions of + - * and brackets, to nested tuples."""

    def __init__(self, text):
        self.stream = tokens(text)
        self.kind, self.value = next(self.stream)

    def advance(self):
        self.kind, self.value = next(self.stream)

    def sum(self):
        left = self.product()
        while self.value in ("+", "-"):
            sign = self.value
            self.advance()
            left = (sign, left, self.product())
        return left

    def product(self):
        left = self.atom()
        while self.value == "*":
            self.advance()
            left = ("*", left, self.atom())
        return left

    def atom(self):
        if self.value == "(":
            self.advance()
            inner = self.sum()
        else:
            inner = (self.kind, self.value)
        self.advance()
        return inner


def value_of(tree, names):
    kind = tree[0]
    if kind == "number":
        return tree[1]
    if kind == "name":
        return names[tree[1]]
    left, right = value_of(tree[1], names), value_of(tree[2], names)
    result = left + right if kind == "+" else left - right if kind == "-" else left * right
    return result % 1000003


def expression(random, depth):
    if depth == 0:
        return f"v{random.below(40)}" if random.below(2) else str(random.below(1000))
    text = expression(random, depth - 1) + " " + "+-*"[random.below(3)] + " " + \
        expression(random, depth - 1 - random.below(min(depth, 2)))
    return f"({text})" if random.below(2) else text


def through_parser(random):
    names = {f"v{i}": i * i for i in range(40)}
    total = 0
    for _ in range(60):
        total += value_of(Parser(expression(random, 7)).sum(), names)
    return total


def through_strings(random):
    words = [f"{random.below(2000):x}" * (1 + random.below(4)) for _ in range(12000)]
    counts = {}
    for word in words:
        counts[word.upper()] = counts.get(word.upper(), 0) + 1
    lines = [" ".join(words[i:i + 12]) for i in range(0, len(words), 12)]
    text = "\n".join(line.replace("a", "ba").title() for line in lines)
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return zlib.crc32((text + repr(best)).encode())


def main():
    random = Random(2024)
    kept = [None] * 4       # what lives longer than a round, replaced in turn
    for number in range(int(sys.argv[1])):
        kept[number % len(kept)] = list(documents(random, 5000))
        print(number, through_json(random), through_tree(random), through_parser(random),
              through_strings(random))


main()
