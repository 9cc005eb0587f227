import RhythmTLS

/// What is kept of a secret: HMAC-SHA-256 of it under a random salt.
///
/// The secrets are 256 random bits (``Token``), so there is nothing to guess and a slow hash would only slow the server.
package struct SaltedHash: Sendable, Hashable {
    /// 16 random bytes.
    package let salt: [UInt8]
    /// 32 bytes.
    package let digest: [UInt8]

    package static let saltBytes = 16
    package static let digestBytes = KeyedDigest.byteCount

    package init?(salt: [UInt8], digest: [UInt8]) {
        guard salt.count == Self.saltBytes, digest.count == Self.digestBytes else { return nil }
        self.salt = salt
        self.digest = digest
    }

    /// The hash of a new secret.
    package init(of secret: [UInt8], salt: [UInt8]) {
        self.salt = salt
        digest = KeyedDigest.hmacSHA256(of: secret, key: salt)
    }

    /// Whether this is the secret, in a time that does not depend on how much of it is right.
    package func matches(_ secret: [UInt8]) -> Bool {
        // A digest that could not be made is empty, and matches nothing.
        KeyedDigest.areEqual(KeyedDigest.hmacSHA256(of: secret, key: salt), digest)
    }
}
