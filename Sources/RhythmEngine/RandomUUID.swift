/// Fresh ids from the system's random number generator.
public enum RandomUUID {
    private static let hex = Array("0123456789abcdef".utf8)

    /// A UUID of version 4 in lower case (RFC 9562, section 5.4).
    public static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & ~0xF000 | 0x4000
        let low = generator.next() & ~(0xC000 << 48) | (0x8000 << 48)
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
}
