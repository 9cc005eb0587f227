import CProtobufC
import CRhythmProto

// From the bytes of one frame, without its length, to a value.

/// The C memory that a frame of the greatest allowed length may take: enough for any frame that is filled with sense,
/// and far less than one that is filled with empty messages would take.
func unpackingBudget(limit: Int) -> Int { min(limit * 8, 32 << 20) }

extension ClientFrame {
    static func decode(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Result<ClientFrame, FrameError> {
        unpack(bytes, limit: limit, descriptor: Descriptors.clientFrame) {
            (c: UnsafeMutablePointer<Rhythm__ClientFrame>) in
            do throws(FieldError) {
                guard let frame = try ClientFrame.read(c) else {
                    let number = c.pointee.base.n_unknown_fields > 0 ? c.pointee.base.unknown_fields?[0].tag : nil
                    return .failure(
                        .unknownBody(c.pointee.call_id, number: number, near: number.map { calls(near: $0) } ?? []))
                }
                return .success(frame)
            } catch {
                return .failure(FrameError(kind: error.kind, callID: c.pointee.call_id))
            }
        }
    }
}

extension ClientFrame {
    /// Calls begin with this field; what is below is about the connection.
    private static var firstCall: UInt32 { 20 }

    /// The calls whose numbers are next to one that is none, as `name (number)`: who asks for what this version does not
    /// have learns what it has.
    private static func calls(near number: UInt32) -> [String] {
        // SAFETY: the descriptor and what it points to are constants of the process; see `Descriptors`.
        let descriptor = Descriptors.clientFrame.pointee
        let fields = UnsafeBufferPointer(start: descriptor.fields, count: Int(descriptor.n_fields))
        return fields.filter { $0.id >= firstCall }
            .sorted { ($0.id.distance(to: number).magnitude, $0.id) < ($1.id.distance(to: number).magnitude, $1.id) }
            .prefix(3).map { "\(String(cString: $0.name)) (\($0.id))" }
    }
}

extension ServerFrame {
    static func decode(_ bytes: UnsafeRawBufferPointer, limit: Int) -> Result<ServerFrame, FrameError> {
        unpack(bytes, limit: limit, descriptor: Descriptors.serverFrame) {
            (c: UnsafeMutablePointer<Rhythm__ServerFrame>) in
            do throws(FieldError) {
                guard let frame = try ServerFrame.read(c) else { return .failure(.unknownBody(c.pointee.call_id)) }
                return .success(frame)
            } catch {
                return .failure(FrameError(kind: error.kind, callID: c.pointee.call_id))
            }
        }
    }
}

private enum Descriptors {
    // SAFETY: both point to constants that protoc-c made; they are never written to and live as long as the process.
    nonisolated(unsafe) static let clientFrame: UnsafePointer<ProtobufCMessageDescriptor> = {
        var frame = Rhythm__ClientFrame()
        rhythm__client_frame__init(&frame)
        return frame.base.descriptor
    }()
    nonisolated(unsafe) static let serverFrame: UnsafePointer<ProtobufCMessageDescriptor> = {
        var frame = Rhythm__ServerFrame()
        rhythm__server_frame__init(&frame)
        return frame.base.descriptor
    }()
}

private func unpack<C, Frame>(
    _ bytes: UnsafeRawBufferPointer, limit: Int, descriptor: UnsafePointer<ProtobufCMessageDescriptor>,
    _ read: (UnsafeMutablePointer<C>) -> Result<Frame, FrameError>
) -> Result<Frame, FrameError> {
    Arena.with(budget: unpackingBudget(limit: limit)) { arena in
        var allocator = arena.cAllocator
        // SAFETY: the message lies in the arena, and `read` copies out all it needs before the arena goes.
        let message = protobuf_c_message_unpack(
            descriptor, &allocator, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        guard let message else {
            return .failure(
                FrameError(
                    kind: arena.isExhausted ? .overBudget(bytes: unpackingBudget(limit: limit)) : .malformed,
                    callID: FrameError.callID(in: bytes)))
        }
        return message.withMemoryRebound(to: C.self, capacity: 1) { read($0) }
    }
}
