/// Whatever prints options, on purpose or by mistake, prints no credentials.
extension RhythmClient.Options: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The names of the client and of its files, and no token.
    public var description: String {
        "options of \(clientName) \(clientVersion), \(token.isEmpty ? "no token" : "with a token")"
    }

    /// The same.
    public var debugDescription: String { description }

    /// The same.
    public var customMirror: Mirror { Mirror(self, children: ["options": description]) }
}
