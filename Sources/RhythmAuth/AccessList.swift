/// What a tokens file says: one entry a line, JSON, with blank lines and comments (`#`) between.
package struct AccessList: Sendable, Hashable {
    package private(set) var entries: [AccessEntry] = []
    private var tokens: [String: AccessEntry] = [:]
    private var certificates: [String: AccessEntry] = [:]

    /// Nobody.
    package init() {}

    /// Reads a file.
    ///
    /// - Throws: the first mistake, with its line. A file with a mistake is not used at all: what is left of it might
    ///   let in whom the whole would not.
    package init(text: String) throws(TokensFileError) {
        var names: Set<String> = []
        for (index, line) in Self.lines(of: text).enumerated() where Self.isEntry(line) {
            let entry = try AccessEntry(line: line, number: index + 1)
            guard names.insert(entry.name).inserted else {
                throw TokensFileError(line: index + 1, "the name '\(entry.name)' occurs twice")
            }
            switch entry.proof {
            case .token(let id, _):
                guard tokens.updateValue(entry, forKey: id) == nil else {
                    throw TokensFileError(line: index + 1, "the id '\(id)' occurs twice")
                }
            case .certificate(let subject):
                guard certificates.updateValue(entry, forKey: subject) == nil else {
                    throw TokensFileError(line: index + 1, "the certificate '\(subject)' occurs twice")
                }
            }
            entries.append(entry)
        }
    }

    /// The entry of a token, if its secret is right. An id that nobody has takes as long as a secret that is wrong.
    package func entry(for token: Token) -> AccessEntry? {
        let found = tokens[token.id]
        var hash = Self.decoy
        if case .token(_, let own)? = found?.proof { hash = own }
        return hash.matches(token.secret) ? found : nil
    }

    /// The entry of a certificate, which was verified before.
    package func entry(forCertificate subject: String) -> AccessEntry? { certificates[subject] }

    private static let decoy = SaltedHash(of: [0], salt: [UInt8](repeating: 0, count: SaltedHash.saltBytes))

    /// The lines of a file, without their ends.
    package static func lines(of text: String) -> [String] {
        text.split(omittingEmptySubsequences: false) { $0.isNewline }.map { String($0) }
    }

    /// Whether a line holds an entry rather than nothing or a comment.
    package static func isEntry(_ line: String) -> Bool {
        guard let first = line.first(where: { !$0.isWhitespace }) else { return false }
        return first != "#"
    }
}
