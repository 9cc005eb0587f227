import RhythmCore
import RhythmWire

/// A limit that no test comes near unless it is about limits.
let wideLimit = 4 << 20

extension ClientFrame {
    var encoded: [UInt8] {
        get throws {
            var output: [UInt8] = []
            try append(to: &output)
            return output
        }
    }
}

extension ServerFrame {
    var encoded: [UInt8] {
        get throws {
            var output: [UInt8] = []
            try append(to: &output)
            return output
        }
    }
}

/// What a decoder made of some bytes.
enum Outcome<Frame: Hashable>: Hashable {
    case frame(Frame)
    case refused(FrameError)
}

extension FrameDecoder {
    /// All frames in `bytes`; stops behind a fatal error.
    mutating func client(_ bytes: [UInt8]) -> [Outcome<ClientFrame>] {
        all(bytes) { (decoder, rest) throws(FrameError) in try decoder.nextClientFrame(from: &rest) }
    }

    /// All frames in `bytes`; stops behind a fatal error.
    mutating func server(_ bytes: [UInt8]) -> [Outcome<ServerFrame>] {
        all(bytes) { (decoder, rest) throws(FrameError) in try decoder.nextServerFrame(from: &rest) }
    }

    private mutating func all<Frame>(
        _ bytes: [UInt8],
        _ next: (inout FrameDecoder, inout UnsafeRawBufferPointer) throws(FrameError) -> Frame?
    ) -> [Outcome<Frame>] {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer
            var outcomes: [Outcome<Frame>] = []
            while true {
                do throws(FrameError) {
                    guard let frame = try next(&self, &rest) else { return outcomes }
                    outcomes.append(.frame(frame))
                } catch {
                    outcomes.append(.refused(error))
                    if error.isFatal { return outcomes }
                }
            }
        }
    }
}

/// `bytes` behind their length.
func framed(_ bytes: [UInt8]) -> [UInt8] {
    withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { [UInt8]($0) } + bytes
}

/// A protobuf field with bytes in it.
func field(_ number: UInt8, _ bytes: [UInt8]) -> [UInt8] {
    varint(UInt64(number) << 3 | 2) + varint(UInt64(bytes.count)) + bytes
}

/// A protobuf field with a number in it.
func field(_ number: UInt8, _ value: UInt64) -> [UInt8] {
    varint(UInt64(number) << 3) + varint(value)
}

func varint(_ value: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = value
    while rest >= 0x80 {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
    }
    return bytes + [UInt8(rest)]
}

func hex(_ text: some StringProtocol) -> [UInt8] {
    let digits = text.compactMap(\.hexDigitValue)
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

/// A new seed for each run; a failing test prints it.
func freshSeed(_ test: String = #function) -> UInt64 {
    let seed = UInt64.random(in: 0...(.max))
    print("\(test): seed \(seed)")
    return seed
}
