import Testing

/// What the protocol's file must not say.
@Suite struct ProtocolFileTests {
    /// protobuf-c reads a message in a message by recursion and has no limit: a few kilobytes would be enough for any
    /// stack if a message could contain itself.
    @Test func noMessageContainsItself() throws {
        let members = Self.members(of: try ProtoFolder.text("rhythm/v1/rhythm.proto"))
        #expect(members.count > 40 && members["ClientFrame"]?.contains("StartWorkflow") == true)
        for message in members.keys.sorted() {
            var (open, seen) = (Array(members[message] ?? []), Set<String>())
            while let next = open.popLast() {
                #expect(next != message, "\(message) contains itself")
                if seen.insert(next).inserted { open += members[next] ?? [] }
            }
        }
    }

    @Test func theCheckFindsWhatItLooksFor() {
        let members = Self.members(of: "message A {\n  B b = 1;\n}\nmessage B {\n  repeated A as = 1; // A\n}\n")
        #expect(members == ["A": ["B"], "B": ["A"]])
    }

    /// The types of each message's fields.
    private static func members(of text: String) -> [String: Set<String>] {
        var members: [String: Set<String>] = [:]
        var message: String?
        for line in text.split(separator: "\n") {
            if let match = line.wholeMatch(of: /message (\w+) \{.*/) {
                message = String(match.1)
                members[String(match.1)] = []
            } else if let match = line.prefixMatch(of: /\s+(?:repeated )?([\w.]+) \w+ = \d+/), let message {
                let type = String(match.1)
                if type.first?.isUppercase == true { members[message]?.insert(type) }
            }
        }
        return members
    }
}
