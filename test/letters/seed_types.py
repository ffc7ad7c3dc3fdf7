"""The interface of the seed letters system for Apache Thrift's Python library, written out from its description."""

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TApplicationException, TMessageType, TType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport


def write_matrix(out, rows):
    out.writeListBegin(TType.LIST, len(rows))
    for row in rows:
        out.writeListBegin(TType.DOUBLE, len(row))
        for value in row:
            out.writeDouble(value)
        out.writeListEnd()
    out.writeListEnd()


def read_matrix(source):
    def row():
        _, columns = source.readListBegin()
        values = [source.readDouble() for _ in range(columns)]
        source.readListEnd()
        return values

    _, count = source.readListBegin()
    rows = [row() for _ in range(count)]
    source.readListEnd()
    return rows


def write_weights(out, weights):
    out.writeStructBegin("Weights")
    for number, name in ((1, "V"), (2, "W")):
        out.writeFieldBegin(name, TType.LIST, number)
        write_matrix(out, weights[number - 1])
        out.writeFieldEnd()
    out.writeFieldStop()
    out.writeStructEnd()


def read_fields(source, readers):
    """The fields of a struct by number; `readers` are by number, too."""
    fields = {}
    source.readStructBegin()
    while True:
        _, kind, number = source.readFieldBegin()
        if kind == TType.STOP:
            break
        if number in readers:
            fields[number] = readers[number](source)
        else:
            source.skip(kind)
        source.readFieldEnd()
    source.readStructEnd()
    return fields


def read_weights(source):
    fields = read_fields(source, {1: read_matrix, 2: read_matrix})
    return fields[1], fields[2]


def call(host, port, name, write_arguments, read_result):
    """One call on a connection of its own; raises TApplicationException when the other end answers with one."""
    transport = TBufferedTransport(TSocket(host, port))
    transport.open()
    protocol = TBinaryProtocol(transport)
    protocol.writeMessageBegin(name, TMessageType.CALL, 0)
    protocol.writeStructBegin(name + "_args")
    write_arguments(protocol)
    protocol.writeFieldStop()
    protocol.writeStructEnd()
    protocol.writeMessageEnd()
    transport.flush()
    _, kind, _ = protocol.readMessageBegin()
    if kind == TMessageType.EXCEPTION:
        exception = TApplicationException()
        exception.read(protocol)
        raise exception
    result = read_fields(protocol, {0: read_result})[0]
    protocol.readMessageEnd()
    transport.close()
    return result


def write_field(out, kind, number, value):
    out.writeFieldBegin("", kind, number)
    {TType.STRING: out.writeString, TType.I32: out.writeI32, TType.DOUBLE: out.writeDouble}[kind](value)
    out.writeFieldEnd()
