import Glibc
import RhythmEngine

/// One life of a server, from its start to its end: two that go by one id are told apart by it.
package struct ServerIncarnation: Sendable, Hashable {
    /// Drawn anew by each start.
    package let id: String
    /// What only one living server can have at a time, such as the lock of a data directory. Whoever finds a lease with
    /// his own home knows that its holder is gone.
    package let home: String
    /// Where it runs, for people.
    package let place: String

    package init(home: String = "", place: String = ServerIncarnation.thisProcess) {
        id = RandomUUID.make()
        self.home = home
        self.place = place
    }

    /// The process and the machine it runs on.
    package static var thisProcess: String {
        var name = [CChar](repeating: 0, count: 256)
        let isKnown = gethostname(&name, name.count - 1) == 0
        let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return "process \(getpid())" + (isKnown && !host.isEmpty ? " on \(host)" : "")
    }
}
