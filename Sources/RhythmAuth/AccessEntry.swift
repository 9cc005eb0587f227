package import RhythmCore

/// One line of the tokens file: who is let in by what, and what he may do.
package struct AccessEntry: Sendable, Hashable {
    /// What he has to show.
    package enum Proof: Sendable, Hashable {
        /// The token with this id, whose secret has this hash.
        case token(id: String, SaltedHash)
        /// A certificate of the client CA with this subject (RFC 2253, such as `CN=batch,O=Example`).
        case certificate(subject: String)
    }

    /// For people; unique in the file.
    package let name: String
    package let role: Role
    package let scope: AppScope
    package let proof: Proof
    /// When it was made; nil if the line does not say.
    package let createdAt: Timestamp?

    /// An entry names at most this many applications: each costs a query of its own when workflows are listed.
    package static let appIDsMax = 64

    package init(name: String, role: Role, scope: AppScope, proof: Proof, createdAt: Timestamp?) {
        self.name = name
        self.role = role
        self.scope = scope
        self.proof = proof
        self.createdAt = createdAt
    }

    /// Makes a token and the entry for it.
    package static func make(
        name: String, role: Role, scope: AppScope, createdAt: Timestamp
    ) -> (token: Token, entry: AccessEntry) {
        let token = Token.make()
        let hash = SaltedHash(of: token.secret, salt: Token.randomBytes(SaltedHash.saltBytes))
        let entry = AccessEntry(
            name: name, role: role, scope: scope, proof: .token(id: token.id, hash), createdAt: createdAt)
        return (token, entry)
    }

    var caller: Caller {
        switch proof {
        case .token(let id, _): Caller(.token(id: id, name: name), role: role, scope: scope, entry: self)
        case .certificate(let subject):
            Caller(.certificate(name: name, subject: subject), role: role, scope: scope, entry: self)
        }
    }
}

// MARK: As a line

extension AccessEntry {
    private static let known = ["name", "role", "app_ids", "id", "salt", "hash", "certificate", "created_at"]

    /// The entry as one line of JSON, without its end.
    package var line: String {
        var members: [JSONValue.Member] = [.init("name", .string(name)), .init("role", .string(role.rawValue))]
        if case .only(let appIDs) = scope {
            members.append(.init("app_ids", .array(appIDs.sorted().map { .string($0) })))
        }
        switch proof {
        case .token(let id, let hash):
            members.append(.init("id", .string(id)))
            members.append(.init("salt", .string(Hex.text(hash.salt))))
            members.append(.init("hash", .string(Hex.text(hash.digest))))
        case .certificate(let subject): members.append(.init("certificate", .string(subject)))
        }
        if let createdAt { members.append(.init("created_at", .string(createdAt.iso8601))) }
        return JSONValue.object(members).compactText
    }

    /// Reads a line.
    ///
    /// - Throws: what is wrong with it. Hashes and salts are not quoted.
    package init(line text: String, number: Int) throws(TokensFileError) {
        func wrong(_ message: String) -> TokensFileError { TokensFileError(line: number, message) }
        guard let json = try? JSON(parsing: text), case .object(let members) = json.value else {
            throw wrong(#"not a JSON object; expected for example {"name": "ci", "role": "read", ...}"#)
        }
        var values: [String: JSONValue] = [:]
        for member in members {
            guard Self.known.contains(member.name) else {
                let near = member.name.nearest(in: Self.known).map { "; did you mean '\($0)'?" } ?? ""
                throw wrong("unknown key '\(member.name)'\(near)")
            }
            guard values.updateValue(member.value, forKey: member.name) == nil else {
                throw wrong("the key '\(member.name)' occurs twice")
            }
        }
        func string(_ key: String) throws(TokensFileError) -> String? {
            guard let value = values[key] else { return nil }
            guard let text = value.stringValue, !text.isEmpty else { throw wrong("'\(key)' is no text, or empty") }
            return text
        }
        guard let name = try string("name") else { throw wrong("'name' is missing") }
        guard let word = try string("role"), let role = Role(rawValue: word) else {
            let roles = Role.allCases.map(\.rawValue).joined(separator: ", ")
            throw wrong("'role' has to be one of \(roles)")
        }
        var createdAt: Timestamp?
        if let text = try string("created_at") {
            guard let time = Timestamp(iso8601: text) else { throw wrong("'created_at' is no time") }
            createdAt = time
        }
        let proof: Proof
        if let subject = try string("certificate") {
            guard values["id"] == nil, values["salt"] == nil, values["hash"] == nil else {
                throw wrong("'certificate' and the keys of a token ('id', 'salt', 'hash') exclude each other")
            }
            proof = .certificate(subject: subject)
        } else {
            guard let id = try string("id"), Token.isID(id) else { throw wrong("'id' has to be 12 hexadecimal digits") }
            guard let salt = try string("salt").flatMap({ Hex.bytes($0) }),
                let digest = try string("hash").flatMap({ Hex.bytes($0) }),
                let hash = SaltedHash(salt: salt, digest: digest)
            else { throw wrong("'salt' and 'hash' have to be 32 and 64 hexadecimal digits") }
            proof = .token(id: id, hash)
        }
        self.init(
            name: name, role: role, scope: try Self.scope(values["app_ids"], wrong), proof: proof, createdAt: createdAt)
    }

    private static func scope(
        _ value: JSONValue?, _ wrong: (String) -> TokensFileError
    ) throws(TokensFileError) -> AppScope {
        guard let value else { return .all }
        guard case .array(let elements) = value, !elements.isEmpty else {
            throw wrong("'app_ids' is not a list with at least one app_id; leave it out to allow all")
        }
        guard elements.count <= appIDsMax else { throw wrong("'app_ids' has more than \(appIDsMax) elements") }
        var appIDs: Set<String> = []
        for element in elements {
            guard let appID = element.stringValue, !appID.isEmpty else {
                throw wrong("'app_ids' holds what is no text, or empty")
            }
            appIDs.insert(appID)
        }
        return .only(appIDs)
    }
}
