import COpenSSL

/// HMAC-SHA-256, and comparing without telling how much was right. Here because this module is the one that knows
/// OpenSSL.
package enum KeyedDigest {
    package static let byteCount = 32

    /// The digest of some bytes under a key; empty if there is no memory for it.
    package static func hmacSHA256(of bytes: [UInt8], key: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            var length: UInt32 = 0
            let made = HMAC(
                EVP_sha256(), key, Int32(clamping: key.count), bytes, bytes.count, buffer.baseAddress, &length)
            count = made == nil ? 0 : Int(length)
        }
    }

    /// Whether both are the same, in a time that depends only on their length.
    package static func areEqual(_ first: [UInt8], _ second: [UInt8]) -> Bool {
        first.count == second.count && CRYPTO_memcmp(first, second, first.count) == 0
    }
}
