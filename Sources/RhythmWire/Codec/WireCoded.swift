import CProtobufC
import CRhythmProto
import RhythmCore

/// A value that has one C struct on the wire.
///
/// The C struct never leaves the closure of the arena that it lies in: reading copies everything out of it, writing
/// packs it at once.
protocol WireCoded {
    /// What protoc-c made of the message.
    associatedtype C

    /// Reads the struct and checks what protobuf does not: text, ranges, what must be there.
    init(from c: UnsafeMutablePointer<C>) throws(FieldError)

    /// Fills a struct.
    func write(in arena: Arena) -> UnsafeMutablePointer<C>
}

typealias CBytes = ProtobufCBinaryData
typealias CList<C> = UnsafeMutablePointer<UnsafeMutablePointer<C>?>

/// The C field is an `int`.
func flag(_ value: Bool) -> protobuf_c_boolean { value ? 1 : 0 }
