import RhythmWire

/// The body of one frame, as a request that a server gets and as an answer that a client gets. What can be read can be
/// written, what was written is read again, and writing that gives the same bytes.
@c(LLVMFuzzerTestOneInput)
public func fuzzMessages(_ input: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = framed(UnsafeBufferPointer(start: input, count: count))
    if let frame = client(bytes) {
        let first = written { (bytes) throws(FrameError) in try frame.append(to: &bytes) }
        guard let again = client(first) else { preconditionFailure("what was written cannot be read") }
        precondition(first == written { (bytes) throws(FrameError) in try again.append(to: &bytes) })
    }
    if let frame = server(bytes) {
        let first = written { (bytes) throws(FrameError) in try frame.append(to: &bytes) }
        guard let again = server(first) else { preconditionFailure("what was written cannot be read") }
        precondition(first == written { (bytes) throws(FrameError) in try again.append(to: &bytes) })
    }
    return 0
}

private func framed(_ body: UnsafeBufferPointer<UInt8>) -> [UInt8] {
    withUnsafeBytes(of: UInt32(body.count).bigEndian) { [UInt8]($0) } + body
}

private func client(_ bytes: [UInt8]) -> ClientFrame? {
    var decoder = FrameDecoder(limit: 16 << 20)
    return bytes.withUnsafeBytes {
        var rest = $0
        return try? decoder.nextClientFrame(from: &rest)
    }
}

private func server(_ bytes: [UInt8]) -> ServerFrame? {
    var decoder = FrameDecoder(limit: 16 << 20)
    return bytes.withUnsafeBytes {
        var rest = $0
        return try? decoder.nextServerFrame(from: &rest)
    }
}

private func written(_ append: (inout [UInt8]) throws(FrameError) -> Void) -> [UInt8] {
    var bytes: [UInt8] = []
    do throws(FrameError) { try append(&bytes) } catch { preconditionFailure("cannot be written: \(error)") }
    return bytes
}
