"""Generated inputs of the program workloads: an SQL script, C, SMT-LIB, JSON and XML.

Each function takes a path and a size and writes the same bytes every time, on every machine: the
numbers come from a generator of our own, so that no version of Python can change them.
"""
import json


class Numbers:
    """A linear congruential generator (Knuth's MMIX), its upper bits."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % limit

    def pick(self, choices):
        return choices[self.below(len(choices))]


def sql(path, rows):
    """A script for sqlite3: a row per statement, indexes, joins, string functions, groups."""
    numbers = Numbers(1)
    with open(path, "w") as out:
        out.write("""\
CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER, name TEXT, price REAL, note TEXT);
CREATE TABLE owner(id INTEGER PRIMARY KEY, name TEXT UNIQUE, town TEXT);
BEGIN;
""")
        for number in range(rows // 20):
            out.write(f"INSERT INTO owner VALUES({number}, 'owner {number:x}', "
                      f"'town {numbers.below(97)}');\n")
        for number in range(rows):
            out.write(f"INSERT INTO item(id, owner, name, price, note) VALUES({number}, "
                      f"{numbers.below(rows // 20)}, 'item {numbers.below(rows):06d}', "
                      f"{numbers.below(100000) / 64}, '{'abc ' * numbers.below(40)}');\n")
        out.write(f"""\
COMMIT;
CREATE INDEX item_name ON item(name);
CREATE INDEX item_owner ON item(owner, price);
ANALYZE;
SELECT town, count(*), sum(length(note)), max(i.name) FROM item i JOIN owner o ON o.id = i.owner
    GROUP BY town ORDER BY 2 DESC, 1 LIMIT 10;
SELECT count(DISTINCT upper(substr(name, 3)) || replace(note, 'b', 'xyz')) FROM item;
SELECT sum(length(all_names)) FROM
    (SELECT group_concat(name, '; ') AS all_names FROM item GROUP BY owner);
WITH RECURSIVE step(n, text) AS (SELECT 1, 'x' UNION ALL
    SELECT n + 1, substr(text || printf('-%d', n * 7919 % 1009), -200) FROM step WHERE n < {rows})
    SELECT count(*), sum(length(text)), max(text) FROM step;
CREATE TABLE document AS SELECT owner, json_group_array(json_object('id', id, 'name', name,
    'price', price)) AS body FROM item GROUP BY owner;
SELECT count(*), sum(json_extract(e.value, '$.price')), max(json_extract(e.value, '$.name'))
    FROM document d, json_each(d.body) e;
UPDATE item SET note = note || ' ' || name WHERE id % 3 = 0;
DELETE FROM item WHERE price < 200;
SELECT a.name, b.id FROM item a JOIN item b ON a.name = b.name AND a.id < b.id
    ORDER BY a.name, a.id, b.id LIMIT 20;
