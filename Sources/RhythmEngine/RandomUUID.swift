import Glibc
import Synchronization

/// Fresh ids from the system's random number generator.
public enum RandomUUID {
    private static let hex = Array("0123456789abcdef".utf8)
    private static let pool = Mutex(Pool())

    /// A UUID of version 4 in lower case (RFC 9562, section 5.4). Any thread.
    public static func make() -> String {
        let (first, second) = pool.withLock { ($0.next(), $0.next()) }
        let high = first & ~0xF000 | 0x4000
        let low = second & ~(0xC000 << 48) | (0x8000 << 48)
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var index = 0
            for position in 0..<32 {
                if position == 8 || position == 12 || position == 16 || position == 20 {
                    buffer[index] = UInt8(ascii: "-")
                    index += 1
                }
                let word = position < 16 ? high : low
                let nibble = word >> UInt64((15 - position % 16) * 4) & 0xF
                buffer[index] = hex[Int(nibble)]
                index += 1
            }
            return 36
        }
    }

    /// Random words that were taken from the system many at a time: one call of it for sixteen ids. Each is used once.
    private struct Pool {
        private var words: [UInt64] = []

        mutating func next() -> UInt64 {
            if let word = words.popLast() { return word }
            // As many as `getentropy` gives at once.
            words = Array(repeating: 0, count: 32)
            let failed = words.withUnsafeMutableBytes { getentropy($0.baseAddress, $0.count) } != 0
            var system = SystemRandomNumberGenerator()
            if failed { words = words.map { _ in system.next() } }
            return words.removeLast()
        }
    }
}
