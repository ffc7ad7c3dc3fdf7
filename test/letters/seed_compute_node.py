"""A compute node as the seed system has it, with Thrift's own single-threaded server: seed_compute_node.py <load_probability>

Prints the port that it listens on.
"""

import logging
import os
import random
import sys
import time

import numpy as np
from seed_numpy import train
from seed_types import read_fields, read_weights, write_weights
from thrift.protocol.TBinaryProtocol import TBinaryProtocolFactory
from thrift.server.TServer import TSimpleServer
from thrift.Thrift import TApplicationException, TMessageType, TProcessor, TType
from thrift.transport.TSocket import TServerSocket
from thrift.transport.TTransport import TBufferedTransportFactory

LOAD_BALANCING = 2
DELAY_S = 0.05

load_probability = float(sys.argv[1])
logging.basicConfig(level=logging.CRITICAL)


class Processor(TProcessor):
    def process(self, source, out):
        name, _, sequence = source.readMessageBegin()
        if name != "train_with_weights":
            source.skip(TType.STRUCT)
            source.readMessageEnd()
            exception = TApplicationException(TApplicationException.UNKNOWN_METHOD, "Unknown function %s" % name)
            out.writeMessageBegin(name, TMessageType.EXCEPTION, sequence)
            exception.write(out)
            out.writeMessageEnd()
            out.trans.flush()
            return False
        readers = {1: lambda s: s.readString(), 2: read_weights, 6: lambda s: s.readDouble()}
        readers.update({number: (lambda s: s.readI32()) for number in (4, 5, 7, 8)})
        fields = read_fields(source, readers)
        source.readMessageEnd()
        accepted, error, weights = self.answer(fields)
        out.writeMessageBegin(name, TMessageType.REPLY, sequence)
        out.writeStructBegin("train_with_weights_result")
        out.writeFieldBegin("success", TType.STRUCT, 0)
        out.writeStructBegin("TrainResult")
        out.writeFieldBegin("accepted", TType.BOOL, 1)
        out.writeBool(accepted)
        out.writeFieldEnd()
        out.writeFieldBegin("training_error", TType.DOUBLE, 2)
        out.writeDouble(error)
        out.writeFieldEnd()
        out.writeFieldBegin("weights", TType.STRUCT, 3)
        write_weights(out, weights)
        out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()
        out.writeFieldEnd()
        out.writeFieldStop()
        out.writeStructEnd()
        out.writeMessageEnd()
        out.trans.flush()
        return True

    def answer(self, fields):
        if random.random() < load_probability:
            time.sleep(DELAY_S)
        if fields[8] == LOAD_BALANCING and random.random() < load_probability:
            return False, -1.0, ([], [])
        # The seed system has the same answer for a file that it cannot read.
        if not os.path.isfile(fields[1]):
            return False, -1.0, ([], [])
        v, w = map(np.array, fields[2])
        end_v, end_w, error = train(fields[1], v, w, fields[7], fields[6])
        return True, error, ((end_v - v).tolist(), (end_w - w).tolist())


class Socket(TServerSocket):
    def listen(self):
        super().listen()
        print(self.handle.getsockname()[1], flush=True)


server = TSimpleServer(Processor(), Socket("127.0.0.1", 0), TBufferedTransportFactory(), TBinaryProtocolFactory())
server.serve()