SELECT sum(length(note)), avg(price) FROM item;
""")


def c_source(path, functions):
    """A C file: functions that call each other, with structures, tables, switches and loops."""
    numbers = Numbers(2)
    with open(path, "w") as out:
        out.write("typedef unsigned long word;\n"
                  "struct node { struct node *next; word key, value; char name[16]; };\n"
                  "extern word outside(word, struct node *);\n")
        for number in range(functions):
            out.write(f"static const word table{number}[] = {{" +
                      ", ".join(str(numbers.below(9999)) for _ in range(16)) + "};\n"
                      f"struct pair{number} {{ word a, b; struct node *list; }};\n"
                      f"word function{number}(struct pair{number} *pair, word x, word y)\n{{\n"
                      "\tstruct node *node;\n\tword sum = 0;\n")
            for _ in range(2 + numbers.below(5)):
                kind = numbers.below(4)
                if kind == 0:
                    out.write("\tfor (node = pair->list; node; node = node->next)\n"
                              f"\t\tif (node->key % {3 + numbers.below(50)} == x)\n"
                              f"\t\t\tsum += node->value * {numbers.below(100)} + "
                              f"(word)node->name[y & {numbers.pick((3, 7, 15))}];\n")
                elif kind == 1:
                    out.write(f"\tswitch ((x + sum) % {4 + numbers.below(5)}) {{\n")
                    for case in range(4):
                        out.write(f"\tcase {case}: sum ^= y * {numbers.below(1000)}; "
                                  f"pair->{numbers.pick('ab')} += sum; break;\n")
                    out.write("\tdefault: sum += outside(sum, pair->list);\n\t}\n")
                elif kind == 2:
                    out.write(f"\tfor (word i = 0; i < (y & 15); i++)\n"
                              f"\t\tsum = (sum << {1 + numbers.below(9)}) ^ "
                              f"table{number}[(i + x) & 15];\n")
                elif number:
                    other = numbers.below(number)
                    out.write(f"\tif (x > {numbers.below(500)}) {{\n"
                              f"\t\tstruct pair{other} inner = {{ x, sum, pair->list }};\n\n"
                              f"\t\tsum += function{other}(&inner, x / 2, y + 1);\n\t}}\n")
            out.write("\treturn sum + pair->a - pair->b;\n}\n\n")


WORD = "(_ BitVec 16)"
OPERATORS = ["bvadd", "bvsub", "bvand", "bvor", "bvxor", "bvshl", "bvlshr"]
RELATIONS = ["bvult", "bvule", "=", "distinct"]


def smt(path, queries):
    """SMT-LIB: questions on bit vectors and an array, each pushed, answered and popped again."""
    numbers = Numbers(3)

    def term(depth):
        if depth == 0:
            return numbers.pick((f"v{numbers.below(5)}", f"(select m v{numbers.below(5)})",
                                 f"(_ bv{numbers.below(2**16)} 16)"))
        if numbers.below(10) == 0:
            return (f"(ite (bvult {term(depth - 1)} {term(depth - 1)}) {term(depth - 1)} "
                    f"{term(depth - 1)})")
        operator = numbers.pick(OPERATORS) if numbers.below(90) else "bvmul"
        return f"({operator} {term(depth - 1)} {term(depth - 1)})"

    with open(path, "w") as out:
        out.write("(set-logic QF_AUFBV)\n")
        for number in range(5):
            out.write(f"(declare-const v{number} {WORD})\n")
        out.write(f"(declare-const m (Array {WORD} {WORD}))\n")
        for _ in range(queries):
            out.write("(push)\n")
            for _ in range(3):
                out.write(f"(assert ({numbers.pick(RELATIONS)} {term(4)} {term(4)}))\n")
            out.write("(check-sat)\n(pop)\n")


def json_text(path, records):
    """An array of records, nested, some 260 bytes each."""
    numbers = Numbers(4)
    with open(path, "w") as out:
        out.write("[\n")
        for number in range(records):
            one = {
                "id": number,
                "group": f"group {numbers.below(500)}",
                "size": numbers.below(1000000) / 8,
                "labels": [f"label-{numbers.below(2000)}" for _ in range(numbers.below(6))],
                "place": {"town": f"town {numbers.below(900)}", "at": [numbers.below(180),
                                                                      numbers.below(90)]},
                "parts": [{"kind": numbers.pick(("wheel", "axle", "frame")), "count": part,
                           "code": f"{numbers.below(2**30):x}"}
                          for part in range(numbers.below(5))],
            }
            out.write(json.dumps(one) + (",\n" if number + 1 < records else "\n"))
        out.write("]\n")


def xml(path, books):
    """A library's catalogue: elements, attributes and text."""
    numbers = Numbers(5)
    with open(path, "w") as out:
        out.write('<?xml version="1.0"?>\n<catalogue>\n')
        for number in range(books):
            out.write(f'  <book id="b{number}" shelf="{numbers.below(400)}">\n'
                      f"    <title>Volume {numbers.below(10000)} of {numbers.below(500)}</title>\n"
                      f"    <year>{1900 + numbers.below(120)}</year>\n")
            for _ in range(1 + numbers.below(4)):
                out.write(f'    <author born="{1850 + numbers.below(140)}">Author '
                          f"{numbers.below(3000)}</author>\n")
            out.write(f"    <text>{'Lorem &amp; ipsum ' * numbers.below(12)}</text>\n  </book>\n")
        out.write("</catalogue>\n")
