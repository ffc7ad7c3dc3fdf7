"""A coordinator as the seed system has it, with Thrift's own single-threaded server; it trains by itself, without nodes.

Prints the port that it listens on.
"""

import glob
import logging

import numpy as np
from seed_numpy import forward, start, train
from seed_types import read_fields
from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.server.TServer import TSimpleServer
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TBufferedTransportFactory

logging.basicConfig(level=logging.CRITICAL)


def final_error(directory, rounds, epochs, h, eta):
    """-1 without files, as the seed system has it."""
    files = sorted(glob.glob(directory + "/train_letters*.txt"))
    if not files:
        return -1.0
    v, w = start(h)
    for _ in range(rounds):
        ends = [train(file, v, w, epochs, eta) for file in files]
        v, w = np.mean([end[0] for end in ends], axis=0), np.mean([end[1] for end in ends], axis=0)
    table = np.loadtxt(directory + "/validate_letters.txt", delimiter=",", dtype=int)
    x = np.hstack([np.ones((len(table), 1)), table[:, :-1]])
    return float((forward(x, v, w)[2].argmax(axis=1) != table[:, -1]).mean())


class Processor(TProcessor):
    def process(self, source, out):
        name, _, sequence = source.readMessageBegin()
        if name != "train":
            source.skip(TType.STRUCT)
            source.readMessageEnd()
            exception = TApplicationException(TApplicationException.UNKNOWN_METHOD, "Unknown function %s" % name)
            out.writeMessageBegin(name, TMessageType.EXCEPTION, sequence)
            exception.write(out)
            out.writeMessageEnd()
            out.trans.flush()
            return False
        readers = {number: (lambda s: s.readI32()) for number in (2, 3, 4, 5)}
        readers.update({1: lambda s: s.readString(), 6: lambda s: s.readDouble()})
        fields = read_fields(source, readers)
        source.readMessageEnd()
        error = final_error(fields[1], fields[2], fields[3], fields[4], fields[6])
        out.writeMessageBegin(name, TMessageType.REPLY, sequence)
        out.writeStructBegin("train_result")
        out.writeFieldBegin("success", TType.DOUBLE, 0)
        out.writeDouble(error)
        out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()
        out.writeMessageEnd()
        out.trans.flush()
        return True


class Socket(TServerSocket):
    def listen(self):
        super().listen()
        print(self.handle.getsockname()[1], flush=True)


server = TSimpleServer(Processor(), Socket("127.0.0.1", 0), TBufferedTransportFactory(), TBinaryProtocolFactory())
server.serve()
