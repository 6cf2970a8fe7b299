#!/usr/bin/env python3
"""A million prefixes that clients are told apart by, in the forms that Windrose and its peers read. The same ones each time.

    prefixes.py FOLDER [COUNT]

    n0.txt … n15.txt    prefixes of 16 networks, for [network.n0] file = …
    nets                the same for gdnsd: prefix => regions in order
    clients.mmdb        the same as a City database: a country for each network, 16 places in each
    checks              what must be answered: a client's prefix and its region, a line each

The whole of 1.0.0.0 to 223.255.255.255 is cut at random into prefixes of /8 to /24, each in another network than its neighbour most of the time.
"""
import os, random, socket, struct, sys

# Regions that answer, and where they are.
REGIONS = {"eu": (50.1, 8.7), "us": (40.7, -74.0), "ap": (1.3, 103.8), "sa": (-23.5, -46.6)}
# A country for each network: code, continent, place, and the region that is to answer, by rule and by distance alike.
COUNTRIES = [
    ("DE", "EU", (52.5, 13.4), "eu"), ("FR", "EU", (48.9, 2.4), "eu"), ("SE", "EU", (59.3, 18.1), "eu"), ("IT", "EU", (41.9, 12.5), "eu"),
    ("US", "NA", (39.0, -77.5), "us"), ("CA", "NA", (45.4, -75.7), "us"), ("CU", "NA", (23.1, -82.4), "us"), ("MX", "NA", (25.7, -100.3), "us"),
    ("SG", "AS", (1.3, 103.8), "ap"), ("JP", "AS", (35.7, 139.7), "ap"), ("VN", "AS", (21.0, 105.8), "ap"), ("ID", "AS", (-6.2, 106.8), "ap"),
    ("BR", "SA", (-15.8, -47.9), "sa"), ("AR", "SA", (-34.6, -58.4), "sa"), ("CL", "SA", (-33.4, -70.7), "sa"), ("PY", "SA", (-25.3, -57.6), "sa"),
]
# Places in each country, and how many degrees they are apart.
PLACES, STEP = 16, 0.1


def address(region):
    """What a region's pool answers."""
    return "192.0.2.%d" % (1 + list(REGIONS).index(region))


def cut(count):
    """(first address, length) of so many prefixes, ascending."""
    dice = random.Random(6)
    whole = [(first << 24, 8) for first in range(1, 224)]
    while len(whole) < count:
        at = dice.randrange(len(whole))
        first, length = whole[at]
        if length < 24:
            whole[at] = (first, length + 1)
            whole.append((first | 1 << (31 - length), length + 1))
    return sorted(whole)


class Database:
    """A GeoIP2 City database of IPv4 prefixes (MaxMind DB format 2.0), as far as it is needed here."""

    def __init__(self):
        self.nodes, self.data, self.places = [[None, None]], bytearray(), {}

    def add(self, first, length, record):
        """A prefix with a record that `put` has given."""
        node = 0
        for depth in range(length - 1):
            side = first >> (31 - depth) & 1
            below = self.nodes[node][side]
            if below is None:
                below = self.nodes[node][side] = len(self.nodes)
                self.nodes.append([None, None])
            node = below
        self.nodes[node][first >> (32 - length) & 1] = ("data", record)

    def put(self, value):
        """Where the value lies in the data section."""
        at = len(self.data)
        self.data += self.encoded(value)
        return at

    def encoded(self, value):
        def control(kind, size):
            assert size < 285
            head, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
            return (bytes([kind << 5 | head]) if kind < 8 else bytes([head, kind - 7])) + more
        if isinstance(value, dict):
            return control(7, len(value)) + b"".join(self.encoded(key) + self.encoded(of) for key, of in value.items())
        if isinstance(value, list):
            return control(11, len(value)) + b"".join(map(self.encoded, value))
        if isinstance(value, str):
            return control(2, len(value.encode())) + value.encode()
        if isinstance(value, float):
            return control(3, 8) + struct.pack(">d", value)
        kind, number = value
        octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return control(kind, len(octets)) + octets

    def write(self, path):
        count = len(self.nodes)
        number = lambda below: count if below is None else count + 16 + below[1] if isinstance(below, tuple) else below
        tree = b"".join(struct.pack(">II", number(left), number(right)) for left, right in self.nodes)
        u16, u32, u64 = 5, 6, 9
        about = {"node_count": (u32, count), "record_size": (u16, 32), "ip_version": (u16, 4), "database_type": "GeoIP2-City", "languages": ["en"],
                 "binary_format_major_version": (u16, 2), "binary_format_minor_version": (u16, 0), "build_epoch": (u64, 1_700_000_000),
                 "description": {"en": "made up"}}
        with open(path, "wb") as f:
            f.write(tree + bytes(16) + self.data + b"\xab\xcd\xefMaxMind.com" + self.encoded(about))


def main():
    folder, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    dice = random.Random(7)
    database, networks, nets, checks, records = Database(), [[] for _ in COUNTRIES], [], [], {}
    for at, (first, length) in enumerate(cut(count)):
        network, place = dice.randrange(len(COUNTRIES)), dice.randrange(PLACES)
        code, continent, (latitude, longitude), region = COUNTRIES[network]
        if (network, place) not in records:
            where = {"latitude": latitude + STEP * (place % 4), "longitude": longitude + STEP * (place // 4)}
            records[network, place] = database.put({"continent": {"code": continent}, "country": {"iso_code": code}, "location": where})
        database.add(first, length, records[network, place])
        text = "%s/%d" % (socket.inet_ntoa(struct.pack(">I", first)), length)
        networks[network].append(text + "\n")
        others = [other for other in REGIONS if other != region]
        nets.append("%s => [ %s ]\n" % (text, ", ".join([region] + others)))
        if at % (count // 200) == 0:
            checks.append("%s %s\n" % (text, region))
    for name, lines in [("n%d.txt" % number, lines) for number, lines in enumerate(networks)] + [("nets", nets), ("checks", checks)]:
        with open(os.path.join(folder, name), "w") as f:
            f.writelines(lines)
    database.write(os.path.join(folder, "clients.mmdb"))


if __name__ == "__main__":
    main()
