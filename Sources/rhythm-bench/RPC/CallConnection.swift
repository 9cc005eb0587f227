import CRhythmShims
import Glibc
import RhythmCore
import RhythmWire

/// A connection that keeps a number of equal calls open: for every answer it sends the call again.
///
/// As lean as a client can be, so that the server is what is measured: the call is encoded once and only its id is
/// written anew, the first answer is decoded, of the others only the frame's head is read, and the calls that follow
/// on the answers of one read go out in one write. One thread.
final class CallConnection {
    private static let firstCall: UInt64 = 1 << 28
    private static let idBytes = 5
    private static let idOffset = 5
    private static let bufferBytes = 256 * 1024

    let descriptor: Int32
    private let template: [UInt8]
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferBytes, alignment: 16)
    private var inputCount = 0
    private var output: [UInt8] = []
    /// When each open call was sent, by its id, in a ring.
    private var sentAt: [UInt64]
    private var nextCall = firstCall
    private var replyBytes: UInt32?
    private let latencies: Latencies

    /// Connects and says hello.
    init(_ endpoint: Endpoint, request: Request, latencies: Latencies) throws {
        self.latencies = latencies
        sentAt = Array(repeating: 0, count: 4096)
        var frame: [UInt8] = []
        try ClientFrame(callID: Self.firstCall, body: .call(request)).append(to: &frame)
        template = frame
        var error = [CChar](repeating: 0, count: 256)
        descriptor =
            switch endpoint {
            case .tcp(let host, let port): rhythm_connect_tcp(host, port, 5000, &error, error.count)
            case .tls: throw BenchError("rhythm-bench measures plain connections")
            case .unix(let path): rhythm_connect_unix(path, 5000, &error, error.count)
            }
        guard descriptor >= 0 else {
            throw BenchError(String(decoding: error.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        // Reads wait: with one connection there is nothing else to do.
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        try greet()
    }

    deinit {
        close(descriptor)
        input.deallocate()
    }

    private func greet() throws {
        try ClientFrame(callID: 0, body: .hello(Hello(clientName: "rhythm-bench", clientVersion: "1")))
            .append(to: &output)
        try flush()
        let frame = try nextFrameDecoded()
        guard case .helloReply = frame.body else { throw BenchError("the server refuses: \(frame.body)") }
    }

    /// Opens `count` calls and looks at the whole of the first answer.
    func open(_ count: Int) throws {
        appendCall()
        try flush()
        let before = inputCount
        let frame = try nextFrameDecoded()
        guard before == 0, case .reply = frame.body else { throw BenchError("not the answer: \(frame.body)") }
        for _ in 0..<count { appendCall() }
        try flush()
    }

    /// Takes the answers that are there, waiting for the first, and sends as many calls anew.
    ///
    /// - Returns: how many answers came.
    func turn() throws -> Int {
        try receive()
        var offset = 0
        var answers = 0
        let now = SystemFigures.nanoseconds
        while inputCount - offset >= 4 {
            let length = Int(UInt32(bigEndian: input.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
            guard inputCount - offset >= 4 + length else { break }
            let id = callID(at: offset + 4)
            if id == 0 {
                try answerPing(UnsafeRawBufferPointer(rebasing: input[offset..<offset + 4 + length]))
            } else {
                guard UInt32(length) == replyBytes else { throw BenchError("an answer of \(length) bytes") }
                latencies.record(nanoseconds: now - sentAt[Int(id & 4095)])
                appendCall()
                answers += 1
            }
            offset += 4 + length
        }
        inputCount -= offset
        if inputCount > 0, offset > 0 {
            input.copyMemory(from: UnsafeRawBufferPointer(rebasing: input[offset..<offset + inputCount]))
        }
        try flush()
        return answers
    }

    // MARK: Bytes

    private func callID(at start: Int) -> UInt64 {
        guard input[start] == 8 else { return 0 }
        var id: UInt64 = 0
        for index in 0..<10 {
            let byte = input[start + 1 + index]
            id |= UInt64(byte & 0x7F) << UInt64(7 * index)
            if byte < 0x80 { break }
        }
        return id
    }

    /// Call ids begin at 2^28, so that all of them have five bytes.
    private func appendCall() {
        sentAt[Int(nextCall & 4095)] = SystemFigures.nanoseconds
        let start = output.count
        output.append(contentsOf: template)
        for index in 0..<Self.idBytes {
            let bits = UInt8(truncatingIfNeeded: nextCall >> UInt64(7 * index)) & 0x7F
            output[start + Self.idOffset + index] = index < Self.idBytes - 1 ? bits | 0x80 : bits
        }
        nextCall += 1
    }

    private func answerPing(_ bytes: UnsafeRawBufferPointer) throws {
        var decoder = FrameDecoder(limit: Self.bufferBytes)
        var rest = bytes
        guard let frame = try decoder.nextServerFrame(from: &rest), case .ping(let data) = frame.body else {
            throw BenchError("an unexpected frame")
        }
        try ClientFrame(callID: 0, body: .pong(data)).append(to: &output)
    }

    private func nextFrameDecoded() throws -> ServerFrame {
        var decoder = FrameDecoder(limit: Self.bufferBytes)
        while true {
            try receive()
            var rest = UnsafeRawBufferPointer(rebasing: input[..<inputCount])
            replyBytes = UInt32(truncatingIfNeeded: inputCount - 4)
            inputCount = 0
            if let frame = try decoder.nextServerFrame(from: &rest) { return frame }
        }
    }

    private func receive() throws {
        let count = recv(descriptor, input.baseAddress.map { $0 + inputCount }, input.count - inputCount, 0)
        guard count > 0 else { throw BenchError("the connection ended: \(String(cString: strerror(errno)))") }
        inputCount += count
    }

    private func flush() throws {
        var sent = 0
        while sent < output.count {
            let count = output.withUnsafeBytes { bytes in
                send(descriptor, bytes.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw BenchError("cannot send: \(String(cString: strerror(errno)))") }
            sent += count
        }
        output.removeAll(keepingCapacity: true)
    }
}
