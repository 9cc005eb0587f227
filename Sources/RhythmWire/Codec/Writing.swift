import CProtobufC
import CRhythmProto
import RhythmCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

// What filling C structs has in common.

extension Arena {
    /// Memory that has to be there: what is written was made by ourselves, so there is no budget for it.
    private func need(_ count: Int) -> UnsafeMutableRawPointer {
        guard let memory = allocate(count) else { fatalError("no memory for \(count) bytes of a frame") }
        return memory
    }

    /// A struct with the default values of its message.
    func make<C>(_ initialise: (UnsafeMutablePointer<C>?) -> Void) -> UnsafeMutablePointer<C> {
        let c = need(MemoryLayout<C>.size).bindMemory(to: C.self, capacity: 1)
        initialise(c)
        return c
    }

    /// A string field. A NUL character, which no peer would accept, becomes U+FFFD: rather an odd character in an
    /// error message of a task than an answer that cannot be read.
    func text(_ text: String) -> CBytes {
        var text = text
        if let bytes = text.withUTF8({ $0.isEmpty ? CBytes(len: 0, data: nil) : copy($0) }) { return bytes }
        var clean = String(text.map { $0 == "\0" ? "\u{FFFD}" : $0 })
        return clean.withUTF8 { copy($0) } ?? CBytes(len: 0, data: nil)
    }

    /// A string field that is empty for nil.
    func text(_ text: String?) -> CBytes {
        text.map { self.text($0) } ?? CBytes(len: 0, data: nil)
    }

    /// Bytes as they are.
    func bytes(_ bytes: [UInt8]) -> CBytes {
        guard !bytes.isEmpty else { return CBytes(len: 0, data: nil) }
        return bytes.withUnsafeBytes { source in
            let memory = need(source.count)
            memory.copyMemory(from: source.baseAddress ?? UnsafeRawPointer(memory), byteCount: source.count)
            return CBytes(len: source.count, data: memory.bindMemory(to: UInt8.self, capacity: source.count))
        }
    }

    /// A list of messages.
    func list<Value: WireCoded>(_ values: [Value]) -> (Int, CList<Value.C>?) {
        guard !values.isEmpty else { return (0, nil) }
        let elements = need(values.count * MemoryLayout<UnsafeMutablePointer<Value.C>?>.stride)
            .bindMemory(to: UnsafeMutablePointer<Value.C>?.self, capacity: values.count)
        // By index: a loop over the values would copy each of these large structs and retain all its parts.
        for index in values.indices { (elements + index).initialize(to: values[index].write(in: self)) }
        return (values.count, elements)
    }

    /// A list of structs.
    func list<Value, C>(
        _ values: some Collection<Value>, _ write: (Value) -> UnsafeMutablePointer<C>
    ) -> (Int, CList<C>?) {
        guard !values.isEmpty else { return (0, nil) }
        let elements = need(values.count * MemoryLayout<UnsafeMutablePointer<C>?>.stride)
            .bindMemory(to: UnsafeMutablePointer<C>?.self, capacity: values.count)
        for (index, value) in values.enumerated() { (elements + index).initialize(to: write(value)) }
        return (values.count, elements)
    }

    /// A list of texts.
    func texts(_ values: [String]) -> (Int, UnsafeMutablePointer<CBytes>?) {
        array(values) { self.text($0) }
    }

    /// A list of plain values.
    func array<Value, C>(
        _ values: some Collection<Value>, _ write: (Value) -> C
    ) -> (Int, UnsafeMutablePointer<C>?) {
        guard !values.isEmpty else { return (0, nil) }
        let elements = need(values.count * MemoryLayout<C>.stride).bindMemory(to: C.self, capacity: values.count)
        for (index, value) in values.enumerated() { (elements + index).initialize(to: write(value)) }
        return (values.count, elements)
    }

    /// Labels, sorted by key, so that equal values have equal bytes.
    func labels(_ labels: [String: String]) -> (Int, CList<Rhythm__Label>?) {
        guard !labels.isEmpty else { return (0, nil) }
        return list(labels.sorted { $0.key < $1.key }) { key, value in
            let c = make(rhythm__label__init)
            c.pointee.key = text(key)
            c.pointee.value = text(value)
            return c
        }
    }

    /// The bytes in memory of the arena; nil if there is a NUL among them.
    private func copy(_ source: UnsafeBufferPointer<UInt8>) -> CBytes? {
        guard let start = source.baseAddress, !source.isEmpty else { return CBytes(len: 0, data: nil) }
        guard memchr(start, 0, source.count) == nil else { return nil }
        let memory = need(source.count)
        memory.copyMemory(from: start, byteCount: source.count)
        return CBytes(len: source.count, data: memory.bindMemory(to: UInt8.self, capacity: source.count))
    }
}

extension Optional where Wrapped == Timestamp {
    /// 0 for nil.
    var wire: Int64 { self?.microseconds ?? 0 }
}

extension Duration {
    /// Whole milliseconds, rounded away from zero, because 0 means "none" to most fields.
    var wireMilliseconds: Int64 {
        let whole = wholeMilliseconds
        if self > .milliseconds(whole) { return whole + 1 }
        return self < .milliseconds(whole) ? whole - 1 : whole
    }
}
