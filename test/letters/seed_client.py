"""A client as the seed system has it: seed_client.py <host> <port> <dir> <rounds> <epochs> <h> <eta>"""

import sys

from seed_types import TType, call, write_field

host, port, directory, rounds, epochs, h, eta = sys.argv[1:]


def write_arguments(out):
    write_field(out, TType.STRING, 1, directory)
    for number, value in ((2, rounds), (3, epochs), (4, h), (5, 26)):
        write_field(out, TType.I32, number, int(value))
    write_field(out, TType.DOUBLE, 6, float(eta))


error = call(host, int(port), "train", write_arguments, lambda source: source.readDouble())
print(f"Client: Final validation error => {error}")
