import COpenSSL

/// What is kept of a secret: HMAC-SHA-256 of it under a random salt.
///
/// The secrets are 256 random bits (``Token``), so there is nothing to guess and a slow hash would only slow the server.
package struct SaltedHash: Sendable, Hashable {
    /// 16 random bytes.
    package let salt: [UInt8]
    /// 32 bytes.
    package let digest: [UInt8]

    package static let saltBytes = 16
    package static let digestBytes = 32

    package init?(salt: [UInt8], digest: [UInt8]) {
        guard salt.count == Self.saltBytes, digest.count == Self.digestBytes else { return nil }
        self.salt = salt
        self.digest = digest
    }

    /// The hash of a new secret.
    package init(of secret: [UInt8], salt: [UInt8]) {
        self.salt = salt
        digest = Self.digest(of: secret, salt: salt)
    }

    /// Whether this is the secret, in a time that does not depend on how much of it is right.
    package func matches(_ secret: [UInt8]) -> Bool {
        let other = Self.digest(of: secret, salt: salt)
        guard other.count == digest.count else { return false }
        return CRYPTO_memcmp(other, digest, digest.count) == 0
    }

    private static func digest(of secret: [UInt8], salt: [UInt8]) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: digestBytes) { buffer, count in
            var length: UInt32 = 0
            let made = HMAC(
                EVP_sha256(), salt, Int32(clamping: salt.count), secret, secret.count, buffer.baseAddress, &length)
            // Without memory there is no digest; an empty one matches nothing.
            count = made == nil ? 0 : Int(length)
        }
    }
}
